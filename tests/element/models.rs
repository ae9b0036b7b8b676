// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kinds of models, and which file of a pair is used.

use cyclegan_contract::{Metadata, ValueRange, onnx::ModelProto};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video::{self, info},
};

const COLOR: [u8; 3] = [200, 60, 90];
const INVERTED: [u8; 3] = [55, 195, 165];
const SWAPPED: [u8; 3] = [90, 60, 200];

/// The output for a frame of [`COLOR`]; asserts that all pixels are equal.
fn translated(rig: &mut Rig, info: &VideoInfo) -> [u8; 3] {
    let output = video::to_rgb(&rig.translate(video::flat(info, COLOR)), info);
    let first = output[0];
    for pixel in output {
        assert!(is_near(pixel, first), "{pixel:?} beside {first:?}");
    }
    first
}

fn is_near(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 1)
}

#[track_caller]
fn assert_near(found: [u8; 3], expected: [u8; 3]) {
    assert!(is_near(found, expected), "{found:?} instead of {expected:?}");
}

/// An element with `model`, for small RGB frames.
fn playing(model: &std::path::Path) -> (Rig, VideoInfo) {
    let mut rig = Rig::new(model);
    let info = info(VideoFormat::Rgb, 64, 48);
    rig.set_info(&info);
    (rig, info)
}

fn playing_alone(model: &ModelProto) -> (Models, Rig, VideoInfo) {
    let models = Models::new();
    let (rig, info) = playing(&models.add("only.onnx", model));
    (models, rig, info)
}

#[test]
fn a_preloaded_direction_takes_effect_on_the_next_frame() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    // With preload, or after each direction was used once.
    for preload in [true, false] {
        let filter = rig::new_filter();
        filter.set_property("model", pair.to_str().unwrap());
        filter.set_property("preload", preload);
        let mut rig = Rig::with_filter(filter);
        let info = info(VideoFormat::Rgb, 64, 48);
        rig.set_info(&info);
        if !preload {
            rig.filter.set_property_from_str("direction", "reverse");
            rig::wait_until("F is loaded", || {
                translated(&mut rig, &info);
                rig.stat::<String>("direction") == "reverse"
            });
        }
        for (direction, expected) in
            [("forward", INVERTED), ("reverse", COLOR), ("forward", INVERTED), ("reverse", COLOR)]
        {
            rig.filter.set_property_from_str("direction", direction);
            assert_near(translated(&mut rig, &info), expected);
            assert_eq!(rig.stat::<String>("direction"), direction);
        }
        // Both generators stay loaded.
        rig.set_info(&self::info(VideoFormat::Bgr, 64, 48));
        rig.filter.set_property_from_str("direction", "forward");
        rig.set_info(&info);
        assert_near(translated(&mut rig, &info), INVERTED);
        assert!(rig::warnings_in(&rig.said()).is_empty());
    }
}

/// Only requested generators take memory, and frames keep flowing while the other one is loaded.
#[test]
fn the_other_direction_is_loaded_on_first_use() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::slow_invert(2));
    let (mut rig, info) = playing(&pair);
    assert_near(translated(&mut rig, &info), INVERTED);
    rig.filter.set_property_from_str("direction", "reverse");
    assert_near(translated(&mut rig, &info), INVERTED);
    assert_eq!(rig.stat::<String>("direction"), "forward", "a frame waited for F");
    rig::wait_until("F takes over", || {
        assert_near(translated(&mut rig, &info), INVERTED);
        rig.stat::<String>("direction") == "reverse"
    });
}

#[test]
fn the_direction_can_be_set_before_the_model_is_loaded() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::swap_channels());
    let filter = rig::new_filter();
    filter.set_property("model", pair.to_str().unwrap());
    filter.set_property_from_str("direction", "reverse");
    let mut rig = Rig::with_filter(filter);
    let info = info(VideoFormat::Rgb, 64, 48);
    rig.set_info(&info);
    assert_near(translated(&mut rig, &info), SWAPPED);
}

