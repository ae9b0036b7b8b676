// SPDX-License-Identifier: MIT OR Apache-2.0

//! Overlays on frames (`GstVideoOverlayCompositionMeta`), such as subtitles, which the sink draws after the translation.

use gst::prelude::*;
use gst_video::{
    CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION, VideoFormat, VideoInfo, VideoMeta,
    VideoOverlayComposition, VideoOverlayCompositionMeta, VideoOverlayFormatFlags,
    VideoOverlayRectangle,
};

use crate::{
    generators::{self, Models},
    rig, video,
};

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 256, 256)
}

/// A white square in the middle, with a sixteenth of the frame's area.
fn caption() -> VideoOverlayComposition {
    const SIDE: u32 = 64;
    let mut pixels = gst::Buffer::from_mut_slice(vec![255u8; 4 * (SIDE * SIDE) as usize]);
    let flags = gst_video::VideoFrameFlags::empty();
    VideoMeta::add(pixels.get_mut().unwrap(), flags, VideoFormat::Bgra, SIDE, SIDE).unwrap();
    let flags = VideoOverlayFormatFlags::empty();
    let square = VideoOverlayRectangle::new_raw(&pixels, 96, 96, SIDE, SIDE, flags);
    VideoOverlayComposition::new([&square]).unwrap()
}

/// The output for a black frame with a caption and the inverting generator. If `draws`, the sink supports
/// overlays.
fn captioned(properties: &str, draws: bool) -> gst::Buffer {
    rig::init();
    let models = Models::new();
    let model = match properties {
        "output=mask" => generators::with_mask(generators::invert()),
        _ => generators::invert(),
    };
    let model = models.add("G.onnx", &model);
    let description = format!(
        "overlaycomposition name=caption ! cycleganfilter name=filter {properties} model=\"{}\"",
        model.display()
    );
    let bin = gst::parse::bin_from_description(&description, true).unwrap();
    bin.by_name("caption").unwrap().connect("draw", false, |_| Some(caption().to_value()));
    let mut harness = gst_check::Harness::with_element(&bin, Some("sink"), Some("src"));
    if draws {
        harness.add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    }
    harness.play();
    harness.set_src_caps(info().to_caps().unwrap());
    let mut frame = video::flat(&info(), [0; 3]);
    frame.make_mut().set_pts(gst::ClockTime::ZERO);
    let output = harness.push_and_pull(frame).unwrap();
    let filter = bin.by_name("filter").unwrap();
    let caps = filter.static_pad("src").unwrap().current_caps().unwrap();
    let has_feature =
        caps.features(0).unwrap().contains(CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION);
    let has_overlay = output.meta::<VideoOverlayCompositionMeta>().is_some();
    assert_eq!(has_overlay, has_feature, "{properties}: {caps}");
    bin.set_state(gst::State::Null).unwrap();
    output
}

/// The levels of a pixel outside and of one inside the caption.
fn levels(frame: &gst::Buffer, info: &VideoInfo) -> [u8; 2] {
    let pixels = video::to_rgb(frame, info);
    [pixels[256 * 20 + 20][1], pixels[256 * 128 + 128][1]]
}

#[test]
fn overlays_are_passed_to_a_sink_that_draws_them() {
    for (properties, level) in [("", 255), ("max-in-flight=3", 255), ("strength=0", 0)] {
        let mut frame = captioned(properties, true);
        let meta = frame.meta::<VideoOverlayCompositionMeta>().expect("no overlay");
        let overlay = meta.overlay_owned();
        assert_eq!(levels(&frame, &info()), [level, level], "{properties}");
        let info = info();
        let writable = frame.make_mut();
        let mut drawn =
            gst_video::VideoFrameRef::from_buffer_ref_writable(writable, &info).unwrap();
        overlay.blend(&mut drawn).unwrap();
        drop(drawn);
        assert_eq!(levels(&frame, &info), [level, 255], "{properties}");
    }
}

#[test]
fn overlays_are_blended_before_translation_if_no_sink_draws_them() {
    let frame = captioned("", false);
    // The caption is inverted with the rest of the frame.
    assert_eq!(levels(&frame, &info()), [255, 0]);
}

/// Overlays belong on the frame and not on the mask, so upstream draws them into the frame.
#[test]
fn output_mask_has_no_overlays() {
    let frame = captioned("output=mask", true);
    let gray = VideoInfo::builder(VideoFormat::Gray8, 256, 256).fps(info().fps()).build().unwrap();
    assert_eq!(levels(&frame, &gray), [0, 255]);
}
