// SPDX-License-Identifier: MIT OR Apache-2.0

//! The property `output`: the generator's mask as GRAY8 or as alpha.

use std::path::Path;

use gst::prelude::*;
use gst_video::{VideoFormat, VideoFormatInfo, VideoInfo, VideoRegionOfInterestMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// A generator that inverts, and whose mask is the red of the frame.
fn rig(models: &Models, output: &str, max_in_flight: u32, info: &VideoInfo) -> Rig {
    rig_of("frame", models, output, max_in_flight, info)
}

/// The same, with `regions` as given.
fn rig_of(
    regions: &str,
    models: &Models,
    output: &str,
    max_in_flight: u32,
    info: &VideoInfo,
) -> Rig {
    let filter = rig::new_filter();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property_from_str("output", output);
    filter.set_property_from_str("regions", regions);
    filter.set_property("max-in-flight", max_in_flight);
    let mut rig = Rig::with_filter(filter);
    rig.set_info(info);
    rig
}

/// Full red on the left and no red on the right.
fn half_red(info: &VideoInfo) -> gst::Buffer {
    video::picture(info, |x, _| if 2 * x < info.width() { [255, 40, 60] } else { [0, 40, 60] })
}

#[test]
fn output_mask_is_gray8() {
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
            // Conversion of other formats to 8-bit RGB is inexact.
            assert!(at(10) > 240 && at(90) < 10, "{format:?}: {} and {}", at(10), at(90));
            assert_eq!(rig.stat::<u64>("frames-translated"), 1);
        }
    }
}