#[test]
fn a_model_needs_only_the_requested_direction() {
    let models = Models::new();
    models.add("half/F.onnx", &generators::invert());
    let filter = rig::new_filter();
    filter.set_property("model", models.folder().join("half").to_str().unwrap());
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    assert!(filter.set_state(gst::State::Ready).is_err(), "G is not there");
    let errors = rig::errors_in(&rig::said(&bus));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("G.onnx") && errors[0].contains("half"), "{}", errors[0]);

    filter.set_property_from_str("direction", "reverse");
    let mut rig = Rig::with_filter(filter);
    let info = info(VideoFormat::Rgb, 64, 48);
    rig.set_info(&info);
    assert_near(translated(&mut rig, &info), INVERTED);
    rig.said();
    rig.filter.set_property_from_str("direction", "forward");
    let warnings = rig::warnings_in(&rig.said());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("G.onnx"), "{}", warnings[0]);
    assert_near(translated(&mut rig, &info), INVERTED);
    assert_eq!(rig.stat::<String>("direction"), "reverse");
}

#[test]
fn value_ranges_are_taken_from_the_metadata() {
    use ValueRange::{MinusOneToOne, ZeroTo255, ZeroToOne};
    for (scale, offset, input, output) in [
        (-1.0, 0.0, MinusOneToOne, MinusOneToOne),
        (-1.0, 1.0, ZeroToOne, ZeroToOne),
        (-1.0, 255.0, ZeroTo255, ZeroTo255),
        (-2.0, 1.0, ZeroToOne, MinusOneToOne),
        (-127.5, 127.5, MinusOneToOne, ZeroTo255),
    ] {
        let model = generators::with_ranges(generators::linear(scale, offset), input, output);
        let (_models, mut rig, info) = playing_alone(&model);
        assert_near(translated(&mut rig, &info), INVERTED);
        rig.filter.set_property_from_str("upscale", "plain");
        assert_near(translated(&mut rig, &info), INVERTED);
    }
}

/// Values beyond white and black become white and black.
#[test]
fn values_out_of_range_are_clamped() {
    let (_models, mut rig, info) = playing_alone(&generators::linear(1e6, 0.0));
    assert_near(translated(&mut rig, &info), [255, 0, 0]);
}

#[test]
fn float16_models_are_run() {
    let (_models, mut rig, _) = playing_alone(&generators::in_float16(generators::invert()));
    let info = info(VideoFormat::Rgb, 256, 256);
    rig.set_info(&info);
    let input = video::random(&info, 9);
    let output = rig.translate(input.clone());
    let pairs = video::to_rgb(&input, &info).into_iter().zip(video::to_rgb(&output, &info));
    for (before, after) in pairs {
        assert_near(after, before.map(|value| 255 - value));
    }
}

#[test]
fn an_unused_mask_output_is_ignored() {
    let (_models, mut rig, info) = playing_alone(&generators::with_mask(generators::invert()));
    assert_near(translated(&mut rig, &info), INVERTED);
}

/// The frame is wider or higher than the model's fixed size.
#[test]
fn a_fixed_size_model_gets_the_letterboxed_frame() {
    let model = generators::with_size(generators::invert(), 64, 32);
    let (_models, mut rig, _) = playing_alone(&model);
    for (width, height) in [(256, 64), (64, 256), (64, 32), (37, 53), (1, 1)] {
        let info = info(VideoFormat::Rgb, width, height);
        rig.set_info(&info);
        let gradient =
            video::picture(&info, |x, y| [(x * 255 / width) as u8, (y * 255 / height) as u8, 128]);
        let output = video::to_rgb(&rig.translate(gradient.clone()), &info);
        for (before, after) in video::to_rgb(&gradient, &info).into_iter().zip(output) {
            let off = before.iter().zip(after).map(|(b, a)| (255 - b).abs_diff(a)).max();
            // A letterboxed 64×256 frame is 8 pixels wide in the tensor, so neighbours differ by 32 grey levels.
            assert!(off <= Some(40), "{width}×{height}: {before:?} became {after:?}");
        }
        assert_eq!((rig.stat::<u32>("width"), rig.stat::<u32>("height")), (64, 32));
    }
}

