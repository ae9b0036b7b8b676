// SPDX-License-Identifier: MIT OR Apache-2.0

//! Boxes and alpha of frames in GL memory: the same pictures as in system memory, and no frame leaves
//! the GPU for them.

use std::path::Path;

use gst::prelude::*;
use gst_gl::{GLBaseMemory, ffi::GST_GL_BASE_MEMORY_TRANSFER_NEED_UPLOAD};
use gst_video::VideoInfo;

use crate::{
    generators::{self, Models},
    gl::{RGBA, Way, add_these, assert_close, assert_near, bytes, is_gl_there, pale, smooth},
    video,
};

type Rectangle = (u32, u32, u32, u32);

/// The frame's size. Its picture is smooth, so that both memories scale it to nearly the same.
const SIZE: (u32, u32) = (400, 300);

/// One box, one that is smaller than the generator's picture, two that overlap, some at the edges, one
/// that holds the whole frame, and more than one batch takes.
const BOXES: [&[Rectangle]; 6] = [
    &[(130, 60, 120, 100)],
    &[(200, 140, 12, 20)],
    &[(60, 80, 120, 90), (150, 110, 110, 120)],
    &[(0, 0, 90, 60), (330, 250, 70, 50), (0, 220, 30, 80)],
    &[(0, 0, 400, 300)],
    &[
        (5, 5, 40, 40),
        (70, 10, 50, 60),
        (140, 20, 60, 50),
        (220, 30, 70, 70),
        (310, 40, 80, 60),
        (20, 160, 90, 90),
        (90, 180, 80, 80),
        (190, 170, 60, 110),
        (280, 160, 50, 50),
    ],
];

/// The frames of one box set through both memories: what comes out of GL memory and of system memory.
fn through_both(
    properties: &str,
    model: &Path,
    info: &VideoInfo,
    boxes: &[Rectangle],
    frames: &[gst::Buffer],
) -> [Vec<Vec<u8>>; 2] {
    let filters = format!("cycleganfilter name=f {{model}} regions=meta {properties}");
    [true, false].map(|is_gl| {
        let mut way = Way::new(is_gl, &filters, model, info);
        add_these(&way.filter, boxes);
        let outputs = frames.iter().map(|frame| way.translate(frame.clone())).collect();
        assert_eq!(way.stat("frames-translated"), frames.len() as u64, "{properties}");
        outputs
    })
}

/// Where the difference to `frame` lies, in pixels.
fn changed(output: &[u8], frame: &[u8]) -> Vec<bool> {
    output.chunks(4).zip(frame.chunks(4)).map(|(a, b)| a != b).collect()
}

#[test]
fn boxes_become_the_same_in_both_memories() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, SIZE.0, SIZE.1);
    let frames = [smooth(&info, 0), smooth(&info, 4)];
    for boxes in BOXES {
        for properties in [
            "inference-size=64",
            "inference-size=64 upscale=plain strength=0.6",
            "inference-size=128",
        ] {
            let [gl, system] = through_both(properties, &model, &info, boxes, &frames);
            for (i, (found, expected)) in gl.iter().zip(&system).enumerate() {
                let what = format!("{properties}, {boxes:?}, frame {i}");
                assert_close(found, expected, 2, &what);
                let frame = bytes(&frames[i], &info);
                assert_ne!(*found, frame, "{what}");
                // Both memories leave the same pixels unchanged, except for rounding at the feathered
                // edge.
                let unlike = changed(found, &frame);
                let unlike =
                    unlike.iter().zip(changed(expected, &frame)).filter(|(a, b)| **a != *b);
                assert!(unlike.count() < frame.len() / 4 / 50, "{what}");
            }
        }
    }
}

#[test]
fn properties_mean_the_same_for_boxes() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, SIZE.0, SIZE.1);
    let frames: Vec<_> = (0..4).map(|shift| smooth(&info, 2 * shift)).collect();
    for properties in ["strength=0.3", "smoothing=0.5", "upscale=plain", "region-types=<horse>"] {
        let properties = format!("{properties} inference-size=96");
        let [gl, system] = through_both(&properties, &model, &info, BOXES[2], &frames);
        for (found, expected) in gl.iter().zip(&system) {
            assert_close(found, expected, 2, &properties);
        }
    }
}

