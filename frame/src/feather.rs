// SPDX-License-Identifier: MIT OR Apache-2.0

//! Feathering: the weights of a region's residual. They are 1 in its box and fall to 0 towards the edge;
//! overlapping regions share them.

use super::{
    geometry::Rect,
    region::{Region, intersection},
    residual::Upscale,
};

/// Weights of one region's residual, at the generator's size.
#[derive(Clone, Debug, Default)]
pub struct FeatherWeights {
    values: Vec<f32>,
    /// The feather along x and then along y of each overlapping region, one after the other.
    ramps: Vec<f32>,
}

impl FeatherWeights {
    /// The weights, 0 to 1, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Computes the weights of `regions[index]`.
    ///
    /// Where regions overlap, their weights together come to the largest feather among them, if they are
    /// composited in their order: residuals of [`Upscale::Residual`] are added up, those of
    /// [`Upscale::Plain`] are composited with Porter and Duff's "over" (1984).
    pub fn update(&mut self, index: usize, regions: &[Region], upscale: Upscale) {
        let region = &regions[index];
        let size = region.letterbox.content.size;
        let (width, height) = (size.width as usize, size.height as usize);
        let overlapping = |other: &Region| intersection(&other.feathered, &region.feathered) > 0;

        self.ramps.clear();
        let mut before = 0;
        for (i, other) in regions.iter().enumerate() {
            if overlapping(other) {
                self.ramps.extend(ramp(other, region, 0, width));
                self.ramps.extend(ramp(other, region, 1, height));
                before += usize::from(i < index);
            }
        }
        self.values.clear();
        let all = self.ramps.chunks_exact(width + height);
        for y in 0..height {
            for x in 0..width {
                let feathers = all.clone().map(|ramps| ramps[x] * ramps[width + y]);
                self.values.push(share(feathers, before, upscale));
            }
        }
    }
}

/// The weight of region `index` among those whose feathers at one place are `feathers`.
fn share(feathers: impl Iterator<Item = f32>, index: usize, upscale: Upscale) -> f32 {
    let (mut own, mut sum, mut most, mut after) = (0.0, 0.0, 0f32, 0.0);
    for (i, feather) in feathers.enumerate() {
        match i.cmp(&index) {
            std::cmp::Ordering::Equal => own = feather,
            std::cmp::Ordering::Greater => after += feather,
            std::cmp::Ordering::Less => {}
        }
        sum += feather;
        most = most.max(feather);
    }
    if own == 0.0 {
        return 0.0;
    }
    let scale = most / sum;
    match upscale {
        Upscale::Residual { strength } => strength * own * scale,
        // Later layers cover part of it.
        Upscale::Plain { strength } => {
            strength * own * scale / (1.0 - strength * after * scale).max(f32::EPSILON)
        }
    }
    .min(1.0)
}

/// The feather of `other` along one axis, 0 for x and 1 for y, at `count` evenly spaced places of the
/// crop of `region`.
fn ramp(other: &Region, region: &Region, axis: usize, count: usize) -> impl Iterator<Item = f32> {
    let (start, length) = along(&region.crop, axis);
    let (first, inside) = along(&other.bbox, axis);
    let fade = other.feather[axis];
    (0..count).map(move |i| {
        let place = start + (i as f32 + 0.5) * length / count as f32;
        let distance = (first - place).max(place - first - inside).max(0.0);
        smooth_step(1.0 - distance / fade)
    })
}

fn along(rect: &Rect, axis: usize) -> (f32, f32) {
    match axis {
        0 => (rect.x as f32, rect.size.width as f32),
        _ => (rect.y as f32, rect.size.height as f32),
    }
}

