// SPDX-License-Identifier: MIT OR Apache-2.0

//! From detected boxes to the regions that are translated: boxes are clipped to the frame, merged where
//! they show the same object, limited to the largest few, and grown by a margin.

use super::geometry::{Letterbox, Rect};
use cyclegan_contract::Size;

/// Maximum number of boxes that are considered per frame: the largest ones.
pub const MAX_BOXES: usize = 128;
/// Maximum number of regions that are translated per frame: the largest ones.
pub const MAX_REGIONS: usize = 16;

/// The margin on each side of a box is its width plus its height, divided by this: a quarter of the mean
/// side.
const MARGIN: u32 = 8;
/// Minimum margin, in pixels.
const MIN_MARGIN: u32 = 8;
/// Maximum upscaling of a crop for the generator. Around a smaller box, the crop grows.
const MAX_ENLARGEMENT: u32 = 4;
/// Crop sizes are rounded up to multiples of a power of two, at most 1/32 of their height, so that a box
/// that moves or grows a little keeps its crop size and everything allocated for it.
const CROP_STEPS: u32 = 32;
/// An image whose side is within 1/32 of the tensor's is stretched to it.
const STRETCH: u32 = 32;

/// A detected box in pixels of the frame; it may lie outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Left edge.
    pub x: i64,
    /// Top edge.
    pub y: i64,
    /// Width, 0 for an empty box.
    pub width: u32,
    /// Height, 0 for an empty box.
    pub height: u32,
}

/// From the rectangle of a `GstVideoRegionOfInterestMeta`: x, y, width, height. Its corner is unsigned,
/// but detectors write signed numbers.
impl From<(u32, u32, u32, u32)> for Bounds {
    fn from((x, y, width, height): (u32, u32, u32, u32)) -> Self {
        Self { x: i64::from(x.cast_signed()), y: i64::from(y.cast_signed()), width, height }
    }
}

impl Bounds {
    /// The part inside a frame of `frame` pixels, if there is any.
    fn inside(self, frame: Size) -> Option<Rect> {
        let clip = |start: i64, length: u32, whole: u32| {
            let whole = i64::from(whole);
            let end = start.saturating_add(i64::from(length)).clamp(0, whole);
            let start = start.clamp(0, whole);
            (start as u32, (end - start) as u32)
        };
        let (x, width) = clip(self.x, self.width, frame.width);
        let (y, height) = clip(self.y, self.height, frame.height);
        (width > 0 && height > 0).then_some(Rect { x, y, size: Size { width, height } })
    }
}

/// A part of a frame that is translated separately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// The box, where the residual has its full weight.
    pub bbox: Rect,
    /// The feathered box: the box and the margin in which the weight falls to 0.
    pub feathered: Rect,
    /// The generator's input: at least `feathered`.
    pub crop: Rect,
    /// The position of the crop in the tensor.
    pub letterbox: Letterbox,
    /// The distance from the box at which the weight is 0, horizontally and vertically, in pixels.
    pub feather: [f32; 2],
}

/// Finds the regions of frames of one kind.
///
/// ```
/// use cyclegan_frame::{Bounds, RegionPlanner, Size};
///
/// let frame = Size { width: 1920, height: 1080 };
/// let grid = Size { width: 2, height: 2 }; // 4:2:0 has one chroma sample per 2×2 pixels
/// let tensor = Size { width: 256, height: 256 };
/// let mut planner = RegionPlanner::new(frame, 1.0, grid, tensor);
///
/// let horse = Bounds { x: 600, y: 400, width: 400, height: 300 };
/// let outside = Bounds { x: 2000, y: 0, width: 50, height: 50 };
/// let regions = planner.plan([horse, outside]);
/// assert_eq!(regions.len(), 1);
/// assert_eq!(regions[0].bbox.size, Size { width: 400, height: 300 });
/// assert!(regions[0].crop.size.width > 400); // with a margin
/// ```
#[derive(Clone, Debug)]
pub struct RegionPlanner {
    frame: Size,
    pixel_aspect: f64,
    /// Edges of regions are multiples of this, so that they do not split chroma samples.
    grid: Size,
    tensor: Size,
    bboxes: Vec<Rect>,
    regions: Vec<Region>,
}

