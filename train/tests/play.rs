// SPDX-License-Identifier: MIT OR Apache-2.0

//! The filter plays what the trainer exports, with no step between.

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use common::{SMALL, data_set, run, say_skipped};

/// The plugin that the same build made, or the one that GStreamer is told to find.
fn plugin_folder() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_cyclegan-train")).parent()?;
    let folders = std::env::var_os("GST_PLUGIN_PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&folders).chain([built.to_owned()]);
    places.find(|folder| folder.join("libgstcyclegan.so").is_file())
}

#[test]
fn gst_launch_plays_an_exported_pair() {
    let Some(plugin) = plugin_folder() else {
        say_skipped("SKIP: no libgstcyclegan.so beside this build nor in GST_PLUGIN_PATH");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair, frames) = (path("data"), path("run"), path("pair"), path("frames.raw"));
    data_set(Path::new(&data), 4);
    let arguments = ["train", "--data", &data, "--out", &out, "--mask-head", "--max-iters", "3"];
    run(&[&arguments, SMALL].concat());
    run(&["export", "--run", &out, "--out", &pair]);
    // The plugin alone in a folder: GStreamer would read all of the build's as plugins.
    let alone = folder.path().join("plugin");
    std::fs::create_dir(&alone).unwrap();
    std::fs::copy(plugin.join("libgstcyclegan.so"), alone.join("libgstcyclegan.so")).unwrap();
    for direction in ["forward", "reverse"] {
        let pipeline = format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=64,height=64 ! \
             cycleganfilter model={pair} direction={direction} execution-provider=cpu ! \
             filesink location={frames}"
        );
        let output = Command::new("gst-launch-1.0")
            .args(["-q"])
            .args(pipeline.split_whitespace())
            .env("GST_PLUGIN_PATH", &alone)
            .env("GST_REGISTRY", path("registry"))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{direction}: {stderr}");
        assert_eq!(std::fs::metadata(&frames).unwrap().len(), 3 * 64 * 64 * 3);
    }
}