/// Smoothstep: 0 below 0, 1 above 1, and 3t² − 2t³ between them.
fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::RegionPlanner;
    use cyclegan_contract::Size;
    use proptest::prelude::*;

    const FRAME: Size = Size { width: 400, height: 300 };
    const TENSOR: Size = Size { width: 64, height: 64 };
    const FULL: Upscale = Upscale::Residual { strength: 1.0 };

    fn regions(boxes: &[(u32, u32, u32, u32)]) -> Vec<Region> {
        let grid = Size { width: 2, height: 2 };
        let mut planner = RegionPlanner::new(FRAME, 1.0, grid, TENSOR);
        planner.plan(boxes.iter().map(|&rect| rect.into())).to_vec()
    }

    /// The weight of a region at one place of the frame, by the nearest of its samples.
    fn weight_at(weights: &FeatherWeights, region: &Region, x: f32, y: f32) -> f32 {
        let size = region.letterbox.content.size;
        let index = |place: f32, (start, length): (f32, f32), count: u32| {
            (((place - start) / length * count as f32) as usize).min(count as usize - 1)
        };
        let column = index(x, along(&region.crop, 0), size.width);
        let row = index(y, along(&region.crop, 1), size.height);
        weights.values()[row * size.width as usize + column]
    }

    fn all_weights(regions: &[Region], upscale: Upscale) -> Vec<FeatherWeights> {
        let weights = |index| {
            let mut weights = FeatherWeights::default();
            weights.update(index, regions, upscale);
            weights
        };
        (0..regions.len()).map(weights).collect()
    }

    #[test]
    fn the_weight_is_1_in_the_box_and_0_at_the_edge() {
        let regions = regions(&[(100, 100, 80, 60)]);
        let weights = &all_weights(&regions, FULL)[0];
        let at = |x: f32, y: f32| weight_at(weights, &regions[0], x, y);
        assert_eq!((at(102.0, 102.0), at(178.0, 158.0)), (1.0, 1.0));
        assert_eq!((at(83.5, 120.0), at(140.0, 176.5)), (0.0, 0.0));
        let across: Vec<_> = (84..=100).map(|x| at(x as f32, 130.0)).collect();
        assert!(across.is_sorted() && across.iter().any(|w| (0.2..0.8).contains(w)), "{across:?}");
    }

    #[test]
    fn a_box_at_the_frames_edge_is_not_feathered_there() {
        let regions = regions(&[(0, 0, 80, 300)]);
        let weights = &all_weights(&regions, FULL)[0];
        assert_eq!(weight_at(weights, &regions[0], 0.0, 0.0), 1.0);
        assert_eq!(weight_at(weights, &regions[0], 0.0, 299.0), 1.0);
    }

    proptest! {
        /// At each place, the weights of all regions together give the largest feather.
        #[test]
        fn overlapping_weights_together_give_the_largest(
            boxes in prop::collection::vec((0u32..380, 0u32..280, 1u32..200, 1u32..200), 1..12),
            strength in 0.01f32..=1.0, is_plain: bool,
        ) {
            let upscale = if is_plain { Upscale::Plain { strength } } else { Upscale::Residual { strength } };
            // The crop of every region is the whole frame, so that sample i is at the same place in all.
            let mut regions = regions(&boxes);
            for region in &mut regions {
                region.crop = Rect { x: 0, y: 0, size: FRAME };
                region.letterbox.content.size = TENSOR;
            }
            let all = all_weights(&regions, upscale);
            for place in (0..64 * 64).step_by(37) {
                let weights: Vec<f32> = all.iter().map(|weights| weights.values()[place]).collect();
                let soft = regions.iter().map(|region| {
                    let (x, y) = (place % 64, place / 64);
                    let along = |axis, i| ramp(region, region, axis, 64).nth(i).unwrap();
                    along(0, x) * along(1, y)
                });
                let most = soft.fold(0.0, f32::max);
                prop_assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)));
                let painted = match upscale {
                    Upscale::Residual { .. } => weights.iter().sum::<f32>(),
                    Upscale::Plain { .. } => 1.0 - weights.iter().map(|weight| 1.0 - weight).product::<f32>(),
                };
                prop_assert!((painted - strength * most).abs() < 1e-4, "{:?}: {}", weights, most);
            }
        }

        #[test]
        fn the_weight_is_0_outside_the_feathered_box(
            boxes in prop::collection::vec((0u32..380, 0u32..280, 1u32..200, 1u32..200), 1..12),
        ) {
            let regions = regions(&boxes);
            for (region, weights) in regions.iter().zip(all_weights(&regions, FULL)) {
                let size = region.letterbox.content.size;
                for (i, weight) in weights.values().iter().enumerate() {
                    let place = |axis: usize, i: u32, count: u32| {
                        let (start, length) = along(&region.crop, axis);
                        start + (i as f32 + 0.5) * length / count as f32
                    };
                    let x = place(0, i as u32 % size.width, size.width);
                    let y = place(1, i as u32 / size.width, size.height);
                    let is_in = |axis: usize, place: f32| {
                        let (start, length) = along(&region.feathered, axis);
                        (start..start + length).contains(&place)
                    };
                    prop_assert!(*weight == 0.0 || is_in(0, x) && is_in(1, y));
                }
            }
        }
    }
}
