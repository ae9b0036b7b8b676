// SPDX-License-Identifier: MIT OR Apache-2.0

//! Postprocessing, the third stage: computes the residual from the tensors and applies it to the
//! frame.

use std::mem::discriminant;

use gst_video::{VideoFrameRef, VideoInfo};

use super::{
    Kind, Request, TranslateError,
    outlier::outlier,
    output::{Masks, writer},
    regions::RegionResiduals,
    view::View,
};
use crate::cycleganfilter::{gl, settings::Output};
use cyclegan_frame::{
    ColorTransform, Compositor, Element, Letterbox, MatteWriter, NotFinite, Picture, Residual,
    Smoother, Upscale, Workers, copy,
};
use cyclegan_runtime::Values;

/// How a frame relates to the previous frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Continuity {
    /// It follows them.
    #[default]
    Follows,
    /// Frames are missing in between: smoothing starts afresh.
    Gap,
    /// They belong to another stream or direction: their residual must not be used.
    Restarts,
}

/// Postprocesses frames of one format and size, in order: it keeps the residual for later frames.
pub struct Postprocess {
    color: ColorTransform,
    pub(super) residuals: Residuals,
    pub(super) has_residual: bool,
    /// How the last residual was computed.
    upscale: Upscale,
    compositor: Compositor,
    workers: Workers,
    pub(super) output: Output,
    /// Writes the mask, if it goes out alone.
    writer: Option<MatteWriter>,
    /// For frames in GL memory.
    pub(super) on_gpu: gl::Compositor,
    /// See [`Self::outlier`].
    outlier: Option<f32>,
}

/// The residual of the last frame.
pub(super) enum Residuals {
    Frame {
        letterbox: Letterbox,
        masks: Box<Masks>,
        residual: Box<Residual>,
        smoother: Box<Smoother>,
        /// The weight of the frame's own samples, see [`Upscale::keep`].
        keep: f32,
    },
    Regions(RegionResiduals),
}

impl Postprocess {
    /// For frames of `info` of which the generator sees `view`.
    pub fn new(info: &VideoInfo, view: &View, kind: Kind) -> Result<Self, TranslateError> {
        let Kind { output, threads, .. } = kind;
        let (residuals, size) = match view {
            View::Frame(letterbox) => {
                let size = letterbox.content.size;
                let residual = Box::new(Residual::new(size));
                let smoother = Box::new(Smoother::new(size));
                let masks = Box::new(Masks::new(size));
                let letterbox = *letterbox;
                (Residuals::Frame { letterbox, masks, residual, smoother, keep: 1.0 }, size)
            }
            View::Regions(_, tensor) => {
                (Residuals::Regions(RegionResiduals::new(output, *tensor)), *tensor)
            }
        };
        Ok(Self {
            color: ColorTransform::new(info),
            residuals,
            has_residual: false,
            upscale: Upscale::Residual { strength: 1.0 },
            compositor: Compositor::new(info, size, threads)?,
            workers: Workers::new(threads)?,
            output,
            writer: writer(info, size, output, threads)?,
            on_gpu: gl::Compositor::new(info, size),
            outlier: None,
        })
    }

    /// Discards what the next frame must not use.
    pub fn restart(&mut self, continuity: Continuity) {
        if continuity >= Continuity::Gap {
            match &mut self.residuals {
                Residuals::Frame { smoother, .. } => smoother.reset(),
                Residuals::Regions(regions) => regions.restart_smoothing(),
            }
        }
        if continuity == Continuity::Restarts {
            self.forget();
        }
    }

    /// The first value of the generator's output that was far outside of its range.
    pub fn outlier(&self) -> Option<f32> {
        self.outlier
    }

    /// Discards the residual.
    pub fn forget(&mut self) {
        self.has_residual = false;
    }

    /// Computes the residual from `request`, and mixes `smoothing` (0 to 1) of the previous one
    /// into it.
    pub fn update(
        &mut self,
        request: &mut Request,
        upscale: Upscale,
        smoothing: f32,
    ) -> Result<(), TranslateError> {
        self.has_residual = false;
        if self.outlier.is_none() && request.len() > 0 {
            let range = request.generator().contract().metadata.output_range;
            self.outlier = outlier(request.values(0)?.1, range);
        }
        // One is a difference, the other a picture.
        if discriminant(&self.upscale) != discriminant(&upscale) {
            self.restart(Continuity::Gap);
        }
        self.upscale = upscale;
        let options = ResidualOptions { color: &self.color, upscale, workers: &self.workers };
        self.has_residual = match &mut self.residuals {
            Residuals::Regions(regions) => regions.update(request, &options, smoothing)?,
            Residuals::Frame { letterbox, masks, residual, smoother, keep } => {
                *keep = upscale.keep();
                let has_mask = masks.update(request.mask(0)?, letterbox)?;
                // With `output=mask` the residual is not needed.
                if self.output != Output::Mask {
                    let is_smoothed = smoothing > 0.0;
                    let options = if is_smoothed { options.at_full_strength() } else { options };
                    options.residual(request, 0, letterbox, residual)?;
                    if has_mask && matches!(upscale, Upscale::Residual { .. }) {
                        masks.apply_weight(residual);
                    }
                    if is_smoothed {
                        smoother.smooth(residual, request.luma_mut(0), smoothing);
                        scale(residual, upscale);
                    } else {
                        smoother.reset();
                    }
                }
                true
            }
        };
        Ok(())
    }

