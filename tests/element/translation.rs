// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output is the generator's translation of the input.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameExt, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{Rig, is_slow_wanted},
    video::{self, info},
};

const RGB: VideoFormat = VideoFormat::Rgb;
const I420: VideoFormat = VideoFormat::I420;

fn rig(model: &cyclegan_contract::onnx::ModelProto) -> (Models, Rig) {
    let models = Models::new();
    let path = models.add("G.onnx", model);
    (models, Rig::new(&path))
}

/// The bytes of the visible part of the first plane.
fn first_plane(buffer: &gst::Buffer, info: &VideoInfo) -> Vec<u8> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let row = frame.comp_pstride(0) as usize * info.width() as usize;
    let rows = frame.plane_data(0).unwrap().chunks(frame.plane_stride()[0] as usize);
    rows.take(info.height() as usize).flat_map(|bytes| bytes[..row].to_vec()).collect()
}

fn largest_difference(found: &[u8], expected: impl Iterator<Item = u8>) -> u8 {
    found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap()
}

/// An image with different corners, smooth enough to survive scaling.
fn gradient(info: &VideoInfo) -> gst::Buffer {
    let (width, height) = (info.width(), info.height());
    video::picture(info, |x, y| {
        let (x, y) = (x * 255 / width.max(2), y * 255 / height.max(2));
        [x as u8, y as u8, (255 - (x + y) / 2) as u8]
    })
}

/// At the generator's own size nothing is scaled, so the exact output is known.
#[test]
fn rgb_is_inverted_to_the_grey_level() {
    let (_models, mut rig) = rig(&generators::invert());
    let info = info(RGB, 256, 256);
    rig.set_info(&info);
    let input = video::random(&info, 3);
    let output = first_plane(&rig.translate(input.clone()), &info);
    let expected = first_plane(&input, &info).into_iter().map(|value| 255 - value);
    assert!(largest_difference(&output, expected) <= 1);
}

#[test]
fn luma_is_inverted_within_its_range() {
    let (_models, mut rig) = rig(&generators::invert());
    let info = info(I420, 256, 256);
    rig.set_info(&info);
    // Grey, so that the round trip through RGB clips nothing.
    let input = video::picture(&info, |x, y| [(x ^ y) as u8; 3]);
    let output = first_plane(&rig.translate(input.clone()), &info);
    let expected = first_plane(&input, &info).into_iter().map(|luma| 16 + (235 - luma));
    let off = largest_difference(&output, expected);
    assert!(off <= 2, "{off}");
}

#[test]
fn swapped_channels_are_swapped() {
    let (_models, mut rig) = rig(&generators::swap_channels());
    for format in [RGB, VideoFormat::Bgra, VideoFormat::Xbgr] {
        let info = info(format, 256, 256);
        rig.set_info(&info);
        let input = video::random(&info, 4);
        let output = video::to_rgb(&rig.translate(input.clone()), &info);
        for ([r, g, b], found) in video::to_rgb(&input, &info).into_iter().zip(output) {
            let off = [b, g, r].into_iter().zip(found).map(|(a, b)| a.abs_diff(b)).max();
            assert!(off <= Some(1), "{format:?}: {r} {g} {b} became {found:?}");
        }
    }
}

/// The whole of a large frame is translated, to its last row and column.
#[test]
fn a_full_hd_frame_is_inverted_everywhere() {
    for upscale in ["residual", "plain"] {
        let (_models, mut rig) = rig(&generators::invert());
        rig.filter.set_property_from_str("upscale", upscale);
        let info = info(RGB, 1920, 1080);
        rig.set_info(&info);
        let input = gradient(&info);
        let output = first_plane(&rig.translate(input.clone()), &info);
        let expected = first_plane(&input, &info).into_iter().map(|value| 255 - value);
        // Scaling down and up flattens the ends of a gradient a little.
        let off = largest_difference(&output, expected);
        assert!(off <= 4, "{upscale}: {off}");
    }
}

#[test]
fn a_full_hd_frame_keeps_its_sharpness_through_an_identity_generator() {
    let (_models, mut rig) = rig(&generators::identity());
    for format in [RGB, I420] {
        let info = info(format, 1920, 1080);
        rig.set_info(&info);
        let input = video::random(&info, 5);
        let output = rig.translate(input.clone());
        assert_eq!(video::samples(&input, &info).distance(&video::samples(&output, &info)), 0);
    }
}

/// Plain upscaling loses detail that residual upscaling keeps.
#[test]
fn plain_upscaling_shows_the_generators_output() {
    let (_models, mut rig) = rig(&generators::identity());
    rig.filter.set_property_from_str("upscale", "plain");
    let info = info(RGB, 1024, 1024);
    rig.set_info(&info);
    let checkerboard = video::picture(&info, |x, y| [if (x + y) % 2 == 0 { 0 } else { 255 }; 3]);
    let output = first_plane(&rig.translate(checkerboard), &info);
    // At a quarter of the size, a checkerboard of pixels becomes its mean, except at the edge.
    let middle = output.chunks(1024 * 3).skip(16).take(1024 - 32).flat_map(|row| &row[48..3024]);
    for value in middle {
        assert!(value.abs_diff(127) <= 2, "the checkerboard is still there: {value}");
    }

    let gradient = gradient(&info);
    let output = first_plane(&rig.translate(gradient.clone()), &info);
    let expected = first_plane(&gradient, &info).into_iter();
    assert!(largest_difference(&output, expected) <= 3);
}

