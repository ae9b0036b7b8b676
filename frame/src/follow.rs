// SPDX-License-Identifier: MIT OR Apache-2.0

//! Smoothing where regions are translated: each region goes on from what the same region was in the
//! frame before.

use super::{
    geometry::Rect,
    motion::LumaPlane,
    region::{Region, iou},
    residual::Residual,
    smooth::Smoother,
};

/// A box is that of a frame before if they have this much in common: trackers' usual threshold
/// (Bewley et al., SORT, arXiv 1602.00763, section 3.3).
const SAME: f64 = 0.3;

/// Follows regions from frame to frame, and smooths the changes of each.
///
/// A region is that of the frame before whose box has most in common with its own; one that has
/// none, or whose picture has another size, begins anew. What moves in a region is followed as in a
/// frame.
#[derive(Debug, Default)]
pub struct RegionSmoother {
    /// In the order of the regions.
    tracks: Vec<Track>,
}

#[derive(Debug)]
struct Track {
    core: Rect,
    smoother: Smoother,
}

impl RegionSmoother {
    /// Forgets the last frame's regions.
    pub fn reset(&mut self) {
        self.tracks.clear();
    }

    /// Finds the regions of the last frame among those of this one. Between two calls each region
    /// is smoothed once.
    pub fn follow(&mut self, regions: &[Region]) {
        for (index, region) in regions.iter().enumerate() {
            let rest = self.tracks.iter().enumerate().skip(index);
            let rest = rest.map(|(i, track)| (i, iou(&track.core, &region.core)));
            let best = rest.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, like)| *like >= SAME);
            let size = region.letterbox.content.size;
            let found = match best {
                Some((track, _)) if self.tracks[track].smoother.size() == size => track,
                _ => {
                    self.tracks.push(Track { core: region.core, smoother: Smoother::new(size) });
                    self.tracks.len() - 1
                }
            };
            self.tracks.swap(index, found);
            self.tracks[index].core = region.core;
        }
        self.tracks.truncate(regions.len());
    }

    /// Mixes `smoothing` (0 to 1) of the last change into that of region `index`, whose picture is
    /// `now`; see [`Smoother::smooth`].
    pub fn smooth(
        &mut self,
        index: usize,
        change: &mut Residual,
        now: &mut LumaPlane,
        smoothing: f32,
    ) {
        if let Some(track) = self.tracks.get_mut(index) {
            track.smoother.smooth(change, now, smoothing);
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

    /// The changes of a frame of one grey, smoothed.
    fn smoothed(smoother: &mut RegionSmoother, regions: &[Region], steps: &[i16]) -> Vec<i16> {
        smoother.follow(regions);
        let smooth = |(index, region): (usize, &Region)| {
            let size = region.letterbox.content.size;
            let mut change = Residual::new(size);
            change.planes.iter_mut().for_each(|plane| plane.fill(steps[index]));
            smoother.smooth(index, &mut change, &mut LumaPlane::new(size), 0.5);
            change.planes[0][100]
        };
        regions.iter().enumerate().map(smooth).collect()
    }

    #[test]
    fn each_region_goes_on_from_its_own_change() {
        let mut smoother = RegionSmoother::default();
        let first = regions(&[(20, 20, 80, 80), (200, 100, 90, 90)]);
        assert_eq!(smoothed(&mut smoother, &first, &[1000, 2000]), [1000, 2000]);
        // Both have moved on; now the other one is larger, and so the first.
        let second = regions(&[(24, 20, 92, 92), (206, 100, 90, 90)]);
        assert_eq!((first[0].core.x, second[0].core.x), (200, 24));
        assert_eq!(smoothed(&mut smoother, &second, &[0, 0]), [1000, 500]);
    }

    #[test]
    fn new_regions_begin_anew_and_gone_ones_are_forgotten() {
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
