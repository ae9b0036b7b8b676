// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generator's mask: as output, and as a weight of the residual.

use cyclegan_contract::Size;
use cyclegan_frame::{Letterbox, Matte, MatteWriter, NotFinite, Residual};
use cyclegan_runtime::Values;
use gst_video::{VideoFormat, VideoInfo};

use super::TranslateError;
use crate::cycleganfilter::settings::Output;

/// A residual counts in full where the mask is at least 1/16. Below that it fades out: what a
/// quantised generator changes outside of its mask is noise.
const FADE: f32 = 16.0;

/// The mask of the last frame.
pub struct Masks {
    /// The mask itself, for `output=mask` and `output=alpha`.
    pub matte: Matte,
    /// How much of the residual counts.
    weight: Matte,
    /// The mask's values, for `weight`.
    values: Vec<f32>,
    /// Writes the mask, if it goes out alone.
    pub writer: Option<MatteWriter>,
}

impl Masks {
    /// For frames of `info` that the generator sees in `size`.
    pub fn new(
        info: &VideoInfo,
        size: Size,
        output: Output,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let writer = match output {
            Output::Mask => Some(MatteWriter::new(&output_info(info, output)?, size, threads)?),
            Output::Video | Output::Alpha => None,
        };
        let (matte, weight) = (Matte::new(size), Matte::new(size));
        Ok(Self { matte, weight, values: Vec::new(), writer })
    }

    /// Takes over `mask`, if there is one. Returns whether there is.
    pub fn update(
        &mut self,
        mask: Option<Values<'_>>,
        letterbox: &Letterbox,
    ) -> Result<bool, TranslateError> {
        match mask {
            None => return Ok(false),
            Some(Values::F32(mask)) => self.take(mask, letterbox)?,
            Some(Values::F16(mask)) => self.take(mask, letterbox)?,
        }
        Ok(true)
    }

    /// Removes what the generator has changed outside of its mask.
    pub fn weigh(&self, residual: &mut Residual) {
        self.weight.apply_to(residual);
    }

    fn take<T>(&mut self, mask: &[T], letterbox: &Letterbox) -> Result<(), NotFinite>
    where
        T: cyclegan_frame::Element + Copy + Into<f32>,
    {
        self.matte.update(mask, letterbox)?;
        self.values.clear();
        self.values.extend(mask.iter().map(|&value| value.into() * FADE));
        self.weight.update(&self.values, letterbox)
    }
}

/// What goes out for frames of `info`.
pub fn output_info(info: &VideoInfo, output: Output) -> Result<VideoInfo, gst::glib::BoolError> {
    match output {
        Output::Video | Output::Alpha => Ok(info.clone()),
        Output::Mask => VideoInfo::builder(VideoFormat::Gray8, info.width(), info.height())
            .fps(info.fps())
            .par(info.par())
            .build(),
    }
}
