// SPDX-License-Identifier: MIT OR Apache-2.0

//! Moving regions allocate nothing after the first region of each size.
//!
//! A global allocator counts what Rust code allocates. The binary has only this test, so that nothing else
//! allocates at the same time.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use cyclegan_contract::ValueRange;
use cyclegan_frame::{
    Bounds, ColorTransform, Compositor, PartScalers, Patch, Picture, RegionPlanner, Scaler, Size,
    ToTensor, UnpackedFrame, Upscale, Workers, coarsest_sample, map_readable, map_writable, pack,
};
use gst_video::{VideoFormat, VideoInfo};

/// Counts the allocations of the whole process.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls go unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, SeqCst);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const TENSOR: Size = Size { width: 64, height: 64 };

#[test]
fn moving_regions_allocate_nothing() {
    gst::init().unwrap();
    for format in [VideoFormat::I420, VideoFormat::Rgba, VideoFormat::P01010le, VideoFormat::V210] {
        for upscale in [Upscale::Residual { strength: 0.5 }, Upscale::Plain { strength: 1.0 }] {
            moving_regions(format, upscale);
        }
    }
}

fn moving_regions(format: VideoFormat, upscale: Upscale) {
    let info = VideoInfo::builder(format, 320, 240).fps((25, 1)).build().unwrap();
    let frame = Size { width: 320, height: 240 };
    let range = ValueRange::MinusOneToOne;
    let mut planner = RegionPlanner::new(frame, 1.0, coarsest_sample(&info), TENSOR);
    let mut unpacked = UnpackedFrame::new(&info, 1).unwrap();
    let seen = unpacked.as_ref().map_or(&info, UnpackedFrame::info).clone();
    let mut scalers = PartScalers::new(&seen);
    let to_tensor = ToTensor::new(&Scaler::new(&seen, TENSOR, 1).unwrap().color(), range);
    let mut patches = [Patch::default(), Patch::default()];
    let mut compositor = Compositor::new(&info, TENSOR, 1).unwrap();
    let color = ColorTransform::new(&info);
    let workers = Workers::new(1).unwrap();
    let mut tensor = vec![0f32; 3 * 64 * 64];

    let input = gst::Buffer::with_size(info.size()).unwrap();
    let mut output = gst::Buffer::with_size(info.size()).unwrap();
    let input = map_readable(&input, &info).unwrap();
    let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
    let mut translate = |i: u32| {
        let boxes = [(20 + i, 30 + i / 2, 70, 60), (180 - i, 100, 50, 65)];
        let regions = planner.plan(boxes.map(Bounds::from));
        assert_eq!(regions.len(), 2);
        let picture = unpacked.as_mut().map(|unpacked| unpacked.unpack(&input).unwrap());
        let picture = picture.as_ref().unwrap_or(&input);
        for (index, (region, patch)) in regions.iter().zip(&mut patches).enumerate() {
            let size = region.letterbox.content.size;
            let scaler = scalers.get(region.crop, size).unwrap();
            let (picture, stride) = scaler.scale(picture).unwrap();
            pack(picture, stride, &region.letterbox, &to_tensor, &workers, &mut tensor);
            let picture = Picture { values: tensor.as_slice(), range };
            patch.residual.resize(size);
            patch
                .residual
                .update(&picture, &picture, &region.letterbox, &color, upscale, &workers)
                .unwrap();
            patch.feather(index, regions, upscale);
        }
        compositor.composite_patches(&patches, None, &input, &mut output).unwrap();
    };
    (0..40).for_each(&mut translate);
    let before = COUNT.load(SeqCst);
    (0..40).rev().for_each(translate);
    assert_eq!(COUNT.load(SeqCst) - before, 0, "{format:?} {upscale:?}");
}
