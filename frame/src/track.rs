// SPDX-License-Identifier: MIT OR Apache-2.0

//! Smoothing of regions, which are tracked from frame to frame by IoU.

use super::{
    geometry::Rect,
    motion::LumaPlane,
    region::{Region, iou},
    residual::Residual,
    smooth::Smoother,
};

/// Minimum IoU of a box with its box in the previous frame (Bewley et al., SORT, arXiv 1602.00763,
/// section 3.3).
const MIN_IOU: f64 = 0.3;

/// Tracks regions from frame to frame and smooths their residuals.
///
/// A region continues the region of the previous frame with the highest IoU. A region without a match,
/// or with an image of another size, starts fresh. Motion within a region is compensated as in a frame.
#[derive(Debug, Default)]
pub struct RegionSmoother {
    /// One per region, in their order.
    tracks: Vec<Track>,
}

#[derive(Debug)]
struct Track {
    bbox: Rect,
    smoother: Smoother,
}

impl RegionSmoother {
    /// Discards the previous frame's regions.
    pub fn reset(&mut self) {
        self.tracks.clear();
    }

    /// Matches the regions of this frame with those of the previous one. Smooth each region once between
    /// two calls.
    pub fn follow(&mut self, regions: &[Region]) {
        for (index, region) in regions.iter().enumerate() {
            let rest = self.tracks.iter().enumerate().skip(index);
            let rest = rest.map(|(i, track)| (i, iou(&track.bbox, &region.bbox)));
            let best = rest.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, iou)| *iou >= MIN_IOU);
            let size = region.letterbox.content.size;
            let found = match best {
                Some((track, _)) if self.tracks[track].smoother.size() == size => track,
                _ => {
                    self.tracks.push(Track { bbox: region.bbox, smoother: Smoother::new(size) });
                    self.tracks.len() - 1
                }
            };
            self.tracks.swap(index, found);
            self.tracks[index].bbox = region.bbox;
        }
        self.tracks.truncate(regions.len());
    }

    /// Mixes `smoothing` (0 to 1) of the previous residual into that of region `index`, whose image is
    /// `now`; see [`Smoother::smooth`].
    pub fn smooth(
        &mut self,
        index: usize,
        residual: &mut Residual,
        now: &mut LumaPlane,
        smoothing: f32,
    ) {
        if let Some(track) = self.tracks.get_mut(index) {
            track.smoother.smooth(residual, now, smoothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::{Bounds, RegionPlanner};
    use cyclegan_contract::Size;

    fn regions(boxes: &[(u32, u32, u32, u32)]) -> Vec<Region> {
        let (frame, tensor) = (Size { width: 400, height: 300 }, Size { width: 32, height: 32 });
        let mut planner = RegionPlanner::new(frame, 1.0, Size { width: 1, height: 1 }, tensor);
        planner.plan(boxes.iter().map(|&rect| Bounds::from(rect))).to_vec()
    }

    /// The residuals of a frame of one grey, smoothed.
    fn smoothed(smoother: &mut RegionSmoother, regions: &[Region], steps: &[i16]) -> Vec<i16> {
        smoother.follow(regions);
        let smooth = |(index, region): (usize, &Region)| {
            let size = region.letterbox.content.size;
            let mut residual = Residual::new(size);
            residual.planes.iter_mut().for_each(|plane| plane.fill(steps[index]));
            smoother.smooth(index, &mut residual, &mut LumaPlane::new(size), 0.5);
            residual.planes[0][100]
        };
        regions.iter().enumerate().map(smooth).collect()
    }

    #[test]
    fn each_region_continues_its_own_residual() {
        let mut smoother = RegionSmoother::default();
        let first = regions(&[(20, 20, 80, 80), (200, 100, 90, 90)]);
        assert_eq!(smoothed(&mut smoother, &first, &[1000, 2000]), [1000, 2000]);
        // Both have moved on; now the other one is larger, and so the first.
        let second = regions(&[(24, 20, 92, 92), (206, 100, 90, 90)]);
        assert_eq!((first[0].bbox.x, second[0].bbox.x), (200, 24));
        assert_eq!(smoothed(&mut smoother, &second, &[0, 0]), [1000, 500]);
    }

    #[test]
    fn new_regions_start_fresh_and_lost_ones_are_dropped() {
        let mut smoother = RegionSmoother::default();
        let (here, there) = (regions(&[(20, 20, 80, 80)]), regions(&[(250, 150, 80, 80)]));
        smoothed(&mut smoother, &here, &[1000]);
        assert_eq!(smoothed(&mut smoother, &there, &[0]), [0]);
        assert_eq!(smoothed(&mut smoother, &here, &[0]), [0]);
        smoothed(&mut smoother, &here, &[1000]);
        smoother.reset();
        assert_eq!(smoothed(&mut smoother, &here, &[0]), [0]);
    }
}