impl RegionPlanner {
    /// For frames of `frame` pixels, each `pixel_aspect` times as wide as high, whose most subsampled
    /// component spans `grid` pixels, and a generator with a tensor of `tensor` pixels.
    pub fn new(frame: Size, pixel_aspect: f64, grid: Size, tensor: Size) -> Self {
        Self { frame, pixel_aspect, grid, tensor, bboxes: Vec::new(), regions: Vec::new() }
    }

    /// The regions for `boxes`, the largest first, at most [`MAX_REGIONS`].
    ///
    /// Boxes outside the frame and empty boxes are left out. Two boxes are merged if their intersection is
    /// at least half of the smaller one; other overlapping boxes stay separate, so that neighbours are
    /// translated one by one.
    pub fn plan(&mut self, boxes: impl IntoIterator<Item = Bounds>) -> &[Region] {
        let frame = self.frame;
        self.bboxes.clear();
        self.bboxes.extend(boxes.into_iter().filter_map(|bounds| bounds.inside(frame)));
        keep_largest(&mut self.bboxes, MAX_BOXES);
        merge(&mut self.bboxes);
        keep_largest(&mut self.bboxes, MAX_REGIONS);
        let mut regions = std::mem::take(&mut self.regions);
        regions.clear();
        regions.extend(self.bboxes.iter().map(|bbox| self.region(*bbox)));
        self.regions = regions;
        &self.regions
    }

    fn region(&self, bbox: Rect) -> Region {
        let margin = ((bbox.size.width + bbox.size.height) / MARGIN).max(MIN_MARGIN);
        let feathered = self.with_margin(bbox, margin);
        let crop = self.with_aspect(feathered);
        let letterbox = self.letterbox(crop.size);
        let content = letterbox.content.size;
        // Upscaling spreads a pixel as far as its neighbour.
        let feather = |shown: u32, seen: u32| {
            let margin = margin as f32;
            (margin - shown as f32 / seen as f32).max(margin / 4.0)
        };
        let feather =
            [feather(crop.size.width, content.width), feather(crop.size.height, content.height)];
        Region { bbox, feathered, crop, letterbox, feather }
    }

    fn with_margin(&self, bbox: Rect, margin: u32) -> Rect {
        let grow = |start: u32, length: u32, whole: u32, grid: u32| {
            on_grid(start.saturating_sub(margin), start + length + margin, whole, grid)
        };
        let (x, width) = grow(bbox.x, bbox.size.width, self.frame.width, self.grid.width);
        let (y, height) = grow(bbox.y, bbox.size.height, self.frame.height, self.grid.height);
        Rect { x, y, size: Size { width, height } }
    }

    /// `feathered`, grown to the tensor's aspect ratio within the frame.
    fn with_aspect(&self, feathered: Rect) -> Rect {
        let least = |side: u32| side.div_ceil(MAX_ENLARGEMENT);
        let width = f64::from(feathered.size.width.max(least(self.tensor.width)));
        let height = f64::from(feathered.size.height.max(least(self.tensor.height)));
        let aspect = f64::from(self.tensor.width) / f64::from(self.tensor.height);
        let aspect = aspect / self.pixel_aspect;
        let height = height.max(width / aspect).ceil();
        // Pixels may have any aspect ratio; heights beyond all frames need no steps.
        let height = match height < f64::from(1 << 24) {
            true => {
                let height = height as u32;
                let step = height.div_ceil(CROP_STEPS).next_power_of_two();
                f64::from(height.next_multiple_of(step.max(self.grid.height)))
            }
            false => height,
        };
        let grow = |start: u32, length: u32, wanted: f64, whole: u32, grid: u32| {
            let wanted = wanted.min(f64::from(whole)).ceil() as u32;
            let wanted = wanted.next_multiple_of(grid).clamp(length, whole);
            around(start, length, wanted, whole, grid)
        };
        let Rect { x, y, size } = feathered;
        let width = height * aspect;
        let (x, width) = grow(x, size.width, width, self.frame.width, self.grid.width);
        let (y, height) = grow(y, size.height, height, self.frame.height, self.grid.height);
        Rect { x, y, size: Size { width, height } }
    }

