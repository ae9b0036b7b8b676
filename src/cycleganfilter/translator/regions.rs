// SPDX-License-Identifier: MIT OR Apache-2.0

//! Postprocessing of frames of which only regions are translated.

use super::{Request, TranslateError, output::Masks, postprocess::ResidualOptions};
use crate::cycleganfilter::settings::Output;
use cyclegan_frame::{Patch, Region, RegionSmoother, Size, Upscale};

/// The residuals and masks of a frame's regions.
pub struct RegionResiduals {
    output: Output,
    /// The first `used` belong to the last frame; the others are kept for reuse.
    patches: Vec<Patch>,
    /// The same for the mask, if it is output.
    mattes: Vec<Patch>,
    used: usize,
    masks: Masks,
    smoother: RegionSmoother,
}

impl RegionResiduals {
    /// For `output`, and a generator whose tensors are of size `tensor`.
    pub fn new(output: Output, tensor: Size) -> Self {
        Self {
            output,
            patches: Vec::new(),
            mattes: Vec::new(),
            used: 0,
            masks: Masks::new(tensor),
            smoother: RegionSmoother::default(),
        }
    }

    /// Starts smoothing afresh.
    pub fn restart_smoothing(&mut self) {
        self.smoother.reset();
    }

    /// Computes the residuals from `request`, and mixes `smoothing` (0 to 1) of the previous ones
    /// into them. Returns whether the frame has any region.
    pub fn update(
        &mut self,
        request: &mut Request,
        options: &ResidualOptions<'_>,
        smoothing: f32,
    ) -> Result<bool, TranslateError> {
        let regions = std::mem::take(&mut request.regions);
        let updated = self.update_from(request, &regions, options, smoothing);
        request.regions = regions;
        updated?;
        Ok(self.used > 0)
    }

    fn update_from(
        &mut self,
        request: &mut Request,
        regions: &[Region],
        options: &ResidualOptions<'_>,
        smoothing: f32,
    ) -> Result<(), TranslateError> {
        if smoothing > 0.0 {
            self.smoother.follow(regions);
        } else {
            self.smoother.reset();
        }
        self.used = regions.len();
        for patches in [&mut self.patches, &mut self.mattes] {
            patches.resize_with(patches.len().max(self.used), Patch::default);
        }
        let Self { output, patches, mattes, masks, smoother, .. } = self;
        let full = options.at_full_strength();
        for (index, region) in regions.iter().enumerate() {
            let letterbox = &region.letterbox;
            masks.resize(letterbox.content.size);
            let has_mask = masks.update(request.mask(index)?, letterbox)?;
            if has_mask && *output != Output::Video {
                let matte = &mut mattes[index];
                matte.set_matte(&masks.matte);
                matte.feather(index, regions, Upscale::Residual { strength: 1.0 });
            }
            // With `output=mask`, the picture is not needed.
            if *output == Output::Mask {
                continue;
            }
            let patch = &mut patches[index];
            patch.residual.resize(letterbox.content.size);
            full.residual(request, index, letterbox, &mut patch.residual)?;
            if has_mask && matches!(options.upscale, Upscale::Residual { .. }) {
                masks.apply_weight(&mut patch.residual);
            }
            if smoothing > 0.0 {
                let luma = request.luma_mut(index);
                smoother.smooth(index, &mut patch.residual, luma, smoothing);
            }
            patch.feather(index, regions, options.upscale);
        }
        Ok(())
    }

    /// The patches of the last frame.
    pub fn patches(&self) -> &[Patch] {
        &self.patches[..self.used]
    }

    /// The patches of the last frame's mask.
    pub fn mattes(&self) -> &[Patch] {
        &self.mattes[..self.used]
    }
}
