// SPDX-License-Identifier: MIT OR Apache-2.0

//! What goes out beside the translated frame: the generator's mask, alone or as alpha.

use std::path::Path;

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// A generator that inverts, and whose mask is the red of the frame.
fn rig(models: &Models, output: &str, max_in_flight: u32, info: &VideoInfo) -> Rig {
    let filter = rig::new_filter();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property_from_str("output", output);
    filter.set_property("max-in-flight", max_in_flight);
    let mut rig = Rig::with_filter(filter);
    rig.set_info(info);
    rig
}

/// Red on the left, and as little of it as there is on the right.
fn half_red(info: &VideoInfo) -> gst::Buffer {
    video::picture(info, |x, _| if 2 * x < info.width() { [255, 40, 60] } else { [0, 40, 60] })
}

#[test]
fn the_mask_goes_out_as_gray() {
    for format in [VideoFormat::Rgb, VideoFormat::I420, VideoFormat::V210] {
        for max_in_flight in [1, 3] {
            let models = Models::new();
            let info = video::info(format, 98, 50);
            let mut rig = rig(&models, "mask", max_in_flight, &info);
            let output = rig.translate(half_red(&info));
            let caps = rig.filter.static_pad("src").unwrap().current_caps().unwrap();
            let gray = VideoInfo::from_caps(&caps).unwrap();
            assert_eq!(gray.format(), VideoFormat::Gray8);
            assert_eq!((gray.width(), gray.height(), gray.fps()), (98, 50, info.fps()));
            assert_eq!(output.size(), gray.size());
            let samples = video::to_rgb(&output, &gray);
            let at = |x: usize| samples[20 * 98 + x][0];
            // 8-bit colours of other formats are a little off.
            assert!(at(10) > 240 && at(90) < 10, "{format:?}: {} and {}", at(10), at(90));
            assert_eq!(rig.stat::<u64>("frames-translated"), 1);
        }
    }
}

#[test]
fn the_mask_goes_out_as_alpha() {
    for format in [VideoFormat::Rgba, VideoFormat::Bgra, VideoFormat::Ayuv, VideoFormat::A420] {
        let models = Models::new();
        let info = video::info(format, 98, 50);
        let mut rig = rig(&models, "alpha", 1, &info);
        let output = rig.translate(half_red(&info));
        let alpha = video::samples(&output, &info).alpha();
        let most = alpha.iter().copied().max().unwrap();
        let at = |x: usize| f64::from(alpha[20 * 98 + x]) / f64::from(most);
        assert!(at(10) > 0.94 && at(90) < 0.05, "{format:?}: {} and {}", at(10), at(90));
        let color = video::to_rgb(&output, &info)[20 * 98 + 10];
        assert!(color[0] < 12 && color[1].abs_diff(215) < 12, "{format:?}: {color:?}");
    }
}

/// Beyond the mask the frame stays as it is, whatever the generator leaves there.
#[test]
fn nothing_is_changed_where_the_mask_is_nothing() {
    let models = Models::new();
    let info = video::info(VideoFormat::Rgb, 96, 48);
    let mut rig = rig(&models, "video", 1, &info);
    let output = video::to_rgb(&rig.translate(half_red(&info)), &info);
    assert_eq!(output[20 * 96 + 90], [0, 40, 60]);
    assert!(output[20 * 96 + 5][1].abs_diff(215) <= 1, "{:?}", output[20 * 96 + 5]);
}

#[test]
fn a_frame_that_passes_has_a_mask_of_nothing() {
    for (output, format) in [("mask", VideoFormat::I420), ("alpha", VideoFormat::Rgba)] {
        let models = Models::new();
        let info = video::info(format, 96, 48);
        let mut rig = rig(&models, output, 1, &info);
        rig.translate(half_red(&info));
        rig.filter.set_property("strength", 0.0);
        let passed = rig.translate(half_red(&info));
        if output == "mask" {
            assert!(passed.map_readable().unwrap().iter().all(|&value| value == 0));
        } else {
            assert!(video::samples(&passed, &info).alpha().iter().all(|&alpha| alpha == 0));
            assert_eq!(video::to_rgb(&passed, &info)[0], [255, 40, 60]);
        }
    }
}

#[test]
fn a_mask_that_the_model_lacks_is_one_error() {
    let models = Models::new();
    let model = models.add("plain.onnx", &generators::invert());
    let pipeline = rig::pipeline(
        "videotestsrc ! video/x-raw,width=32,height=32 ! cycleganfilter output=mask {model} \
         ! fakesink",
        &model,
    );
    let errors = rig::errors_in(&rig::run_to_end(&pipeline));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("plain.onnx") && errors[0].contains("`mask`"), "{}", errors[0]);
}

#[test]
fn a_pipeline_writes_masks_beside_frames() {
    let models = Models::new();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    let run = |description: &str, model: &Path| {
        rig::assert_ended(&rig::run_to_end(&rig::pipeline(description, model)));
    };
    run(
        "videotestsrc num-buffers=3 ! cycleganfilter output=mask inference-size=64 {model} \
         ! video/x-raw,format=GRAY8,width=320,height=240 ! fakesink",
        &model,
    );
    run(
        "videotestsrc num-buffers=3 ! videoconvert ! cycleganfilter output=alpha {model} \
         inference-size=64 ! video/x-raw,format=RGBA,width=320,height=240 ! fakesink",
        &model,
    );
}