    /// The position of a crop in the tensor.
    fn letterbox(&self, crop: Size) -> Letterbox {
        let tensor = self.tensor;
        let width = f64::from(crop.width) * self.pixel_aspect;
        let height = f64::from(crop.height);
        let scale = (f64::from(tensor.width) / width).min(f64::from(tensor.height) / height);
        let side = |length: f64, whole: u32| {
            let side = ((length * scale).round() as u32).clamp(1, whole);
            // A crop that was rounded to the grid keeps the size of its image.
            if whole - side <= whole / STRETCH { whole } else { side }
        };
        let size = Size { width: side(width, tensor.width), height: side(height, tensor.height) };
        let (x, y) = ((tensor.width - size.width) / 2, (tensor.height - size.height) / 2);
        Letterbox { tensor, content: Rect { x, y, size } }
    }
}

/// A start and a length with both ends on the grid or at the frame's edge.
fn on_grid(start: u32, end: u32, whole: u32, grid: u32) -> (u32, u32) {
    let start = start - start % grid;
    let end = end.min(whole).next_multiple_of(grid).min(whole);
    (start, end - start)
}

/// Grows a start and a length on the grid to the length `wanted` around them. The result is longer only at
/// the end of a frame whose size is not a multiple of the grid.
fn around(start: u32, length: u32, wanted: u32, whole: u32, grid: u32) -> (u32, u32) {
    let end = start + length;
    let first = (start + length / 2).saturating_sub(wanted / 2).min(whole - wanted);
    let first = first - first % grid;
    // On the grid there is room for one step if `start` is not 0.
    let first = if first + wanted < end && first < start { first + grid } else { first };
    if first + wanted > whole || first + wanted < end {
        let first = whole - wanted;
        let first = first - first % grid;
        return (first, whole - first);
    }
    (first, wanted)
}

fn area(rect: &Rect) -> u64 {
    u64::from(rect.size.width) * u64::from(rect.size.height)
}

/// The area of the intersection of two rectangles, in pixels.
pub(super) fn intersection(a: &Rect, b: &Rect) -> u64 {
    let shared = |a: (u32, u32), b: (u32, u32)| {
        let end = (a.0 + a.1).min(b.0 + b.1);
        u64::from(end.saturating_sub(a.0.max(b.0)))
    };
    shared((a.x, a.size.width), (b.x, b.size.width))
        * shared((a.y, a.size.height), (b.y, b.size.height))
}

/// Intersection over union of two rectangles, 0 to 1.
pub(super) fn iou(a: &Rect, b: &Rect) -> f64 {
    let shared = intersection(a, b);
    shared as f64 / (area(a) + area(b) - shared) as f64
}

fn keep_largest(bboxes: &mut Vec<Rect>, most: usize) {
    // Ties are broken by position, so that the order of the boxes does not matter.
    bboxes.sort_unstable_by_key(|bbox| {
        (std::cmp::Reverse(area(bbox)), bbox.x, bbox.y, bbox.size.width)
    });
    bboxes.truncate(most);
}

/// Replaces two boxes that show the same object by their union, until there are none.
fn merge(bboxes: &mut Vec<Rect>) {
    let show_the_same = |a: &Rect, b: &Rect| 2 * intersection(a, b) >= area(a).min(area(b));
    let mut this = 0;
    while let Some(bbox) = bboxes.get(this).copied() {
        let others = bboxes.iter().enumerate().skip(this + 1);
        match others.map(|(i, other)| (i, *other)).find(|(_, other)| show_the_same(&bbox, other)) {
            None => this += 1,
            Some((other, rect)) => {
                bboxes[this] = union(bbox, rect);
                bboxes.swap_remove(other);
                // The union may match a box that was checked before.
                this = 0;
            }
        }
    }
}

