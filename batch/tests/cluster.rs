// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ready files of `examples/cluster`: the Slurm one runs for real, on a cluster of this machine.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{fs, path::Path};

use common::{
    Place, generators, load_plugin,
    media::{make_clip, tracks},
    skip::is_slow_wanted,
};
use cyclegan_test_support::slurm::Slurm;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cluster");
const CLIPS: usize = 16;

#[test]
fn the_kubernetes_job_tells_as_many_shares_as_it_has_pods() {
    let job = fs::read_to_string(Path::new(EXAMPLES).join("kubernetes-job.yaml")).unwrap();
    let after = |key: &str| {
        let rest = job.split(key).nth(1).unwrap_or_else(|| panic!("no {key}"));
        rest.split_whitespace().next().unwrap().trim_matches('"').to_owned()
    };
    assert_eq!(after("completionMode:"), "Indexed");
    assert_eq!(after("CYCLEGAN_BATCH_SHARDS\n              value:"), after("completions:"));
}

#[test]
fn a_slurm_array_translates_a_folder_though_a_task_is_killed() {
    if !is_slow_wanted("running a Slurm array") || !Slurm::is_installed() {
        return;
    }
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/0.mp4"), 50, 25);
    for number in 1..CLIPS {
        fs::copy(place.path("in/0.mp4"), place.path(format!("in/{number}.mp4"))).unwrap();
    }
    let slurm = Slurm::start(place.path("slurm"));
    let programs = Path::new(env!("CARGO_BIN_EXE_cyclegan-batch")).parent().unwrap();
    let mut submit = slurm.command("sbatch");
    load_plugin(&mut submit);
    let paths = std::env::var("PATH").unwrap();
    submit
        .current_dir(place.path(""))
        .env("PATH", format!("{}:{paths}", programs.display()))
        .args(["--parsable", "--cpus-per-task=1"])
        .arg(Path::new(EXAMPLES).join("slurm.sbatch"))
        .args(["in", "--out", "out", "--model", "model.onnx", "--jobs", "1"])
        .args(["--filter", "inference-size=128"]);
    let job = slurm.submit(&mut submit);

    let log =
        |task: usize| fs::read_to_string(place.path(format!("cyclegan-batch-{job}-{task}.log")));
    // One task is killed in the middle of its work. Slurm calls it running before it has begun.
    let victim = format!("{job}_2");
    slurm.wait_for("running task", |slurm| slurm.is(&victim, "RUNNING"));
    slurm.wait_for("work in the outputs", |_| place.out(".cyclegan-batch").is_dir());
    slurm.wait_for("word of its share", |_| log(2).is_ok_and(|log| log.contains("share 2/4: ")));
    slurm.requeue(&victim);
    slurm.wait_for_the_end();

    let logs: Vec<String> = (1..=4).map(|task| log(task).unwrap()).collect();
    assert_eq!(
        logs[1].matches("share 2/4: ").count(),
        2,
        "the second task was not begun twice: {}",
        logs[1]
    );
    for number in 0..CLIPS {
        let name = format!("{number}.mp4");
        let finished: usize =
            logs.iter().map(|log| log.matches(&format!("out/{name}: 50 frames")).count()).sum();
        assert_eq!(finished, 1, "{name} was translated {finished} times: {logs:?}");
        assert_eq!(tracks(&place.out(&name))[0].times.len(), 50);
    }
    assert!(logs.iter().all(|log| log.contains(", 0 failed")), "{logs:?}");
}
