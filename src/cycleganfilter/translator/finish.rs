// SPDX-License-Identifier: MIT OR Apache-2.0

//! The third stage of a frame: from the tensors back onto the frame.

use gst_video::{VideoFrameRef, VideoInfo};

use super::{Slot, TranslateError};
use crate::{
    frame::{
        Change, ColorTransform, Compositor, Element, NotFinite, Picture, Placement, Smoother,
        Upscale,
    },
    generator::Values,
};

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
    placement: Placement,
    color: ColorTransform,
    change: Change,
    has_change: bool,
    smoother: Smoother,
    compositor: Compositor,
}

impl Finish {
    /// For frames of `info` and tensors of `placement`.
    pub fn new(
        info: &VideoInfo,
        placement: Placement,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let content = placement.content.size;
        Ok(Self {
            placement,
            color: ColorTransform::new(info),
            change: Change::new(content),
            has_change: false,
            smoother: Smoother::new(content),
            compositor: Compositor::new(info, content, threads)?,
        })
    }

    /// Forgets what is not for the next frame.
    pub fn restart(&mut self, restart: Restart) {
        if restart >= Restart::Smoothing {
            self.smoother.reset();
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
        self.has_change = false;
        self.update_change(slot, upscale)?;
        if smoothing > 0.0 {
            self.smoother.smooth(&mut self.change, &mut slot.grey, smoothing);
        } else {
            self.smoother.reset();
        }
        self.has_change = true;
        Ok(())
    }

    /// Puts the last change on `input`. Returns whether there is one.
    pub fn composite(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        upscale: Upscale,
    ) -> Result<bool, TranslateError> {
        if self.has_change {
            self.compositor.composite(&self.change, upscale.keep(), input, output)?;
        }
        Ok(self.has_change)
    }

    fn update_change(&mut self, slot: &Slot, upscale: Upscale) -> Result<(), TranslateError> {
        let (input, output) = slot.stream.input_and_output()?;
        let metadata = &slot.stream.generator().contract().metadata;
        let (change, placement, color) = (&mut self.change, &self.placement, &self.color);
        let mut update = Update { change, placement, color, upscale };
        let (before, after) = (metadata.input_range, metadata.output_range);
        match (input, output) {
            (Values::F32(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F32(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F16(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F16(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
        }?;
        Ok(())
    }
}

/// The arguments of [`Change::update`] that do not depend on the tensors' types.
struct Update<'a> {
    change: &'a mut Change,
    placement: &'a Placement,
    color: &'a ColorTransform,
    upscale: Upscale,
}

impl Update<'_> {
    fn run<I: Element, O: Element>(
        &mut self,
        input: &Picture<'_, I>,
        output: &Picture<'_, O>,
    ) -> Result<(), NotFinite> {
        self.change.update(input, output, self.placement, self.color, self.upscale)
    }
}
