// SPDX-License-Identifier: MIT OR Apache-2.0

//! The filter plays exported pairs.

use std::path::Path;

use crate::common::{SMALL, data_set, gst_launch, has_plugin, run};

/// The exported pair of a small run, with int8 variants.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        let (data, out, pair) = (case.path("data"), case.path("run"), case.path("pair"));
        data_set(Path::new(&data), 4);
        let train = ["train", "--data", &data, "--out", &out, "--mask-head", "--max-iters", "3"];
        run(&[&train, SMALL].concat());
        let int8 = ["--variants", "int8", "--calibration-images", "2", "--float-share", "0"];
        run(&[&["export", "--run", &out, "--out", &pair][..], &int8].concat());
        case
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The filter's output frames with the pair and some properties.
    fn play(&self, properties: &str) -> Vec<u8> {
        let pipeline = format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=64,height=64 ! \
             cycleganfilter model=pair execution-provider=cpu {properties} ! \
             filesink location=frames.raw"
        );
        gst_launch(self.folder.path(), &pipeline);
        let frames = std::fs::read(self.path("frames.raw")).unwrap();
        assert_eq!(frames.len(), 3 * 64 * 64 * 3);
        frames
    }
}

#[test]
fn gst_launch_plays_an_exported_pair() {
    if !has_plugin() {
        return;
    }
    let case = Case::new();
    for direction in ["forward", "reverse"] {
        let of = |precision: &str| case.play(&format!("direction={direction} {precision}"));
        let [float32, int8] = [of("precision=fp32"), of("precision=int8")];
        assert_ne!(float32, int8, "rounding to 8 bits changes something");
        let pairs = float32.iter().zip(&int8);
        let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst < Some(20), "{direction}: {worst:?}");
        assert_eq!(of(""), int8, "int8 is what suits a CPU");
    }
}
