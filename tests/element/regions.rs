// SPDX-License-Identifier: MIT OR Apache-2.0

//! `regions=meta`: boxes are translated, and the rest of the frame is unchanged.

use cyclegan_contract::{
    Metadata,
    onnx::{DataType, GraphProto, ModelProto},
};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

use crate::{
    formats::{is_exact, is_paletted, quantum},
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

type Rectangle = (u32, u32, u32, u32);

const BOX: Rectangle = (40, 30, 48, 40);
/// The margin in which pixels may change: a quarter of the box's mean side, rounded up to four pixels.
const LEFT_TOP: (u32, u32) = (28, 16);
const RIGHT_BOTTOM: (u32, u32) = (100, 84);

/// An element with `generator` at 32 pixels and `regions=meta`.
fn rig(model: ModelProto) -> (Models, Rig) {
    let models = Models::new();
    let path = models.add("G.onnx", &small(model));
    (models, rig_with(path.to_str().unwrap()))
}

fn rig_with(model: &str) -> Rig {
    let filter = rig::new_filter();
    filter.set_property("model", model);
    filter.set_property_from_str("regions", "meta");
    Rig::with_filter(filter)
}

fn small(model: ModelProto) -> ModelProto {
    generators::with_metadata(model, &Metadata { size: Some(32), ..Default::default() })
}

fn with_boxes(mut buffer: gst::Buffer, boxes: &[Rectangle]) -> gst::Buffer {
    let target = buffer.make_mut();
    for rectangle in boxes {
        VideoRegionOfInterestMeta::add(target, "horse", *rectangle);
    }
    buffer
}

/// Adds a box whose type is a quark, 0 for none.
pub fn add_box(buffer: &mut gst::BufferRef, quark: u32, (x, y, width, height): Rectangle) {
    // SAFETY: the buffer is writable.
    unsafe {
        let buffer = buffer.as_mut_ptr();
        gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(
            buffer, quark, x, y, width, height,
        );
    }
}

fn is_near((x, y): (u32, u32)) -> bool {
    (LEFT_TOP.0..RIGHT_BOTTOM.0).contains(&x) && (LEFT_TOP.1..RIGHT_BOTTOM.1).contains(&y)
}

/// The grey of a pixel of an RGB frame.
fn grey(buffer: &gst::Buffer, info: &VideoInfo, x: u32, y: u32) -> u8 {
    video::to_rgb(buffer, info)[(y * info.width() + x) as usize][1]
}

fn counts(rig: &Rig) -> (u64, u64) {
    (rig.stat("frames-translated"), rig.stat("frames-passed"))
}

#[test]
fn pixels_outside_the_margin_of_a_box_are_bit_identical() {
    let (_models, mut rig) = rig(generators::invert());
    for (upscale, width, height) in [("residual", 121, 95), ("plain", 120, 96)] {
        rig.filter.set_property_from_str("upscale", upscale);
        let mut wrong = Vec::new();
        for format in video::formats() {
            let info = video::info(format, width, height);
            let input = video::random(&info, 3);
            rig.set_info(&info);
            let output = rig.translate(with_boxes(input.clone(), &[BOX]));
            let (before, after) = (video::samples(&input, &info), video::samples(&output, &info));
            let differing = before.differing(&after);
            let far = differing.iter().filter(|place| !is_near(**place)).count();
            if far > 0 && is_exact(format, width) {
                wrong.push(format!("{format:?}: {far} pixels"));
            }
            if differing.len() < 48 * 40 / 2 {
                wrong.push(format!("{format:?}: only {} pixels changed", differing.len()));
            }
            if !is_paletted(format) && before.alpha() != after.alpha() {
                wrong.push(format!("{format:?}: alpha"));
            }
        }
        assert!(wrong.is_empty(), "{upscale}: {wrong:#?}");
    }
}

/// Which of four boxes are translated with `region-types` set to `types`.
fn translated(types: &[&str]) -> Vec<&'static str> {
    const NAMES: [&str; 4] = ["horse", "zebra", "dog", ""];
    let (_models, mut rig) = rig(generators::invert());
    rig.filter.set_property("region-types", gst::Array::new(types.iter().copied()));
    let info = video::info(VideoFormat::Rgb, 640, 120);
    rig.set_info(&info);
    let mut frame = video::flat(&info, [100; 3]);
    for (x, name) in (40..).step_by(160).zip(NAMES) {
        VideoRegionOfInterestMeta::add(frame.make_mut(), name, (x, 30, 48, 40));
    }
    let output = rig.translate(frame);
    let is_translated = |x: u32| grey(&output, &info, x + 24, 50) != 100;
    let names = (40..).step_by(160).zip(NAMES);
    names.filter(|(x, _)| is_translated(*x)).map(|(_, name)| name).collect()
}

