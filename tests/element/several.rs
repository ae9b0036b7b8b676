// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several filters in one process share one session and its memory.

use std::{env, fs, path::Path, process::Command, sync::Arc};

use cyclegan_contract::{Direction, Metadata};
use cyclegan_runtime::{LoadOptions, Pair, ProviderOptions};
use gst::prelude::*;
use gst_video::VideoFormat;

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// The variables that pass the model and the number of filters to the process that is measured.
const CHILD: [&str; 2] = ["CYCLEGAN_TEST_MODEL", "CYCLEGAN_TEST_FILTERS"];

#[test]
fn filters_with_one_model_share_its_session() {
    rig::init();
    let models = Models::new();
    let file = models.add("G.onnx", &generators::invert());
    let options = LoadOptions {
        provider: None,
        allow_fallback: false,
        precision: None,
        provider_options: ProviderOptions {
            device_id: 0,
            threads: 1,
            cache_dir: models.folder().to_path_buf(),
        },
    };
    let load = || {
        let pair = Pair::load(file.to_str().unwrap(), &options).unwrap();
        pair.generator(Direction::AToB).unwrap().clone()
    };
    let first = load();
    assert!(Arc::ptr_eq(&first, &load()));

    // Another file under the same name is another model.
    models.add("G.onnx", &generators::with_size(generators::identity(), 32, 32));
    assert!(!Arc::ptr_eq(&first, &load()));
}

/// Each measurement has a separate process, since a process may keep memory that it has freed.
#[test]
fn eight_filters_take_less_than_twice_the_memory_of_one() {
    let models = Models::new();
    // The weights take 22 MB, so eight copies would exceed the limit.
    let small = Metadata { size: Some(16), ..Default::default() };
    let heavy = generators::with_metadata(generators::slow_invert(150), &small);
    let model = models.add("heavy.onnx", &heavy);
    let (one, eight) = (peak_kib(&model, 1), peak_kib(&model, 8));
    eprintln!("{one} KiB with one filter, {eight} KiB with eight");
    assert!(eight < 2 * one, "{one} KiB with one filter, {eight} KiB with eight");
}

/// The peak memory in KiB of a process in which so many filters translate a frame.
fn peak_kib(model: &Path, filters: u32) -> u64 {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "several::a_process_with_filters", "--nocapture"])
        .env(CHILD[0], model)
        .env(CHILD[1], filters.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find_map(|line| line.split_once("VmHWM:"));
    line.expect("the process did not measure itself")
        .1
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// What [`peak_kib`] starts; nothing where it did not.
#[test]
fn a_process_with_filters() {
    let [Some(model), Some(filters)] = CHILD.map(|name| env::var(name).ok()) else { return };
    rig::init();
    let info = video::info(VideoFormat::I420, 64, 48);
    let rigs = (0..filters.parse::<u32>().unwrap()).map(|_| {
        let filter = rig::new_filter();
        filter.set_property("model", &model);
        let mut rig = Rig::with_filter(filter);
        rig.set_info(&info);
        rig.translate(video::random(&info, 1));
        rig
    });
    let rigs: Vec<_> = rigs.collect();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
    drop(rigs);
}