    /// Writes `input` with the last residual applied, or the last mask. Returns `false`, and writes
    /// nothing, if there is none.
    pub fn composite(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<bool, TranslateError> {
        if !self.has_residual {
            return Ok(false);
        }
        if self.output == Output::Mask {
            self.write_mask(output)?;
            return Ok(true);
        }
        let Self { residuals, compositor, .. } = self;
        let is_alpha = self.output == Output::Alpha;
        match residuals {
            Residuals::Frame { residual, masks, keep, .. } => {
                let matte = is_alpha.then_some(&masks.matte);
                compositor.composite(residual, *keep, matte, input, output)?;
            }
            Residuals::Regions(regions) => {
                let mattes = is_alpha.then(|| regions.mattes());
                compositor.composite_patches(regions.patches(), mattes, input, output)?;
            }
        }
        Ok(true)
    }

    /// Writes `input` unchanged, or an empty mask.
    pub fn pass(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), TranslateError> {
        match self.output {
            Output::Mask => self.write_empty_mask(output)?,
            Output::Alpha => {
                self.compositor.composite_patches(&[], Some(&[]), input, output)?;
            }
            Output::Video => copy(input, output)?,
        }
        Ok(())
    }

    /// With `output=mask`, writes the last mask.
    pub(super) fn write_mask(
        &mut self,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), TranslateError> {
        match (&mut self.writer, &self.residuals) {
            (None, _) => {}
            (Some(writer), Residuals::Frame { masks, .. }) => writer.write(&masks.matte, output)?,
            (Some(writer), Residuals::Regions(regions)) => {
                writer.write_patches(regions.mattes(), output)?;
            }
        }
        Ok(())
    }

    /// With `output=mask`, writes zeros.
    pub(super) fn write_empty_mask(
        &mut self,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), TranslateError> {
        if let Some(writer) = &mut self.writer {
            writer.write_patches(&[], output)?;
        }
        Ok(())
    }
}

/// Applies the strength of `upscale` to a residual at full strength.
fn scale(residual: &mut Residual, upscale: Upscale) {
    let (Upscale::Residual { strength } | Upscale::Plain { strength }) = upscale;
    if strength < 1.0 {
        for step in residual.planes.iter_mut().flatten() {
            *step = (f32::from(*step) * strength).round() as i16;
        }
    }
}

/// The parameters of computing a residual from tensors.
#[derive(Clone, Copy)]
pub(super) struct ResidualOptions<'a> {
    pub color: &'a ColorTransform,
    pub upscale: Upscale,
    pub workers: &'a Workers,
}

impl ResidualOptions<'_> {
    /// The same at strength 1. Smoothing mixes such residuals, as the strength may change from frame to
    /// frame.
    pub fn at_full_strength(self) -> Self {
        Self { upscale: self.upscale.at_full_strength(), ..self }
    }

    /// Computes the residual of picture `index` of `request`.
    pub fn residual(
        &self,
        request: &Request,
        index: usize,
        letterbox: &Letterbox,
        residual: &mut Residual,
    ) -> Result<(), TranslateError> {
        let (input, output) = request.values(index)?;
        let metadata = &request.generator().contract().metadata;
        let (before, after) = (metadata.input_range, metadata.output_range);
        let mut update = Update { options: self, letterbox, residual };
        match (input, output) {
            (Values::F32(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F32(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F16(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F16(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
        }?;
        Ok(())
    }
}

/// The arguments of [`Residual::update`] that do not depend on the tensors' types.
struct Update<'a> {
    options: &'a ResidualOptions<'a>,
    letterbox: &'a Letterbox,
    residual: &'a mut Residual,
}

impl Update<'_> {
    fn run<I: Element, O: Element>(
        &mut self,
        input: &Picture<'_, I>,
        output: &Picture<'_, O>,
    ) -> Result<(), NotFinite> {
        let ResidualOptions { color, upscale, workers } = *self.options;
        self.residual.update(input, output, self.letterbox, color, upscale, workers)
    }
}
