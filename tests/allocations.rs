// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations per frame while frames flow.
//!
//! A global allocator counts what the Rust code of this process allocates: the plugin, its dependencies
//! and the bindings. It does not see what C and C++ code takes from `malloc`: GStreamer's buffers, which
//! come from a pool, and the allocations of ONNX Runtime inside a run. The binary has only one test, so
//! that nothing else allocates at the same time.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use cyclegan_contract::ValueRange;
use cyclegan_frame::{
    ColorTransform, Compositor, InferenceSize, Letterbox, Picture, Residual, Scaler, Size,
    TensorLimits, ToTensor, Upscale, Workers, pack,
};
use cyclegan_test_support::generators;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

/// Counts the allocations of the whole process.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls go unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, SeqCst);
        LARGEST.fetch_max(layout.size(), SeqCst);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The number of allocations of `work`, and the size of the largest in bytes.
fn allocations_of(work: impl FnOnce()) -> (usize, usize) {
    let before = COUNT.load(SeqCst);
    LARGEST.store(0, SeqCst);
    work();
    (COUNT.load(SeqCst) - before, LARGEST.load(SeqCst))
}

const FORMATS: [VideoFormat; 6] = [
    VideoFormat::Rgb,
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Bgra,
    VideoFormat::P01010le,
    VideoFormat::V210,
];

#[test]
fn a_frame_allocates_nothing_of_its_size() {
    gst::init().unwrap();
    gstcyclegan::plugin_register_static().unwrap();
    // Two tests would count each other's allocations, so one test runs both parts. The frame path comes first, since
    // an element that has stopped may still free its model in another thread.
    let infos =
        FORMATS.map(|format| VideoInfo::builder(format, 320, 240).fps((25, 1)).build().unwrap());
    infos.iter().for_each(the_frame_path_allocates_nothing);
    for info in &infos {
        for max_in_flight in [1, 3] {
            the_element_allocates_little(info, max_in_flight);
        }
    }
}

/// Scaling, packing, the residual and compositing allocate nothing.
fn the_frame_path_allocates_nothing(info: &VideoInfo) {
    let size = Size { width: info.width(), height: info.height() };
    let limits = TensorLimits { width: None, height: None, multiple_of: 4 };
    let letterbox = Letterbox::new(size, 1.0, InferenceSize::ShortSide(64), limits);
    let content = letterbox.content.size;
    let range = ValueRange::MinusOneToOne;
    let mut scaler = Scaler::new(info, content, 1).unwrap();
    let to_tensor = ToTensor::new(&scaler.color(), range);
    let color = ColorTransform::new(info);
    let mut change = Residual::new(content);
    let mut compositor = Compositor::new(info, content, 1).unwrap();
    let workers = Workers::new(1).unwrap();
    let mut tensor = vec![0f32; 3 * (letterbox.tensor.width * letterbox.tensor.height) as usize];

    let input = gst::Buffer::with_size(info.size()).unwrap();
    let mut output = gst::Buffer::with_size(info.size()).unwrap();
    let input = VideoFrameRef::from_buffer_ref_readable(&input, info).unwrap();
    let output = output.get_mut().unwrap();
    let mut output = VideoFrameRef::from_buffer_ref_writable(output, info).unwrap();

    let (count, _) = allocations_of(|| {
        for upscale in [Upscale::Residual { strength: 0.5 }, Upscale::Plain { strength: 1.0 }] {
            let (picture, stride) = scaler.scale(&input).unwrap();
            pack(picture, stride, &letterbox, &to_tensor, &workers, &mut tensor);
            let picture = Picture { values: tensor.as_slice(), range };
            change.update(&picture, &picture, &letterbox, &color, upscale, &workers).unwrap();
            compositor.composite(&change, upscale.keep(), None, &input, &mut output).unwrap();
        }
    });
    assert_eq!(count, 0, "{:?}: the frame path allocates", info.format());
}

/// The whole element allocates nothing that grows with the frame, and nothing of a kilobyte or more.
fn the_element_allocates_little(info: &VideoInfo, max_in_flight: usize) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("G.onnx");
    let bytes = cyclegan_contract::onnx::Message::encode_to_vec(&generators::invert());
    std::fs::write(&model, bytes).unwrap();
    let filter = gst::ElementFactory::make("cycleganfilter").build().unwrap();
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("inference-size", 64);
    filter.set_property("max-in-flight", max_in_flight as u32);
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    if filter.set_state(gst::State::Ready).is_err() {
        panic!("{:?}", bus.pop());
    }
    let mut harness = gst_check::Harness::with_element(&filter, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(info.to_caps().unwrap());
    let frames: Vec<_> = (0..36).map(|_| gst::Buffer::with_size(info.size()).unwrap()).collect();
    let mut push_and_pull = |frames: &[gst::Buffer]| {
        for frames in frames.chunks(max_in_flight) {
            for frame in frames {
                harness.push(frame.clone()).unwrap();
            }
            for _ in frames {
                harness.pull().unwrap();
            }
        }
    };
    push_and_pull(&frames[..12]);
    // A request gets tensors the first time that all are in flight at once, which depends on the scheduler, so
    // at most that many rounds may allocate.
    let mut rounds = (0..=2 * max_in_flight).map(|_| allocations_of(|| push_and_pull(&frames)));
    let what = format!("{:?}, {max_in_flight} in flight", info.format());
    let round = rounds.find(|(_, largest)| *largest < 1024);
    let (count, _) = round.unwrap_or_else(|| panic!("{what}: a kilobyte or more at once"));
    let a_frame = count.div_ceil(frames.len());
    assert!(a_frame <= MOST, "{what}: {a_frame} allocations for a frame");
    filter.set_state(gst::State::Null).unwrap();
}

/// The maximum number of allocations per frame, made by ort around a run, mostly for names of inputs.
const MOST: usize = 16;