fn union(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let width = (a.x + a.size.width).max(b.x + b.size.width) - x;
    let height = (a.y + a.size.height).max(b.y + b.size.height) - y;
    Rect { x, y, size: Size { width, height } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HD: Size = Size { width: 1920, height: 1080 };
    const SQUARE: Size = Size { width: 256, height: 256 };
    const GRID: Size = Size { width: 2, height: 2 };

    fn plan(boxes: &[(u32, u32, u32, u32)]) -> Vec<Region> {
        let mut planner = RegionPlanner::new(HD, 1.0, GRID, SQUARE);
        planner.plan(boxes.iter().map(|&rect| rect.into())).to_vec()
    }

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, size: Size { width, height } }
    }

    fn holds(outer: &Rect, inner: &Rect) -> bool {
        intersection(outer, inner) == area(inner)
    }

    #[test]
    fn the_crop_has_a_margin_and_the_tensors_aspect_ratio() {
        let regions = plan(&[(400, 300, 160, 80)]);
        let [region] = regions.as_slice() else { panic!("{regions:?}") };
        assert_eq!(region.bbox, rect(400, 300, 160, 80));
        assert_eq!(region.feathered, rect(370, 270, 220, 140));
        assert_eq!(region.crop, rect(368, 228, 224, 224));
        assert_eq!(region.letterbox.content, rect(0, 0, 256, 256));
    }

    #[test]
    fn a_crop_at_the_frames_edge_is_shifted_inside() {
        let regions = plan(&[(1900, 0, 100, 300)]);
        assert_eq!(regions[0].bbox, rect(1900, 0, 20, 300));
        assert_eq!(regions[0].crop, rect(1568, 0, 352, 352));
    }

    #[test]
    fn boxes_outside_the_frame_and_empty_boxes_are_ignored() {
        let nowhere = [(1920, 0, 9, 9), (0, 5000, 9, 9), (3, 3, 0, 9), (3, 3, 9, 0)];
        assert_eq!(plan(&nowhere), []);
        // −20 as an unsigned number.
        let left = plan(&[(0u32.wrapping_sub(20), 40, 100, 60)]);
        assert_eq!(left[0].bbox, rect(0, 40, 80, 60));
        assert_eq!(plan(&[(0u32.wrapping_sub(20), 40, 20, 60)]), []);
        let all = plan(&[(0, 0, u32::MAX, u32::MAX)]);
        assert_eq!(all[0].bbox, Rect { x: 0, y: 0, size: HD });
    }

    #[test]
    fn boxes_of_one_object_merge_and_neighbours_stay_separate() {
        let same = plan(&[(100, 100, 80, 80), (110, 96, 80, 80), (120, 120, 20, 20)]);
        assert_eq!(same.iter().map(|r| r.bbox).collect::<Vec<_>>(), [rect(100, 96, 90, 84)]);
        assert_eq!(plan(&[(100, 100, 80, 80), (160, 100, 80, 80)]).len(), 2);
    }

    #[test]
    fn only_the_largest_boxes_become_regions() {
        let boxes: Vec<_> = (0..100).map(|i| (i % 10 * 190, i / 10 * 100, 20 + i, 20)).collect();
        let regions = plan(&boxes);
        let widths: Vec<_> = regions.iter().map(|region| region.bbox.size.width).collect();
        assert_eq!(widths, (0..MAX_REGIONS as u32).map(|i| 119 - i).collect::<Vec<_>>());
    }

    /// Boxes that move through the frame, and back.
    #[test]
    fn a_moving_box_keeps_its_crop_size() {
        for size in [(37, 90), (160, 80), (301, 299)] {
            let sizes = (0..200).map(|i| {
                let (x, y) = (400 + 3 * i % 700, 300 + 7 * i % 300);
                plan(&[(x, y, size.0 + i % 2, size.1)])[0].crop.size
            });
            let mut sizes: Vec<_> = sizes.map(|size| (size.width, size.height)).collect();
            sizes.sort_unstable();
            sizes.dedup();
            assert_eq!(sizes.len(), 1, "{size:?} {sizes:?}");
        }
    }

    #[test]
    fn any_pixel_aspect_ratio_is_accepted() {
        for pixel_aspect in [f64::from(i32::MAX), 1.0 / f64::from(i32::MAX)] {
            let mut planner = RegionPlanner::new(HD, pixel_aspect, GRID, SQUARE);
            let region = planner.plan([Bounds::from((400, 300, 160, 80))])[0];
            assert!(holds(&Rect { x: 0, y: 0, size: HD }, &region.crop), "{region:?}");
        }
    }

    #[test]
    fn a_narrow_strip_is_letterboxed() {
        let regions = plan(&[(0, 500, 1920, 40)]);
        assert_eq!(regions[0].crop, rect(0, 0, 1920, 1080));
        assert_eq!(regions[0].letterbox.content, rect(0, 56, 256, 144));
    }

    prop_compose! {
        fn anywhere()(x in -300i64..2300, y in -300i64..1400, width in 0u32..700, height in 0u32..700)
            -> Bounds {
            Bounds { x, y, width, height }
        }
    }

    proptest! {
        #[test]
        fn regions_are_inside_the_frame_and_on_the_grid(
            boxes in prop::collection::vec(prop_oneof![anywhere(), any::<(u32, u32, u32, u32)>().prop_map(Bounds::from)], 0..150),
            width in 1u32..2000, height in 1u32..1200, pixel_aspect in 0.2f64..5.0,
            tensor_width in 4u32..600, tensor_height in 4u32..600,
            grid_width in prop::sample::select(vec![1u32, 2, 4]), grid_height in prop::sample::select(vec![1u32, 2, 4]),
        ) {
            let frame = Size { width, height };
            let grid = Size { width: grid_width, height: grid_height };
            let tensor = Size { width: tensor_width, height: tensor_height };
            let mut planner = RegionPlanner::new(frame, pixel_aspect, grid, tensor);
            let whole = Rect { x: 0, y: 0, size: frame };
            let regions = planner.plan(boxes.iter().copied()).to_vec();
            prop_assert!(regions.len() <= MAX_REGIONS);
            let is_seen = boxes.iter().any(|bounds| bounds.inside(frame).is_some());
            prop_assert_eq!(regions.is_empty(), !is_seen);
            for region in &regions {
                let Region { bbox, feathered, crop, letterbox, feather } = *region;
                prop_assert!(area(&bbox) > 0);
                prop_assert!(holds(&feathered, &bbox) && holds(&crop, &feathered) && holds(&whole, &crop), "{:?}", region);
                for rect in [feathered, crop] {
                    prop_assert!(rect.x % grid_width == 0 && rect.y % grid_height == 0);
                    let (right, bottom) = (rect.x + rect.size.width, rect.y + rect.size.height);
                    prop_assert!(right % grid_width == 0 || right == width);
                    prop_assert!(bottom % grid_height == 0 || bottom == height);
                }
                let content = letterbox.content;
                prop_assert!(content.size.width >= 1 && content.size.height >= 1);
                prop_assert!(content.x + content.size.width <= tensor_width);
                prop_assert!(content.y + content.size.height <= tensor_height);
                prop_assert!(feather.iter().all(|feather| feather.is_finite() && *feather > 0.0));
            }
            // No two regions show the same object, and their order does not depend on that of the boxes.
            for (i, a) in regions.iter().enumerate() {
                for b in &regions[i + 1..] {
                    prop_assert!(2 * intersection(&a.bbox, &b.bbox) < area(&a.bbox).min(area(&b.bbox)));
                }
            }
            let backwards = planner.plan(boxes.iter().rev().copied()).to_vec();
            prop_assert_eq!(regions, backwards);
        }
    }
}