/// A grey ramp keeps its range and matrix.
#[test]
fn a_grey_ramp_keeps_its_range_and_matrix() {
    let (_models, mut rig) = rig(&generators::identity());
    for upscale in ["residual", "plain"] {
        rig.filter.set_property_from_str("upscale", upscale);
        // range:matrix:transfer:primaries; 1 is full and 2 limited, 3 is BT.709 and 4 BT.601.
        for colorimetry in ["1:3:5:1", "2:3:5:1", "1:4:16:4", "2:4:16:4", "1:1:5:1", "2:1:5:1"] {
            let is_rgb = &colorimetry[2..3] == "1";
            // GStreamer leaves RGB as it is, whatever its range.
            let is_narrow = is_rgb && colorimetry.starts_with('2');
            let grey = |x: u32| (if is_narrow { 16 + x * 219 / 255 } else { x }) as u8;
            let formats = match is_rgb {
                true => [RGB, VideoFormat::Bgrx, VideoFormat::Gbr],
                false => [I420, VideoFormat::Yuy2, VideoFormat::Nv12],
            };
            for format in formats {
                let info = video::with_colorimetry(&info(format, 256, 256), colorimetry);
                rig.set_info(&info);
                let ramp = video::picture(&info, |x, _| [grey(x); 3]);
                let output = rig.translate(ramp.clone());
                let off = video::samples(&ramp, &info).distance(&video::samples(&output, &info));
                assert!(off <= 2, "{upscale} {format:?} {colorimetry}: {off}");
            }
        }
    }
}

/// The conversion to RGB and back agrees with GStreamer's, for every range and matrix.
#[test]
fn colors_are_translated_in_their_own_range_and_matrix() {
    let (_models, mut rig) = rig(&generators::invert());
    for colorimetry in ["1:3:5:1", "2:3:5:1", "1:4:16:4", "2:4:16:4", "2:6:13:7"] {
        let info = video::with_colorimetry(&info(VideoFormat::Y444, 16, 16), colorimetry);
        rig.set_info(&info);
        for color in [[200, 60, 90], [30, 220, 120], [70, 100, 230], [255, 0, 0]] {
            let output = rig.translate(video::flat(&info, color));
            let expected = video::flat(&info, color.map(|value| 255 - value));
            let off = video::samples(&expected, &info).distance(&video::samples(&output, &info));
            assert!(off <= 2, "{colorimetry} {color:?}: {off}");
        }
    }
}

#[test]
fn strength_one_half_is_halfway() {
    let (_models, mut rig) = rig(&generators::invert());
    let info = info(RGB, 256, 256);
    let input = video::random(&info, 6);
    let before = first_plane(&input, &info);
    for upscale in ["residual", "plain"] {
        rig.filter.set_property_from_str("upscale", upscale);
        rig.set_info(&info);
        for strength in [0.25, 0.5, 1.0] {
            rig.filter.set_property("strength", strength);
            let output = first_plane(&rig.translate(input.clone()), &info);
            let mix = |value: &u8| {
                let value = f64::from(*value);
                (value + strength * (255.0 - 2.0 * value)).round() as u8
            };
            let off = largest_difference(&output, before.iter().map(mix));
            assert!(off <= 1, "{upscale} {strength}: {off}");
        }
    }
}

#[test]
fn narrow_frames_are_translated() {
    let (_models, mut rig) = rig(&generators::invert());
    for (width, height) in [(2000, 2), (2, 2000), (2000, 1), (1, 2000), (640, 3)] {
        for format in [RGB, I420] {
            let info = info(format, width, height);
            rig.set_info(&info);
            let output = video::to_rgb(&rig.translate(video::flat(&info, [250, 250, 250])), &info);
            assert_eq!(output.len(), (width * height) as usize);
            let off = output.as_flattened().iter().map(|value| value.abs_diff(5)).max();
            assert!(off <= Some(2), "{format:?} {width}×{height}: {off:?}");
        }
    }
}

#[test]
fn an_8k_frame_is_translated() {
    if !is_slow_wanted("an_8k_frame_is_translated") {
        return;
    }
    let (_models, mut rig) = rig(&generators::invert());
    for format in [RGB, I420] {
        let info = info(format, 7680, 4320);
        rig.set_info(&info);
        let input = gradient(&info);
        let output = rig.translate(input.clone());
        let expected = first_plane(&input, &info).into_iter();
        let black_and_white = if format == RGB { 255 } else { 16 + 235 };
        let off = largest_difference(
            &first_plane(&output, &info),
            expected.map(|value| black_and_white - value),
        );
        assert!(off <= 4, "{format:?}: {off}");
    }
}

#[test]
fn interlaced_video_is_refused_and_the_error_names_deinterlace() {
    let (_models, mut rig) = rig(&generators::identity());
    for mode in ["interleaved", "mixed", "fields", "alternate"] {
        let features = if mode == "alternate" { "(format:Interlaced)" } else { "" };
        rig.harness.set_src_caps_str(&format!(
            "video/x-raw{features},format=I420,width=64,height=64,framerate=25/1,interlace-mode={mode}"
        ));
        let pushed = rig.harness.push(video::random(&info(I420, 64, 64), 1));
        assert!(pushed.is_err(), "{mode} went through");
        let errors = crate::rig::errors_in(&rig.said());
        if mode == "alternate" {
            continue; // The pad templates already exclude it.
        }
        assert_eq!(errors.len(), 1, "{mode}: {errors:?}");
        assert!(errors[0].contains(mode) && errors[0].contains("deinterlace"), "{}", errors[0]);
    }
}