/// A crop of the very size of the generator's picture is not scaled, so the generator sees the same in
/// both memories, and all else is integers: feathering, overlaps and what is not touched.
#[test]
fn boxes_of_the_generators_size_become_the_very_same() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let invert = models.add("invert.onnx", &generators::invert());
    let masked = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    let info = video::info(RGBA, SIZE.0, SIZE.1);
    // With margins of 21 pixels, 84 becomes 126, and the next multiple of four is 128.
    let boxes = [(150, 100, 84, 84), (210, 140, 84, 84), (30, 180, 84, 84)];
    let frames = [video::random(&info, 1), video::random(&info, 2)];
    for (properties, model) in [
        ("", &invert),
        ("strength=0.4", &invert),
        ("upscale=plain", &invert),
        ("upscale=plain strength=0.7", &invert),
        ("smoothing=0.4", &invert),
        ("", &masked),
        ("output=alpha", &masked),
        ("output=alpha upscale=plain strength=0.5", &masked),
    ] {
        let properties = format!("{properties} inference-size=128");
        let [gl, system] = through_both(&properties, model, &info, &boxes, &frames);
        for (i, (found, expected)) in gl.iter().zip(&system).enumerate() {
            let same = found.iter().zip(expected).filter(|(a, b)| a == b).count();
            assert_eq!(same, expected.len(), "{properties}, frame {i}");
            let changed = changed(found, &bytes(&frames[i], &info));
            assert!(changed.iter().any(|&is| is), "{properties}");
            // The upper left corner is in no box.
            let is_kept = !changed[5 * 400 + 5] || properties.contains("alpha");
            assert!(is_kept && (found[3] == 0) == properties.contains("alpha"), "{properties}");
        }
    }
}

#[test]
fn a_mask_becomes_the_same_alpha_in_both_memories() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    // A small change: at its edge, a mask weighs it 16 times as much for one grey level more.
    let model = models.add("masked.onnx", &generators::with_mask(generators::linear(0.9, 0.0)));
    for (width, height, side) in [(400, 300, 128), (241, 181, 96), (128, 96, 96)] {
        let info = video::info(RGBA, width, height);
        for properties in ["", "strength=0.5", "upscale=plain strength=0.5", "strength=0"] {
            let filters = format!(
                "cycleganfilter name=f {{model}} output=alpha inference-size={side} {properties}"
            );
            let [found, expected] = [true, false].map(|is_gl| {
                let mut way = Way::new(is_gl, &filters, &model, &info);
                way.translate(smooth(&info, 0))
            });
            assert_near(&found, &expected, 2, &filters);
            let alphas = found.chunks(4).map(|pixel| pixel[3]);
            let range = (alphas.clone().min().unwrap(), alphas.max().unwrap());
            match properties {
                "strength=0" => assert_eq!(range, (0, 0)),
                _ => assert!(range.0 < 20 && range.1 > 235, "{filters}: {range:?}"),
            }
        }
    }
}

/// The GPU draws the output, and of the frame only the boxes' pictures come down.
#[test]
fn only_the_pictures_of_boxes_cross_the_bus() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    let info = video::info(RGBA, SIZE.0, SIZE.1);
    let boxes = [(150, 100, 84, 84), (30, 180, 84, 84)];
    for (output, mattes) in [("video", 0), ("alpha", 2)] {
        let filters = format!(
            "cycleganfilter name=f {{model}} regions=meta inference-size=128 output={output}"
        );
        let mut way = Way::new(true, &filters, &model, &info);
        add_these(&way.filter, &boxes);
        let pad = way.filter.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, |_, probe| {
            let memory = probe.buffer().unwrap().peek_memory(0);
            assert!(memory.is_memory_type::<GLBaseMemory>());
            // SAFETY: a valid memory.
            let flags = unsafe { (*memory.as_ptr()).mini_object.flags };
            assert_eq!(flags & GST_GL_BASE_MEMORY_TRANSFER_NEED_UPLOAD, 0, "the CPU wrote it");
            gst::PadProbeReturn::Ok
        });
        for shift in 0..3 {
            way.translate(smooth(&info, shift));
        }
        let picture = 128 * 128;
        assert_eq!(way.stat("gl-bytes-down"), 3 * 2 * 4 * picture, "{output}");
        let taps = 2 * 4 * (128 + 128);
        assert_eq!(way.stat("gl-bytes-up"), 3 * 2 * (8 + mattes) * picture + taps, "{output}");
    }
}

/// A frame without a box is copied on the GPU.
#[test]
fn a_frame_without_boxes_is_left_alone() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    let info = video::info(RGBA, SIZE.0, SIZE.1);
    let frame = video::random(&info, 3);
    let mut way = Way::new(true, "cycleganfilter name=f {model} regions=meta", &model, &info);
    assert_eq!(way.translate(frame.clone()), bytes(&frame, &info));
    assert_eq!(way.stat("frames-passed"), 1);
    assert_eq!((way.stat("gl-bytes-down"), way.stat("gl-bytes-up")), (0, 0));
}
