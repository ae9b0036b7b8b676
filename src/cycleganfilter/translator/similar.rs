// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the generator's input is similar to the last one.

use super::{Request, TranslateError};
use cyclegan_frame::{Region, StillPicture, Upscale};
use cyclegan_runtime::Values;

/// What the generator saw last.
#[derive(Default)]
pub struct LastSeen {
    /// How the residual was computed; `None` if nothing is stored.
    upscale: Option<Upscale>,
    regions: Vec<Region>,
    /// One per picture. Unused ones are kept for later frames.
    pictures: Vec<StillPicture>,
}

impl LastSeen {
    /// Whether the pictures of `request` show the same regions as the last ones, and none differs
    /// from its predecessor by `limit` grey levels or more, see [`StillPicture::differs`].
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
        for (index, picture) in self.pictures.iter_mut().enumerate().take(request.len()) {
            let differs = match request.values(index)?.0 {
                Values::F32(values) => picture.differs(values, limit),
                Values::F16(values) => picture.differs(values, limit),
            };
            if differs {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stores the pictures of `request`.
    pub fn remember(&mut self, request: &Request, upscale: Upscale) -> Result<(), TranslateError> {
        while self.pictures.len() < request.len() {
            self.pictures.push(StillPicture::new(request.tensor));
        }
        for (index, picture) in self.pictures.iter_mut().enumerate().take(request.len()) {
            match request.values(index)?.0 {
                Values::F32(values) => picture.set(values),
                Values::F16(values) => picture.set(values),
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