#[test]
fn region_types_selects_boxes() {
    assert_eq!(translated(&[]), ["horse", "zebra", "dog", ""]);
    assert_eq!(translated(&["zebra"]), ["zebra"]);
    assert_eq!(translated(&["dog", "cat", "horse"]), ["horse", "dog"]);
    assert_eq!(translated(&["cat"]), [""; 0]);
    assert_eq!(translated(&["horse", ""]), ["horse", ""]);
}

/// Elements in C may add a box without a type, or with one that is not UTF-8.
#[test]
fn a_box_without_a_valid_type_has_the_empty_type() {
    let (_models, mut rig) = rig(generators::invert());
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    // SAFETY: a string that ends with NUL, which GLib copies.
    let latin1 = unsafe { gst::glib::ffi::g_quark_from_string(c"b\xeate".as_ptr()) };
    for quark in [0, latin1] {
        for (types, expected) in [("<>", 155), ("<\"\">", 155), ("<horse>", 100)] {
            rig.filter.set_property_from_str("region-types", types);
            let mut frame = video::flat(&info, [100; 3]);
            add_box(frame.make_mut(), quark, BOX);
            assert_eq!(grey(&rig.translate(frame), &info, 64, 50), expected, "{quark} {types}");
        }
    }
}

#[test]
fn region_types_is_a_list_and_can_change_while_playing() {
    let (_models, mut rig) = rig(generators::invert());
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    let mut inside = |types: &str| {
        rig.filter.set_property_from_str("region-types", types);
        let frame = with_boxes(video::flat(&info, [100; 3]), &[BOX]);
        grey(&rig.translate(frame), &info, 64, 50)
    };
    assert_eq!(inside("<zebra>"), 100);
    assert_eq!(inside("<zebra, horse>"), 155);
    assert_eq!(inside("<cat, \"a big dog\">"), 100);
    assert_eq!(inside("<>"), 155);
    rig.filter.set_property_from_str("region-types", "<zebra, \"a big dog\">");
    let types = rig.filter.property::<gst::Array>("region-types");
    let types: Vec<_> = types.iter().map(|name| name.get::<String>().unwrap()).collect();
    assert_eq!(types, ["zebra", "a big dog"]);
}

/// These metas tell encoders which parts of the frame need more or fewer bits.
#[test]
fn encoder_roi_hints_are_not_boxes() {
    let (_models, mut rig) = rig(generators::invert());
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    for (name, types) in [("horse", "<>"), ("horse", "<horse>"), ("roi/va", "<>")] {
        rig.filter.set_property_from_str("region-types", types);
        let mut frame = video::flat(&info, [100; 3]);
        let mut meta = VideoRegionOfInterestMeta::add(frame.make_mut(), name, BOX);
        if name == "horse" {
            meta.add_param(gst::Structure::builder("roi/va").field("delta-qp", -5).build());
        }
        assert_eq!(grey(&rig.translate(frame), &info, 64, 50), 100, "{name} {types}");
    }
    // A detector's meta is not such a hint.
    let mut frame = video::flat(&info, [100; 3]);
    let mut meta = VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", BOX);
    meta.add_param(gst::Structure::builder("detection").field("confidence", 0.9).build());
    assert_eq!(grey(&rig.translate(frame), &info, 64, 50), 155);
}

