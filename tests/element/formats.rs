// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every raw format, at awkward sizes.

use cyclegan_contract::{Metadata, onnx::ModelProto};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoFormatInfo};

use crate::{
    generators::{self, Models},
    rig::Rig,
    video,
};

/// Sizes that are odd in both directions, or smaller than a chroma sample.
const SIZES: [(u32, u32); 4] = [(33, 17), (2, 2), (1, 1), (1, 7)];

/// Whether GStreamer 1.22 reads frames of `format` back as it wrote them. RGB8P always gets the same palette,
/// NV12_10LE32 and NV16_10LE32 lose the last chroma sample of an odd width, and the rows of NV12_10BE_8L128,
/// for which the binding has no name, have no room for it.
pub fn is_exact(format: VideoFormat, width: u32) -> bool {
    match format {
        VideoFormat::Rgb8p => false,
        VideoFormat::Nv1210le32 | VideoFormat::Nv1610le32 => width.is_multiple_of(2),
        _ if format.to_str() == "NV12_10BE_8L128" => width.is_multiple_of(2),
        _ => true,
    }
}

/// An element with `generator`, at a small inference size.
fn rig(model: ModelProto) -> (Models, Rig) {
    let models = Models::new();
    let small = Metadata { size: Some(32), ..Default::default() };
    let rig = Rig::new(&models.add("G.onnx", &generators::with_metadata(model, &small)));
    (models, rig)
}

/// The largest quantisation step of a component of `format`, in steps of 8 bits.
pub fn quantum(format: VideoFormat) -> u32 {
    let info = VideoFormatInfo::from_format(format);
    if info.has_palette() {
        return 64; // Three bits of red and green, two of blue.
    }
    let colors = (info.n_components() as usize).min(3);
    let least = info.depth()[..colors].iter().min().copied().unwrap_or(8);
    256 >> least.min(8)
}

pub fn is_paletted(format: VideoFormat) -> bool {
    VideoFormatInfo::from_format(format).has_palette()
}

#[test]
fn the_pads_accept_every_format_that_gstreamer_unpacks() {
    let formats = video::formats();
    assert!(formats.len() > 90, "only {}: {formats:?}", formats.len());
    for format in [VideoFormat::Rgb, VideoFormat::I420, VideoFormat::V210, VideoFormat::Nv1264z32] {
        assert!(formats.contains(&format), "{format:?}");
    }
}

/// Each sample of random frames is bit-identical after an identity generator.
#[test]
fn an_identity_generator_changes_no_sample() {
    let (_models, mut rig) = rig(generators::identity());
    let mut wrong = Vec::new();
    for format in video::formats() {
        for (width, height) in SIZES {
            let info = video::info(format, width, height);
            let input = video::random(&info, u64::from(width * height));
            rig.set_info(&info);
            let output = rig.translate(input.clone());
            let distance = video::samples(&input, &info).distance(&video::samples(&output, &info));
            if distance > 0 && is_exact(format, width) {
                wrong.push(format!("{format:?} {width}×{height}: {distance}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The generator's input has the size of the frame, so GStreamer's converter takes its fast paths.
#[test]
fn an_identity_generator_at_frame_size_changes_no_sample() {
    let (_models, mut rig) = rig(generators::identity());
    rig.filter.set_property("inference-size", -1);
    let mut wrong = Vec::new();
    for upscale in ["residual", "plain"] {
        rig.filter.set_property_from_str("upscale", upscale);
        for format in video::formats() {
            for (width, height) in SIZES {
                let info = video::info(format, width, height);
                rig.set_info(&info);
                let input = video::random(&info, 2);
                let output = rig.translate(input.clone());
                let [before, after] = [&input, &output].map(|frame| video::samples(frame, &info));
                // The output of `plain` is 8-bit RGB, which loses precision.
                if upscale == "residual" && is_exact(format, width) && before.distance(&after) > 0 {
                    wrong.push(format!("{format:?} {width}×{height}: {}", before.distance(&after)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A flat colour becomes its negative in every format. This finds swapped channels and a wrong matrix, range or
/// depth.
#[test]
fn flat_colors_are_inverted_in_every_format() {
    let (_models, mut rig) = rig(generators::invert());
    let mut wrong = Vec::new();
    for format in video::formats() {
        let info = video::info(format, 16, 8);
        let is_gray = info.format_info().is_gray();
        rig.set_info(&info);
        for color in [[200, 60, 90], [30, 220, 120], [70, 100, 230], [0, 0, 0], [255, 255, 255]] {
            let color = if is_gray { [color[0]; 3] } else { color };
            let output = rig.translate(video::flat(&info, color));
            let expected = video::flat(&info, color.map(|value| 255 - value));
            let distance =
                video::samples(&expected, &info).distance(&video::samples(&output, &info));
            if distance > 2.max(quantum(format)) {
                let found = video::to_rgb(&output, &info)[0];
                wrong.push(format!("{format:?} {color:?}: {found:?}, {distance} off"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Alpha is not translated.
#[test]
fn alpha_is_bit_identical() {
    let (_models, mut rig) = rig(generators::invert());
    let has_alpha = |format: &VideoFormat| VideoFormatInfo::from_format(*format).has_alpha();
    let formats: Vec<_> = video::formats().into_iter().filter(has_alpha).collect();
    for format in [
        VideoFormat::Rgba,
        VideoFormat::Bgra,
        VideoFormat::Argb,
        VideoFormat::Ayuv,
        VideoFormat::A420,
    ] {
        assert!(formats.contains(&format));
    }
    for format in formats.into_iter().filter(|format| !is_paletted(*format)) {
        for (width, height) in SIZES {
            let info = video::info(format, width, height);
            let input = video::random(&info, u64::from(width + height));
            rig.set_info(&info);
            let output = rig.translate(input.clone());
            let (before, after) = (video::samples(&input, &info), video::samples(&output, &info));
            assert_eq!(before.alpha(), after.alpha(), "{format:?} {width}×{height}");
            assert!(before.distance(&after) > 2, "{format:?} {width}×{height} is not translated");
        }
    }
}

/// The padding is ignored, and rows are read at their strides.
#[test]
fn padded_rows_do_not_change_the_result() {
    let (_models, mut rig) = rig(generators::invert());
    let mut padded_formats = 0;
    for format in video::formats() {
        let info = video::info(format, 34, 18);
        let input = video::random(&info, 7);
        let Some(padded) = video::padded(&input, &info, 8) else { continue };
        padded_formats += 1;
        rig.set_info(&info);
        let plain = rig.translate(input);
        let from_padded = rig.translate(padded);
        let distance = video::samples(&plain, &info).distance(&video::samples(&from_padded, &info));
        assert_eq!(distance, 0, "{format:?}");
    }
    assert!(padded_formats > 60, "only {padded_formats} formats were padded");
}
