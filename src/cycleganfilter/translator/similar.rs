// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the generator's input is similar to the last one.

use super::{Request, TranslateError};
use cyclegan_frame::{ReferenceImage, Region, Upscale};
use cyclegan_runtime::Values;

/// What the generator saw last.
#[derive(Default)]
pub struct LastSeen {
    /// How the residual was computed; `None` if nothing is stored.
    upscale: Option<Upscale>,
    regions: Vec<Region>,
    /// One per picture. Unused ones are kept for later frames.
    references: Vec<ReferenceImage>,
}

impl LastSeen {
    /// Whether the pictures of `request` show the same regions as the last ones, and none differs
    /// from its predecessor by `limit` grey levels or more, see [`ReferenceImage::differs`].
    pub fn is_similar(
        &mut self,
        request: &Request,
        upscale: Upscale,
        limit: f32,
    ) -> Result<bool, TranslateError> {
        if self.upscale != Some(upscale) || self.regions != request.regions {
            return Ok(false);
        }
        let limit = limit * request.generator().contract().metadata.input_range.per_grey_level();
        for (index, reference) in self.references.iter_mut().enumerate().take(request.len()) {
            let differs = match request.values(index)?.0 {
                Values::F32(values) => reference.differs(values, limit),
                Values::F16(values) => reference.differs(values, limit),
            };
            if differs {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stores the pictures of `request`.
    pub fn remember(&mut self, request: &Request, upscale: Upscale) -> Result<(), TranslateError> {
        while self.references.len() < request.len() {
            self.references.push(ReferenceImage::new(request.tensor));
        }
        for (index, reference) in self.references.iter_mut().enumerate().take(request.len()) {
            match request.values(index)?.0 {
                Values::F32(values) => reference.set(values),
                Values::F16(values) => reference.set(values),
            }
        }
        self.regions.clone_from(&request.regions);
        self.upscale = Some(upscale);
        Ok(())
    }

    /// Discards the stored pictures.
    pub fn forget(&mut self) {
        self.upscale = None;
    }
}
