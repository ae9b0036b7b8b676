// SPDX-License-Identifier: MIT OR Apache-2.0

//! A process may end while a thread loads, runs or frees a generator.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    env,
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use cyclegan_contract::{Direction, Metadata, Size};
use cyclegan_runtime::{Binding, LoadOptions, Pair, Provider, ProviderOptions};
use cyclegan_test_support::generators::{self, Models};

/// The variables that pass the model, what to do with it and a delay in ms to the process that ends.
const CHILD: [&str; 3] = ["CYCLEGAN_TEST_MODEL", "CYCLEGAN_TEST_TASK", "CYCLEGAN_TEST_DELAY"];
/// The status that it ends with.
const STATUS: i32 = 7;

/// Starts processes that end while `task` is in progress; returns the longest time that one took.
fn end_during(task: &str, delays: impl Iterator<Item = u64>) -> Duration {
    let models = Models::new();
    let small = Metadata { size: Some(32), ..Default::default() };
    let slow = generators::with_metadata(generators::slow_invert(24), &small);
    let model = models.add("G.onnx", &slow);
    let took = delays.map(|delay| {
        let start = Instant::now();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_ends", "--nocapture"])
            .env(CHILD[0], &model)
            .env(CHILD[1], task)
            .env(CHILD[2], delay.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        assert_eq!(status.code(), Some(STATUS), "{task} for {delay} ms: {status}: {said}");
        start.elapsed()
    });
    took.max().unwrap()
}

/// What [`end_during`] starts; nothing where it did not.
#[test]
fn a_process_that_ends() {
    let [Some(model), Some(task), Some(delay)] = CHILD.map(|name| env::var(name).ok()) else {
        return;
    };
    gst::init().unwrap();
    let load = move || {
        let cache_dir = env::temp_dir();
        let options = LoadOptions {
            provider: Some(Provider::Cpu),
            allow_fallback: false,
            precision: None,
            provider_options: ProviderOptions { device_id: 0, threads: 0, cache_dir },
        };
        Pair::load_direction(&model, &options, Direction::AToB)
    };
    let pair = load().unwrap();
    thread::spawn(move || match task.as_str() {
        "run" => {
            let generator = pair.generator(Direction::AToB).unwrap().clone();
            let size = Size { width: 512, height: 512 };
            Binding::new(generator, size).unwrap().run().unwrap();
        }
        _ => {
            drop(pair);
            // Frees each one before it loads the next.
            while load().is_ok() {}
        }
    });
    thread::sleep(Duration::from_millis(delay.parse().unwrap()));
    process::exit(STATUS);
}

#[test]
fn a_process_can_end_while_generators_are_loaded_and_freed() {
    end_during("load", (0..20).map(|number| 6 * number));
}

#[test]
fn a_process_that_ends_does_not_wait_for_a_run() {
    let took = end_during("run", [300, 301].into_iter());
    assert!(took < Duration::from_secs(3), "took {took:?}, a run takes several seconds");
}
