// SPDX-License-Identifier: MIT OR Apache-2.0

//! The third stage of a frame of which only regions are translated.

use super::{Slot, TranslateError, finish::update_residual};
use cyclegan_frame::{ColorTransform, Patch, RegionSmoother, Upscale, Workers};

/// The changes of a frame's regions.
#[derive(Default)]
pub struct RegionResiduals {
    /// Those that the last frame has no use for stay for another.
    patches: Vec<Patch>,
    used: usize,
    smoother: RegionSmoother,
}

impl RegionResiduals {
    /// Begins smoothing anew.
    pub fn restart_smoothing(&mut self) {
        self.smoother.reset();
    }

    /// Takes the changes out of `slot`, with `smoothing` (0 to 1) of the last ones. Returns whether
    /// the frame had any region.
    pub fn update(
        &mut self,
        slot: &mut Slot,
        color: &ColorTransform,
        upscale: Upscale,
        smoothing: f32,
        workers: &Workers,
    ) -> Result<bool, TranslateError> {
        let (regions, parts) = slot.regions();
        if smoothing > 0.0 {
            self.smoother.follow(regions);
        } else {
            self.smoother.reset();
        }
        self.used = regions.len();
        self.patches.resize_with(self.patches.len().max(self.used), Patch::default);
        let all = regions.iter().zip(parts).zip(&mut self.patches);
        for (index, ((region, part), patch)) in all.enumerate() {
            patch.residual.resize(region.letterbox.content.size);
            let full = upscale.at_full_strength();
            update_residual(
                &mut patch.residual,
                &part.binding,
                &region.letterbox,
                color,
                full,
                workers,
            )?;
            if smoothing > 0.0 {
                self.smoother.smooth(index, &mut patch.residual, &mut part.grey, smoothing);
            }
            patch.feather(index, regions, upscale);
        }
        Ok(self.used > 0)
    }

    /// What is to be painted into the frame.
    pub fn patches(&mut self) -> &mut [Patch] {
        &mut self.patches[..self.used]
    }
}
