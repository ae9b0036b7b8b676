// SPDX-License-Identifier: MIT OR Apache-2.0

//! The third stage of a frame: from the tensors back onto the frame.

use gst_video::{VideoFrameRef, VideoInfo};

use super::{Slot, TranslateError, regions::RegionResiduals, view::View};
use cyclegan_frame::{
    ColorTransform, Compositor, Element, Letterbox, NotFinite, Picture, Residual, Smoother,
    Upscale, Workers,
};
use cyclegan_runtime::{Binding, Values};

/// What the frames before have to do with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Restart {
    /// It follows on them.
    #[default]
    Nothing,
    /// Frames are missing between them: smoothing begins anew.
    Smoothing,
    /// They are of another stream or direction: their change is not for it.
    Everything,
}

/// Composites frames of one kind. It owns what one frame leaves to the next, the change, so it
/// takes the frames in their order.
pub struct Finish {
    color: ColorTransform,
    changes: Changes,
    has_change: bool,
    compositor: Compositor,
    workers: Workers,
}

/// What the generator changed in the last frame.
enum Changes {
    Frame {
        letterbox: Letterbox,
        change: Box<Residual>,
        smoother: Box<Smoother>,
        /// The share of a frame's own samples that goes with the change.
        keep: f32,
    },
    Regions(RegionResiduals),
}

impl Finish {
    /// For frames of `info` that are seen as `view` says.
    pub fn new(info: &VideoInfo, view: &View, threads: u32) -> Result<Self, TranslateError> {
        let (changes, size) = match view {
            View::Frame(letterbox) => {
                let size = letterbox.content.size;
                let change = Box::new(Residual::new(size));
                let smoother = Box::new(Smoother::new(size));
                (Changes::Frame { letterbox: *letterbox, change, smoother, keep: 1.0 }, size)
            }
            View::Regions(_, tensor) => (Changes::Regions(RegionResiduals::default()), *tensor),
        };
        Ok(Self {
            color: ColorTransform::new(info),
            changes,
            has_change: false,
            compositor: Compositor::new(info, size, threads)?,
            workers: Workers::new(threads)?,
        })
    }

    /// Forgets what is not for the next frame.
    pub fn restart(&mut self, restart: Restart) {
        if restart >= Restart::Smoothing {
            match &mut self.changes {
                Changes::Frame { smoother, .. } => smoother.reset(),
                Changes::Regions(changes) => changes.restart_smoothing(),
            }
        }
        if restart == Restart::Everything {
            self.has_change = false;
        }
    }

    /// Takes the change out of `slot`, with `smoothing` (0 to 1) of the last one's. The slot is
    /// free for another frame then.
    pub fn update(
        &mut self,
        slot: &mut Slot,
        upscale: Upscale,
        smoothing: f32,
    ) -> Result<(), TranslateError> {
        let Self { color, workers, .. } = self;
        self.has_change = false;
        self.has_change = match &mut self.changes {
            Changes::Regions(changes) => {
                changes.update(slot, color, upscale, smoothing, workers)?
            }
            Changes::Frame { letterbox, change, smoother, keep } => {
                *keep = upscale.keep();
                for part in slot.parts() {
                    update_residual(change, &part.binding, letterbox, color, upscale, workers)?;
                    if smoothing > 0.0 {
                        smoother.smooth(change, &mut part.grey, smoothing);
                    } else {
                        smoother.reset();
                    }
                }
                true
            }
        };
        Ok(())
    }

    /// Puts the last change on `input`. Returns whether there is one.
    pub fn composite(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<bool, TranslateError> {
        if self.has_change {
            match &mut self.changes {
                Changes::Frame { change, keep, .. } => {
                    self.compositor.composite(change, *keep, input, output)?;
                }
                Changes::Regions(changes) => {
                    self.compositor.composite_patches(changes.patches(), input, output)?;
                }
            }
        }
        Ok(self.has_change)
    }
}

/// Takes the change out of the tensors of `stream`.
pub(super) fn update_residual(
    change: &mut Residual,
    binding: &Binding,
    letterbox: &Letterbox,
    color: &ColorTransform,
    upscale: Upscale,
    workers: &Workers,
) -> Result<(), TranslateError> {
    let (input, output) = binding.input_and_output()?;
    let metadata = &binding.generator().contract().metadata;
    let mut update = Update { change, letterbox, color, upscale, workers };
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
    change: &'a mut Residual,
    letterbox: &'a Letterbox,
    color: &'a ColorTransform,
    upscale: Upscale,
    workers: &'a Workers,
}

impl Update<'_> {
    fn run<I: Element, O: Element>(
        &mut self,
        input: &Picture<'_, I>,
        output: &Picture<'_, O>,
    ) -> Result<(), NotFinite> {
        let Self { letterbox, color, upscale, workers, .. } = *self;
        self.change.update(input, output, letterbox, color, upscale, workers)
    }
}
