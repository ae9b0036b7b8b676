// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generator's mask, as output and as a weight of the residual.

use cyclegan_contract::Size;
use cyclegan_frame::{Letterbox, Matte, MatteWriter, NotFinite, Residual};
use cyclegan_runtime::Values;
use gst_video::{VideoFormat, VideoInfo};

use super::TranslateError;
use crate::cycleganfilter::settings::Output;

/// The residual has its full weight where the mask is at least 1/16, and fades out below that:
/// changes that a quantised generator makes outside of its mask are noise.
const FADE: f32 = 16.0;

/// The mask of an image.
pub struct Masks {
    /// The mask itself, for `output=mask` and `output=alpha`.
    pub matte: Matte,
    /// The weight of the residual.
    weight: Matte,
    /// Scratch memory for `weight`.
    values: Vec<f32>,
}

impl Masks {
    /// For images of `size`.
    pub fn new(size: Size) -> Self {
        Self { matte: Matte::new(size), weight: Matte::new(size), values: Vec::new() }
    }

    /// Changes the size. The values are undefined until the next update.
    pub fn resize(&mut self, size: Size) {
        self.matte.resize(size);
        self.weight.resize(size);
    }

    /// Stores `mask`. Returns whether there is one.
    pub fn update(
        &mut self,
        mask: Option<Values<'_>>,
        letterbox: &Letterbox,
    ) -> Result<bool, TranslateError> {
        match mask {
            None => return Ok(false),
            Some(Values::F32(mask)) => self.store(mask, letterbox)?,
            Some(Values::F16(mask)) => self.store(mask, letterbox)?,
        }
        Ok(true)
    }

    /// Removes changes outside of the mask from `residual`.
    pub fn apply_weight(&self, residual: &mut Residual) {
        self.weight.apply_to(residual);
    }

    fn store<T>(&mut self, mask: &[T], letterbox: &Letterbox) -> Result<(), NotFinite>
    where
        T: cyclegan_frame::Element + Copy + Into<f32>,
    {
        self.matte.update(mask, letterbox)?;
        self.values.clear();
        self.values.extend(mask.iter().map(|&value| value.into() * FADE));
        self.weight.update(&self.values, letterbox)
    }
}

/// Writes masks for frames of `info`, for `output=mask`; those of whole frames have `size`.
pub fn writer(
    info: &VideoInfo,
    size: Size,
    output: Output,
    threads: u32,
) -> Result<Option<MatteWriter>, TranslateError> {
    Ok(match output {
        Output::Mask => Some(MatteWriter::new(&output_info(info, output)?, size, threads)?),
        Output::Video | Output::Alpha => None,
    })
}

/// The info of output frames for input frames of `info`.
pub fn output_info(info: &VideoInfo, output: Output) -> Result<VideoInfo, gst::glib::BoolError> {
    match output {
        Output::Video | Output::Alpha => Ok(info.clone()),
        Output::Mask => VideoInfo::builder(VideoFormat::Gray8, info.width(), info.height())
            .fps(info.fps())
            .par(info.par())
            .build(),
    }
}