#[test]
fn load_options_can_change_in_ready() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    models.add("pair/G.int8.onnx", &generators::identity());
    let filter = rig::new_filter();
    filter.set_property("model", pair.to_str().unwrap());
    filter.set_property_from_str("execution-provider", "cpu");
    filter.set_state(gst::State::Ready).unwrap();
    let active = || filter.property::<String>("active-model");
    assert!(active().ends_with("G.int8.onnx"), "{}", active());
    filter.set_property_from_str("precision", "fp32");
    let mut rig = Rig::with_filter(filter.clone());
    assert!(active().ends_with("G.onnx"), "{}", active());
    let info = info(VideoFormat::Rgb, 64, 48);
    rig.set_info(&info);
    assert_near(translated(&mut rig, &info), INVERTED);
}

#[test]
fn precision_selects_the_variant() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::invert());
    models.add("pair/G.int8.onnx", &generators::swap_channels());
    models.add("pair/G.fp16.onnx", &generators::in_float16(generators::identity()));
    for (precision, expected) in
        [("auto", SWAPPED), ("int8", SWAPPED), ("fp16", COLOR), ("fp32", INVERTED)]
    {
        let filter = rig::new_filter();
        filter.set_property("model", pair.to_str().unwrap());
        filter.set_property_from_str("precision", precision);
        filter.set_property_from_str("execution-provider", "cpu");
        // F has only the float32 file. `auto` falls back to it; a named precision is an error when F is
        // requested.
        let has_all = matches!(precision, "auto" | "fp32");
        if !has_all {
            let bus = gst::Bus::new();
            filter.set_bus(Some(&bus));
            for (name, value) in [("preload", "true"), ("direction", "reverse")] {
                filter.set_property_from_str(name, value);
                assert!(filter.set_state(gst::State::Ready).is_err(), "{name}");
                let errors = rig::errors_in(&rig::said(&bus));
                assert_eq!(errors.len(), 1, "{errors:?}");
                assert!(errors[0].contains(&format!("F.{precision}.onnx")), "{}", errors[0]);
                filter.set_property("preload", false);
            }
            filter.set_property_from_str("direction", "forward");
            models.add(&format!("pair/F.{precision}.onnx"), &generators::identity());
        }
        let mut rig = Rig::with_filter(filter);
        let info = info(VideoFormat::Rgb, 64, 48);
        rig.set_info(&info);
        assert_near(translated(&mut rig, &info), expected);
    }
}

#[test]
fn inference_size_sets_the_tensor_size() {
    let size = Metadata { size: Some(128), multiple_of: 32, ..Default::default() };
    let model = generators::with_metadata(generators::invert(), &size);
    for (inference_size, frame, expected) in [
        (0, (320, 160), (256, 128)),
        (0, (160, 320), (128, 256)),
        (64, (320, 160), (128, 64)),
        (100, (100, 100), (128, 128)),
        (-1, (320, 160), (320, 160)),
        (-1, (321, 159), (352, 160)),
    ] {
        let models = Models::new();
        let filter = rig::new_filter();
        filter.set_property("model", models.add("G.onnx", &model).to_str().unwrap());
        filter.set_property("inference-size", inference_size);
        let mut rig = Rig::with_filter(filter);
        let info = info(VideoFormat::Rgb, frame.0, frame.1);
        rig.set_info(&info);
        assert_near(translated(&mut rig, &info), INVERTED);
        let seen = (rig.stat::<u32>("width"), rig.stat::<u32>("height"));
        assert_eq!(seen, expected, "{frame:?} at inference-size={inference_size}");
    }
}

/// Many U-Nets fail at other sizes than the multiples of a power of two.
#[test]
fn the_error_at_another_size_names_the_metadata() {
    let models = Models::new();
    let model = models.add("unet.onnx", &generators::identity_at(256));
    let pipeline = rig::pipeline(
        "videotestsrc ! video/x-raw,width=320,height=160 ! cycleganfilter {model} ! fakesink",
        &model,
    );
    let errors = rig::errors_in(&rig::run_to_end(&pipeline));
    assert_eq!(errors.len(), 1, "{errors:?}");
    for words in ["512×256", "another number than 4", "`cyclegan.multiple_of`"] {
        assert!(errors[0].contains(words), "`{}` does not say `{words}`", errors[0]);
    }
}

