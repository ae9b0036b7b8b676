// SPDX-License-Identifier: MIT OR Apache-2.0

//! Postprocessing of frames of which only regions are translated.

use super::{Request, TranslateError, postprocess::Taking};
use cyclegan_frame::{Patch, Region, RegionSmoother};

/// The residuals of a frame's regions.
#[derive(Default)]
pub struct RegionResiduals {
    /// The first `used` belong to the last frame; the others are kept for reuse.
    patches: Vec<Patch>,
    used: usize,
    smoother: RegionSmoother,
}

impl RegionResiduals {
    /// Starts smoothing afresh.
    pub fn restart_smoothing(&mut self) {
        self.smoother.reset();
    }

    /// Computes the residuals from `request`, and mixes `smoothing` (0 to 1) of the previous ones
    /// into them. Returns whether the frame has any region.
    pub fn update(
        &mut self,
        request: &mut Request,
        taking: &Taking<'_>,
        smoothing: f32,
    ) -> Result<bool, TranslateError> {
        let regions = std::mem::take(&mut request.regions);
        let updated = self.update_from(request, &regions, taking, smoothing);
        request.regions = regions;
        updated?;
        Ok(self.used > 0)
    }

    fn update_from(
        &mut self,
        request: &mut Request,
        regions: &[Region],
        taking: &Taking<'_>,
        smoothing: f32,
    ) -> Result<(), TranslateError> {
        if smoothing > 0.0 {
            self.smoother.follow(regions);
        } else {
            self.smoother.reset();
        }
        self.used = regions.len();
        self.patches.resize_with(self.patches.len().max(self.used), Patch::default);
        let upscale = taking.upscale.at_full_strength();
        let full = Taking { upscale, ..*taking };
        for (index, (region, patch)) in regions.iter().zip(&mut self.patches).enumerate() {
            patch.residual.resize(region.letterbox.content.size);
            full.residual(request, index, &region.letterbox, &mut patch.residual)?;
            if smoothing > 0.0 {
                let luma = request.luma_mut(index);
                self.smoother.smooth(index, &mut patch.residual, luma, smoothing);
            }
            patch.feather(index, regions, taking.upscale);
        }
        Ok(())
    }

    /// The patches of the last frame.
    pub fn patches(&mut self) -> &mut [Patch] {
        &mut self.patches[..self.used]
    }
}