/// With an identity generator and plain upscaling, a smooth image stays in place: the position of the crop is
/// that of the output.
#[test]
fn a_region_is_cropped_and_composited_at_the_same_place() {
    let (_models, mut rig) = rig(generators::identity());
    rig.filter.set_property_from_str("upscale", "plain");
    let mut wrong = Vec::new();
    for format in video::formats() {
        let info = video::info(format, 160, 120);
        let gradient = video::picture(&info, |x, y| {
            [(40 + x) as u8, (60 + y) as u8, (200 - (x + y) / 2) as u8]
        });
        rig.set_info(&info);
        let output = rig.translate(with_boxes(gradient.clone(), &[BOX, (100, 70, 36, 40)]));
        let off = video::samples(&gradient, &info).distance(&video::samples(&output, &info));
        if off > 3 + quantum(format) {
            wrong.push(format!("{format:?}: {off}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn strength_applies_to_boxes() {
    let (_models, mut rig) = rig(generators::invert());
    for format in [VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Rgba, VideoFormat::I42010le] {
        let info = video::info(format, 160, 120);
        for upscale in ["residual", "plain"] {
            for (strength, expected) in [(1.0, 55), (0.5, 128)] {
                rig.filter.set_property_from_str("upscale", upscale);
                rig.filter.set_property("strength", strength);
                rig.set_info(&info);
                let output = rig.translate(with_boxes(video::flat(&info, [200; 3]), &[BOX]));
                let inside = grey(&output, &info, 64, 50);
                assert!(inside.abs_diff(expected) <= 3, "{format:?} {upscale}: {inside}");
                assert_eq!(grey(&output, &info, 10, 10), grey(&output, &info, 150, 110));
            }
        }
    }
}

#[test]
fn a_frame_without_boxes_is_unchanged() {
    let (_models, mut rig) = rig(generators::invert());
    let info = video::info(VideoFormat::I420, 160, 120);
    rig.set_info(&info);
    let nowhere = [(160, 0, 20, 20), (0, 4000, 20, 20), (10, 10, 0, 20), (10, 10, 20, 0)];
    for boxes in [[].as_slice(), &nowhere] {
        let input = video::random(&info, 1);
        let output = rig.translate(with_boxes(input.clone(), boxes));
        assert_eq!(video::samples(&input, &info).distance(&video::samples(&output, &info)), 0);
    }
    assert_eq!(counts(&rig), (0, 2));
}

#[test]
fn degenerate_boxes_are_tolerated() {
    let (_models, mut rig) = rig(generators::invert());
    let info = video::info(VideoFormat::Nv12, 160, 120);
    rig.set_info(&info);
    let left_of_it = (0u32.wrapping_sub(30), 20, 60, 40);
    let hundred: Vec<_> = (0..100).map(|i| (i * 13 % 160, i * 29 % 120, 5 + i % 30, 9)).collect();
    let everything = [(0, 0, u32::MAX, u32::MAX)];
    for boxes in [&[left_of_it][..], &hundred, &everything, &[(u32::MAX, u32::MAX, 9, 9), BOX]] {
        let input = video::flat(&info, [200; 3]);
        let output = rig.translate(with_boxes(input.clone(), boxes));
        let changed = video::samples(&input, &info).distance(&video::samples(&output, &info));
        assert!(changed > 100, "{boxes:?}");
    }
    let output = rig.translate(with_boxes(video::flat(&info, [200; 3]), &[left_of_it]));
    assert!(grey(&output, &info, 0, 40).abs_diff(55) <= 2);
    assert_eq!(counts(&rig), (5, 0));
}

/// Boxes that are side by side or overlap are not translated twice.
#[test]
fn overlapping_boxes_are_translated_once() {
    let (_models, mut rig) = rig(generators::linear(1.0, 0.4));
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    for boxes in [[(30, 30, 50, 50), (60, 30, 50, 50)], [(30, 30, 60, 60), (40, 40, 20, 20)]] {
        let output = rig.translate(with_boxes(video::flat(&info, [100; 3]), &boxes));
        for x in 31..79 {
            let found = grey(&output, &info, x, 50);
            // Between samples, the weights of each region are interpolated linearly.
            assert!(found.abs_diff(151) <= 6, "{boxes:?} {x}: {found}");
        }
    }
}

#[test]
fn padding_does_not_change_regions() {
    let (_models, mut rig) = rig(generators::invert());
    for format in [VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Rgba, VideoFormat::I42010le] {
        let info = video::info(format, 161, 119);
        let input = video::random(&info, 5);
        let padded = video::padded(&input, &info, 6).unwrap();
        rig.set_info(&info);
        let plain = rig.translate(with_boxes(input, &[BOX]));
        let from_padded = rig.translate(with_boxes(padded, &[BOX]));
        let off = video::samples(&plain, &info).distance(&video::samples(&from_padded, &info));
        assert_eq!(off, 0, "{format:?}");
    }
}

#[test]
fn a_held_frame_gets_the_residuals_of_the_last_boxes() {
    let (_models, mut rig) = rig(generators::linear(1.0, 0.4));
    rig.filter.set_property_from_str("late-frames", "hold");
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    rig.translate(with_boxes(video::flat(&info, [100; 3]), &[BOX]));
    let qos = gst::event::Qos::builder(gst::QOSType::Underflow, 2.0, 500_000_000)
        .timestamp(gst::ClockTime::from_mseconds(200))
        .build();
    assert!(rig.harness.push_upstream_event(qos));
    let mut late = with_boxes(video::flat(&info, [60; 3]), &[(44, 30, 48, 40)]);
    late.make_mut().set_pts(gst::ClockTime::from_mseconds(40));
    let output = rig.translate(late);
    assert!(grey(&output, &info, 64, 50).abs_diff(111) <= 2);
    assert_eq!(grey(&output, &info, 10, 10), 60);
    assert_eq!(rig.stat::<u64>("frames-held"), 1);
}

#[test]
fn smoothing_follows_a_moving_box() {
    let (_models, mut rig) = rig(generators::invert());
    rig.filter.set_property("smoothing", 0.6);
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    let mut translate = |level: u8, x: u32| {
        let frame = with_boxes(video::flat(&info, [level; 3]), &[(x, 30, 48, 40)]);
        grey(&rig.translate(frame), &info, 70, 50)
    };
    assert!(translate(100, 40).abs_diff(155) <= 1);
    // As for a whole frame: the residual is 35 + 0.6 · 14/24 · 20.
    let smoothed = translate(110, 44);
    assert!((151..=153).contains(&smoothed), "{smoothed}");
}

#[test]
fn smoothing_of_boxes_restarts_when_upscale_changes() {
    let (_models, mut rig) = rig(generators::invert());
    rig.filter.set_property("smoothing", 0.8);
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    for upscale in ["residual", "plain", "residual"] {
        rig.filter.set_property_from_str("upscale", upscale);
        let frame = with_boxes(video::flat(&info, [100; 3]), &[BOX]);
        let inside = grey(&rig.translate(frame), &info, 64, 50);
        assert!(inside.abs_diff(155) <= 1, "{upscale}: {inside}");
    }
}

#[test]
fn regions_and_direction_can_change_while_playing() {
    let models = Models::new();
    let pair =
        models.add_pair("pair", &small(generators::invert()), &small(generators::linear(1.0, 0.4)));
    let mut rig = rig_with(pair.to_str().unwrap());
    let info = video::info(VideoFormat::Rgb, 160, 120);
    rig.set_info(&info);
    let frame = || with_boxes(video::flat(&info, [100; 3]), &[BOX]);
    let levels = |rig: &mut Rig| {
        let output = rig.translate(frame());
        (grey(&output, &info, 64, 50), grey(&output, &info, 5, 5))
    };
    assert_eq!(levels(&mut rig), (155, 100));
    rig.filter.set_property_from_str("direction", "reverse");
    rig::wait_until("F translates", || levels(&mut rig) != (155, 100));
    let (inside, outside) = levels(&mut rig);
    assert!(inside.abs_diff(151) <= 1 && outside == 100, "{inside} {outside}");
    rig.filter.set_property_from_str("direction", "forward");
    rig.filter.set_property_from_str("regions", "frame");
    rig::wait_until("the whole frame is translated", || levels(&mut rig) == (155, 155));
    rig.filter.set_property_from_str("regions", "meta");
    rig::wait_until("only the box is translated", || levels(&mut rig) == (155, 100));
}

/// The generator's input has the generator's own size for boxes of any size.
#[test]
fn a_box_is_scaled_to_the_generators_own_size() {
    let models = Models::new();
    for (model, expected) in [
        (small(generators::invert()), (32, 32)),
        (generators::with_size(generators::invert(), 64, 48), (64, 48)),
    ] {
        let mut rig = rig_with(models.add("G.onnx", &model).to_str().unwrap());
        let info = video::info(VideoFormat::Rgb, 640, 120);
        rig.set_info(&info);
        rig.translate(with_boxes(video::flat(&info, [100; 3]), &[BOX]));
        assert_eq!((rig.stat::<u32>("width"), rig.stat::<u32>("height")), expected);
    }
}

/// Exporters may declare a dynamic batch for a graph that has reshapes for one image.
#[test]
fn a_generator_whose_batches_fail_translates_boxes_one_by_one() {
    let declared = [None, Some(3), None, None];
    let value = |name| generators::value(name, DataType::Float, &declared);
    let model = generators::model(GraphProto {
        name: "generator".to_owned(),
        node: vec![
            generators::node("Neg", &["input"], "inverted"),
            generators::node("Reshape", &["inverted", "one image"], "output"),
        ],
        initializer: vec![generators::int_weight("one image", &[1, 3, 32, 32])],
        input: vec![value("input")],
        output: vec![value("output")],
    });
    let (_models, mut rig) = rig(model);
    let info = video::info(VideoFormat::Rgb, 640, 120);
    rig.set_info(&info);
    let boxes: Vec<_> = (40..640).step_by(120).map(|x| (x, 30, 48, 40)).collect();
    for _ in 0..2 {
        let output = rig.translate(with_boxes(video::flat(&info, [100; 3]), &boxes));
        for (x, ..) in &boxes {
            assert_eq!(grey(&output, &info, x + 24, 50), 155, "the box at {x}");
        }
    }
    assert_eq!(counts(&rig), (2, 0));
    assert!(rig::warnings_in(&rig.said()).is_empty());
}