#[test]
fn output_alpha_has_the_mask() {
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

/// Frames without alpha are converted to the format with alpha that keeps most of them.
#[test]
fn output_alpha_gives_frames_alpha() {
    gst::init().unwrap();
    let models = Models::new();
    // NV12 with alpha, which GStreamer 1.22 does not know to have alpha.
    let av12 = VideoFormatInfo::from_format(VideoFormat::from_string("AV12"));
    let nv12 = if av12.has_alpha() { av12.format() } else { VideoFormat::A420 };
    for (format, expected) in [
        (VideoFormat::I420, VideoFormat::A420),
        (VideoFormat::Nv12, nv12),
        (VideoFormat::Rgb, VideoFormat::Rgba),
        (VideoFormat::Bgrx, VideoFormat::Bgra),
        (VideoFormat::Rgb10a2Le, VideoFormat::Gbra10le),
        (VideoFormat::P01010le, VideoFormat::A42010le),
        (VideoFormat::V210, VideoFormat::A42210le),
        (VideoFormat::Uyvp, VideoFormat::A42210le),
    ] {
        let info = video::info(format, 97, 50);
        let mut rig = rig(&models, "alpha", 2, &info);
        let mut frame = half_red(&info);
        frame.make_mut().set_pts(gst::ClockTime::from_mseconds(40));
        VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", (1, 2, 3, 4));
        rig.harness.push(frame).unwrap();
        let output = rig.harness.pull().unwrap();
        let caps = rig.filter.static_pad("src").unwrap().current_caps().unwrap();
        let with_alpha = VideoInfo::from_caps(&caps).unwrap();
        let names = [with_alpha.format(), expected].map(|format| format.to_str());
        assert_eq!(names[0], names[1], "{format:?}");
        assert_eq!(with_alpha.colorimetry(), info.colorimetry(), "{format:?}");
        assert_eq!((with_alpha.width(), with_alpha.fps()), (97, info.fps()));
        assert_eq!(output.pts(), Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!(output.iter_meta::<VideoRegionOfInterestMeta>().count(), 1, "{format:?}");
        let color = video::to_rgb(&output, &with_alpha)[20 * 97 + 10];
        let alpha = video::samples(&output, &with_alpha).alpha();
        let most = f64::from(alpha.iter().copied().max().unwrap());
        let at = |x: usize| f64::from(alpha[20 * 97 + x]) / most;
        assert!(at(10) > 0.94 && at(90) < 0.05, "{format:?}: {} and {}", at(10), at(90));
        assert!(color[0] < 12 && color[1].abs_diff(215) < 12, "{format:?}: {color:?}");
    }
}

/// Where neither neighbour of the filter has alpha, upstream would only say that negotiation failed.
#[test]
fn a_sink_without_the_output_format_is_one_error() {
    let models = Models::new();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    for (output, caps, found) in [
        (
            "alpha",
            "video/x-raw,format={I420,RGB}",
            "accepts I420, RGB, expected a format with alpha",
        ),
        ("mask", "video/x-raw,format=RGB", "accepts RGB, expected GRAY8"),
    ] {
        let pipeline = rig::pipeline(
            &format!("videotestsrc ! cycleganfilter name=filter {{model}} ! {caps} ! fakesink"),
            &model,
        );
        // Once it is linked: with `output`, linking fails.
        pipeline.by_name("filter").unwrap().set_property_from_str("output", output);
        let errors = rig::errors_in(&rig::run_to_end(&pipeline));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(found) && errors[0].contains("videoconvert"), "{}", errors[0]);
    }
}

#[test]
fn output_alpha_plays_between_elements_of_any_format() {
    let models = Models::new();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    for (source, sink) in [
        ("video/x-raw,format=I420", "compositor"),
        ("video/x-raw,format=NV12", "video/x-raw,format=RGBA"),
        ("video/x-raw,format=RGB16", "videoconvert ! video/x-raw,format=I420"),
        ("video/x-raw,format=GRAY8", "compositor"),
        ("videoconvert", "video/x-raw,format=A420"),
        ("videoconvert", "pngenc"),
    ] {
        let description = format!(
            "videotestsrc num-buffers=3 ! {source},width=64,height=48 ! cycleganfilter output=alpha \
             {{model}} ! {sink} ! fakesink"
        );
        let description = description.replace("videoconvert,width=64,height=48", "videoconvert");
        rig::assert_ended(&rig::run_to_end(&rig::pipeline(&description, &model)));
    }
}

/// The frame is unchanged outside the mask, even if the generator changes it there.
#[test]
fn pixels_outside_the_mask_are_unchanged() {
    let models = Models::new();
    let info = video::info(VideoFormat::Rgb, 96, 48);
    let mut rig = rig(&models, "video", 1, &info);
    let output = video::to_rgb(&rig.translate(half_red(&info)), &info);
    assert_eq!(output[20 * 96 + 90], [0, 40, 60]);
    assert!(output[20 * 96 + 5][1].abs_diff(215) <= 1, "{:?}", output[20 * 96 + 5]);
}

#[test]
fn a_passed_frame_has_an_empty_mask() {
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
fn output_mask_without_a_mask_output_is_one_error() {
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
fn a_pipeline_writes_masks_and_frames() {
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

/// Two overlapping boxes, and the distance beyond which frames are unchanged, in pixels.
const BOXES: [(u32, u32, u32, u32); 2] = [(40, 30, 50, 40), (80, 40, 60, 40)];
const MARGIN: u32 = 16;

fn with_boxes(mut buffer: gst::Buffer, boxes: &[(u32, u32, u32, u32)]) -> gst::Buffer {
    let inner = buffer.make_mut();
    for &rect in boxes {
        VideoRegionOfInterestMeta::add(inner, "horse", rect);
    }
    buffer
}

/// Whether a pixel lies in a box that is larger by `margin` on each side.
fn is_in_box(x: u32, y: u32, margin: u32) -> bool {
    BOXES.iter().any(|&(left, top, width, height)| {
        let is_in =
            |at: u32, start: u32, length: u32| at + margin >= start && at < start + length + margin;
        is_in(x, left, width) && is_in(y, top, height)
    })
}

/// Asserts that a mask is `most` inside the boxes and 0 beyond the margin around them.
fn assert_mask_in_boxes(info: &VideoInfo, most: u16, at: impl Fn(usize) -> u16, what: &str) {
    for y in 0..info.height() {
        for x in 0..info.width() {
            let value = at((y * info.width() + x) as usize);
            if is_in_box(x, y, 0) {
                assert!(f64::from(value) > 0.97 * f64::from(most), "{what}, {x} {y}: {value}");
            } else if !is_in_box(x, y, MARGIN) {
                assert_eq!(value, 0, "{what}, {x} {y}");
            }
        }
    }
}

/// The generator does not see pixels outside the boxes, so the mask is 0 there.
#[test]
fn the_mask_is_0_outside_the_regions() {
    for (format, max_in_flight) in [(VideoFormat::Rgb, 1), (VideoFormat::I420, 3)] {
        let models = Models::new();
        let info = video::info(format, 198, 120);
        let mut rig = rig_of("meta", &models, "mask", max_in_flight, &info);
        let gray = video::info(VideoFormat::Gray8, 198, 120);
        let output = rig.translate(with_boxes(video::flat(&info, [255, 40, 60]), &BOXES));
        let mask = video::to_rgb(&output, &gray);
        let what = format!("{format:?}");
        assert_mask_in_boxes(&info, 255, |i| u16::from(mask[i][0]), &what);
        let is_nothing =
            |mask: &gst::Buffer| video::to_rgb(mask, &gray).iter().all(|&m| m == [0; 3]);
        assert!(is_nothing(&rig.translate(video::flat(&info, [255, 40, 60]))), "no boxes");
        rig.filter.set_property("strength", 0.0);
        let output = rig.translate(with_boxes(video::flat(&info, [255, 40, 60]), &BOXES));
        assert!(is_nothing(&output), "strength 0");
    }
}

#[test]
fn the_alpha_is_0_outside_the_regions() {
    for format in [VideoFormat::Rgba, VideoFormat::Argb64, VideoFormat::A420, VideoFormat::Ayuv] {
        let models = Models::new();
        let info = video::info(format, 198, 120);
        let mut rig = rig_of("meta", &models, "alpha", 1, &info);
        let plain = video::flat(&info, [255, 40, 60]);
        let alpha = |buffer: &gst::Buffer| video::samples(buffer, &info).alpha();
        let output = rig.translate(with_boxes(plain.clone(), &BOXES));
        let (found, most) = (alpha(&output), alpha(&plain)[0]);
        assert_mask_in_boxes(&info, most, |i| found[i], &format!("{format:?}"));
        let (before, after) = (video::to_rgb(&plain, &info), video::to_rgb(&output, &info));
        assert_eq!(after[0], before[0], "{format:?}");
        let inside = after[50 * 198 + 60];
        assert!(inside[0] < 12 && inside[1].abs_diff(215) < 12, "{format:?}: {inside:?}");
        let passed = rig.translate(plain.clone());
        assert!(alpha(&passed).iter().all(|&alpha| alpha == 0), "{format:?} without boxes");
        assert_eq!(video::to_rgb(&passed, &info), before, "{format:?} without boxes");
    }
}

/// The same as for a whole frame.
#[test]
fn pixels_of_a_box_outside_the_mask_are_unchanged() {
    let models = Models::new();
    let info = video::info(VideoFormat::Rgb, 198, 120);
    let mut rig = rig(&models, "video", 1, &info);
    rig.filter.set_property_from_str("regions", "meta");
    let plain = half_red(&info);
    let rgb = |buffer: &gst::Buffer| video::to_rgb(buffer, &info);
    rig::wait_until("regions are translated", || rgb(&rig.translate(plain.clone())) == rgb(&plain));
    let output = rgb(&rig.translate(with_boxes(plain.clone(), &[(40, 20, 120, 80)])));
    // The middle is at 99.
    assert_eq!(output[60 * 198 + 130], [0, 40, 60]);
    assert!(output[60 * 198 + 60][1].abs_diff(215) <= 1, "{:?}", output[60 * 198 + 60]);
}