/// Frames with non-square pixels are scaled to their display aspect ratio.
#[test]
fn the_generator_input_has_the_display_aspect_ratio() {
    let (_models, mut rig, _) = playing_alone(&generators::invert());
    let info =
        VideoInfo::builder(VideoFormat::I420, 720, 576).fps((25, 1)).par((64, 45)).build().unwrap();
    rig.set_info(&info);
    rig.translate(video::flat(&info, COLOR));
    let (width, height) = (rig.stat::<u32>("width"), rig.stat::<u32>("height"));
    assert_eq!(height, 256);
    let aspect = f64::from(width) / f64::from(height);
    assert!((aspect - 16.0 / 9.0).abs() < 0.02, "{width}×{height}");
}

/// The same at the frame's own size: one side is upscaled, so no detail is lost.
#[test]
fn inference_at_frame_size_has_the_display_aspect_ratio() {
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    for (par, expected) in
        [((2, 1), (320, 80)), ((1, 2), (160, 160)), ((16, 15), (172, 80)), ((1, 1), (160, 80))]
    {
        let filter = rig::new_filter();
        filter.set_property("model", model.to_str().unwrap());
        filter.set_property("inference-size", -1);
        let mut rig = Rig::with_filter(filter);
        let info = VideoInfo::builder(VideoFormat::Rgb, 160, 80).fps((25, 1)).par(par).build();
        let info = info.unwrap();
        rig.set_info(&info);
        assert_near(translated(&mut rig, &info), INVERTED);
        assert_eq!((rig.stat::<u32>("width"), rig.stat::<u32>("height")), expected, "{par:?}");
    }
}

/// `avidemux` sets such a ratio for files without one; the pixels then count as square.
#[test]
fn an_invalid_pixel_aspect_ratio_is_ignored() {
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    for par in [(-1, 1), (0, 1), (-4, 3)] {
        for inference_size in [-1, 40] {
            let filter = rig::new_filter();
            filter.set_property("model", model.to_str().unwrap());
            filter.set_property("inference-size", inference_size);
            let mut rig = Rig::with_filter(filter);
            let info = VideoInfo::builder(VideoFormat::Rgb, 160, 80).fps((25, 1)).par(par).build();
            let info = info.unwrap();
            rig.set_info(&info);
            assert_near(translated(&mut rig, &info), INVERTED);
            let found = (rig.stat::<u32>("width"), rig.stat::<u32>("height"));
            let expected = if inference_size == -1 { (160, 80) } else { (80, 40) };
            assert_eq!(found, expected, "{par:?} at {inference_size}");
        }
    }
}

#[test]
fn a_new_inference_size_takes_effect_while_playing() {
    let (_models, mut rig, info) = playing_alone(&generators::invert());
    assert_near(translated(&mut rig, &info), INVERTED);
    assert_eq!(rig.stat::<u32>("height"), 256);
    rig.filter.set_property("inference-size", 32);
    rig::wait_until("the generator sees 32 rows", || {
        assert_near(translated(&mut rig, &info), INVERTED);
        rig.stat::<u32>("height") == 32
    });
}

/// A generator from another project, without our metadata.
#[test]
fn the_reference_generator_loads_with_the_defaults() {
    let Some(model) = rig::shared("models/reference_horse2zebra.onnx") else { return };
    let mut rig = Rig::new(&model);
    let info = info(VideoFormat::I420, 320, 240);
    rig.set_info(&info);
    let input = video::picture(&info, |x, y| [(x * 200 / 320) as u8, 120, (y * 200 / 240) as u8]);
    let output = rig.translate(input.clone());
    let distance = video::samples(&input, &info).distance(&video::samples(&output, &info));
    assert!(distance > 10, "a horse2zebra generator changes more than {distance} grey levels");
    assert_eq!(rig.stat::<u32>("height"), 256);
}
