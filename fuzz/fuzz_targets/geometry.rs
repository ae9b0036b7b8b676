// SPDX-License-Identifier: MIT OR Apache-2.0

//! For any frame, generator and boxes, every rectangle is inside the one that must contain it.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use cyclegan_frame::{
    Bounds, InferenceSize, Letterbox, MAX_REGIONS, Rect, RegionPlanner, Size, TensorLimits,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Input {
    frame: Size,
    pixel_aspect: f64,
    grid: Size,
    wanted: InferenceSize,
    limits: TensorLimits,
    boxes: Vec<(u32, u32, u32, u32)>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let size = |u: &mut Unstructured<'a>, max: u32| -> arbitrary::Result<Size> {
            Ok(Size { width: u.int_in_range(1..=max)?, height: u.int_in_range(1..=max)? })
        };
        let side = |u: &mut Unstructured<'a>| -> arbitrary::Result<Option<u32>> {
            Ok(bool::arbitrary(u)?.then_some(u.int_in_range(1..=8192)?))
        };
        let parts = |u: &mut Unstructured<'a>| u.int_in_range(1..=i32::MAX).map(f64::from);
        Ok(Self {
            frame: size(u, 65_535)?,
            // GStreamer refuses other fractions.
            pixel_aspect: parts(u)? / parts(u)?,
            grid: Size { width: 1 << u.int_in_range(0..=2)?, height: 1 << u.int_in_range(0..=2)? },
            wanted: match bool::arbitrary(u)? {
                true => InferenceSize::Frame,
                false => InferenceSize::ShortSide(u.int_in_range(1..=8192)?),
            },
            limits: TensorLimits {
                width: side(u)?,
                height: side(u)?,
                multiple_of: u.int_in_range(1..=1024)?,
            },
            boxes: Vec::arbitrary(u)?,
        })
    }
}

fn holds(outer: Rect, inner: Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && inner.x + inner.size.width <= outer.x + outer.size.width
        && inner.y + inner.size.height <= outer.y + outer.size.height
}

fn check(Letterbox { tensor, content }: Letterbox) {
    assert!(content.size.width > 0 && content.size.height > 0);
    assert!(holds(Rect { x: 0, y: 0, size: tensor }, content));
}

fuzz_target!(|input: Input| {
    let Input { frame, pixel_aspect, grid, wanted, limits, boxes } = input;
    let letterbox = Letterbox::new(frame, pixel_aspect, wanted, limits);
    check(letterbox);

    let whole = Rect { x: 0, y: 0, size: frame };
    let mut planner = RegionPlanner::new(frame, pixel_aspect, grid, letterbox.tensor);
    let regions = planner.plan(boxes.into_iter().map(Bounds::from));
    assert!(regions.len() <= MAX_REGIONS);
    for region in regions {
        check(region.letterbox);
        assert!(holds(whole, region.crop) && holds(region.crop, region.feathered));
        assert!(holds(region.feathered, region.bbox));
        assert!(region.feather.iter().all(|feather| feather.is_finite() && *feather > 0.0));
    }
});
