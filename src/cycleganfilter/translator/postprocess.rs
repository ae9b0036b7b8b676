// SPDX-License-Identifier: MIT OR Apache-2.0

//! Postprocessing, the third stage of a frame: from the tensors back onto the frame.

use gst_video::{VideoFrameRef, VideoInfo};

use super::{Request, TranslateError, regions::RegionResiduals, view::View};
use cyclegan_frame::{
    ColorTransform, Compositor, Element, Letterbox, NotFinite, Picture, Residual, Smoother, Upscale,
};
use cyclegan_runtime::{Binding, Values};

/// What the frames before have to do with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Continuity {
    /// It follows on them.
    #[default]
    Follows,
    /// Frames are missing between them: smoothing begins anew.
    Gap,
    /// They are of another stream or direction: their residual is not for it.
    Restarts,
}

/// Composites frames of one kind. It owns what one frame leaves to the next, the residual, so
/// it takes the frames in their order.
pub struct Postprocess {
    color: ColorTransform,
    residuals: Residuals,
    has_residual: bool,
    compositor: Compositor,
}

/// The residual of the last frame.
enum Residuals {
    Frame {
        letterbox: Letterbox,
        residual: Box<Residual>,
        smoother: Box<Smoother>,
        /// The share of a frame's own samples that goes with the residual.
        keep: f32,
    },
    Regions(RegionResiduals),
}

impl Postprocess {
    /// For frames of `info` that are seen as `view` says.
    pub fn new(info: &VideoInfo, view: &View, threads: u32) -> Result<Self, TranslateError> {
        let (residuals, size) = match view {
            View::Frame(letterbox) => {
                let size = letterbox.content.size;
                let residual = Box::new(Residual::new(size));
                let smoother = Box::new(Smoother::new(size));
                (Residuals::Frame { letterbox: *letterbox, residual, smoother, keep: 1.0 }, size)
            }
            View::Regions(_, tensor) => (Residuals::Regions(RegionResiduals::default()), *tensor),
        };
        Ok(Self {
            color: ColorTransform::new(info),
            residuals,
            has_residual: false,
            compositor: Compositor::new(info, size, threads)?,
        })
    }

    /// Forgets what is not for the next frame.
    pub fn restart(&mut self, continuity: Continuity) {
        if continuity >= Continuity::Gap {
            match &mut self.residuals {
                Residuals::Frame { smoother, .. } => smoother.reset(),
                Residuals::Regions(regions) => regions.restart_smoothing(),
            }
        }
        if continuity == Continuity::Restarts {
            self.has_residual = false;
        }
    }

    /// Takes the residual out of `request`, with `smoothing` (0 to 1) of the last one's.
    pub fn update(
        &mut self,
        request: &mut Request,
        upscale: Upscale,
        smoothing: f32,
    ) -> Result<(), TranslateError> {
        self.has_residual = false;
        self.has_residual = match &mut self.residuals {
            Residuals::Regions(regions) => {
                regions.update(request, &self.color, upscale, smoothing)?
            }
            Residuals::Frame { letterbox, residual, smoother, keep } => {
                *keep = upscale.keep();
                for part in request.parts() {
                    update_residual(residual, &part.binding, letterbox, &self.color, upscale)?;
                    if smoothing > 0.0 {
                        smoother.smooth(residual, &mut part.grey, smoothing);
                    } else {
                        smoother.reset();
                    }
                }
                true
            }
        };
        Ok(())
    }

    /// Puts the last residual on `input`. Returns whether there is one.
    pub fn composite(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<bool, TranslateError> {
        if self.has_residual {
            match &mut self.residuals {
                Residuals::Frame { residual, keep, .. } => {
                    self.compositor.composite(residual, *keep, input, output)?;
                }
                Residuals::Regions(regions) => {
                    self.compositor.composite_patches(regions.patches(), input, output)?;
                }
            }
        }
        Ok(self.has_residual)
    }
}

/// Takes the residual out of the tensors of `binding`.
pub(super) fn update_residual(
    residual: &mut Residual,
    binding: &Binding,
    letterbox: &Letterbox,
    color: &ColorTransform,
    upscale: Upscale,
) -> Result<(), TranslateError> {
    let (input, output) = binding.input_and_output()?;
    let metadata = &binding.generator().contract().metadata;
    let mut update = Update { residual, letterbox, color, upscale };
    let (before, after) = (metadata.input_range, metadata.output_range);
    match (input, output) {
        (Values::F32(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
        (Values::F32(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
        (Values::F16(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
        (Values::F16(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
    }?;
    Ok(())
}

/// The arguments of [`Residual::update`] that do not depend on the tensors' types.
struct Update<'a> {
    residual: &'a mut Residual,
    letterbox: &'a Letterbox,
    color: &'a ColorTransform,
    upscale: Upscale,
}

impl Update<'_> {
    fn run<I: Element, O: Element>(
        &mut self,
        input: &Picture<'_, I>,
        output: &Picture<'_, O>,
    ) -> Result<(), NotFinite> {
        self.residual.update(input, output, self.letterbox, self.color, self.upscale)
    }
}
