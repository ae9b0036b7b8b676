// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first stage of a frame: from the frame to a generator's input tensor.

use gst_video::{VideoFrameRef, VideoInfo};

use super::{Slot, TranslateError};
use crate::{
    frame::{Placement, Scaler, ToTensor, pack},
    generator::{Generator, ValuesMut},
};

/// Scales and packs frames of one kind. It owns the scaled picture, which the next frame
/// overwrites: what later stages need of it goes along in the [`Slot`].
pub struct Preparation {
    placement: Placement,
    scaler: Scaler,
    to_tensor: ToTensor,
}

impl Preparation {
    /// For frames of `info` and tensors of `placement`.
    pub fn new(
        generator: &Generator,
        info: &VideoInfo,
        placement: Placement,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let scaler = Scaler::new(info, placement.content.size, threads)?;
        let range = generator.contract().metadata.input_range;
        Ok(Self { placement, to_tensor: ToTensor::new(&scaler.color(), range), scaler })
    }

    /// Fills the input tensor of `slot` with `frame`; and its grey picture, which only smoothing
    /// needs, if `is_smoothed`.
    pub fn prepare(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        slot: &mut Slot,
        is_smoothed: bool,
    ) -> Result<(), TranslateError> {
        let luma = self.scaler.luma();
        let (picture, stride) = self.scaler.scale(frame)?;
        match slot.stream.input_mut()? {
            ValuesMut::F32(t) => pack(picture, stride, &self.placement, &self.to_tensor, t),
            ValuesMut::F16(t) => pack(picture, stride, &self.placement, &self.to_tensor, t),
        }
        if is_smoothed {
            slot.grey.update(picture, stride, luma);
        }
        Ok(())
    }
}
