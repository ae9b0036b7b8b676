// SPDX-License-Identifier: MIT OR Apache-2.0

//! Replaces the module `gl` in builds without the feature `gl`. No frame is in GL memory, so
//! nothing here does anything.

use cyclegan_frame::{Matte, Patch, Rect, Residual, Size};
use gst::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};

/// The only error.
#[derive(Debug, thiserror::Error)]
#[error("this build has no support for GL memory; build it with the feature `gl`")]
pub struct Error;

impl Error {
    pub fn is_of_frame(&self) -> bool {
        false
    }
}

/// Never exists.
pub enum Frame {}

impl Frame {
    pub fn new(
        buffer: gst::Buffer,
        _: &VideoInfo,
        _: &Contexts,
    ) -> Result<Self, (gst::Buffer, Error)> {
        Err((buffer, Error))
    }

    pub fn buffer(&self) -> &gst::BufferRef {
        match *self {}
    }

    pub fn into_buffer(self) -> gst::Buffer {
        match self {}
    }
}

/// Empty.
#[derive(Default)]
pub struct Contexts;

impl Contexts {
    pub fn set_context(&self, _: &impl IsA<gst::Element>, _: &gst::Context) {}

    pub fn answer(&self, _: &impl IsA<gst::Element>, _: &mut gst::query::Context) -> bool {
        false
    }

    pub fn propose_allocation(
        &self,
        _: &impl IsA<gst::Element>,
        _: &mut gst::query::Allocation,
    ) -> Result<(), Error> {
        Err(Error)
    }

    pub fn decide_allocation(
        &self,
        _: &impl IsA<gst::Element>,
        _: &mut gst::query::Allocation,
    ) -> Result<(), Error> {
        Err(Error)
    }

    pub fn find(&self, _: &impl IsA<gst::Element>) -> Result<(), Error> {
        Err(Error)
    }

    pub fn traffic(&self) -> (u64, u64) {
        (0, 0)
    }

    pub fn release_context(&self) {}

    pub fn release(&self) {}
}

/// Never exists.
pub enum Scaler {}

impl Scaler {
    pub fn new(_: &VideoInfo, _: Size) -> Result<Self, Error> {
        Err(Error)
    }

    pub fn picture_info(&self) -> Result<VideoInfo, Error> {
        match *self {}
    }

    pub fn scale(&mut self, frame: &Frame) -> Result<VideoFrameRef<&gst::BufferRef>, Error> {
        match *frame {}
    }

    pub fn scale_parts(
        &mut self,
        frame: &Frame,
        _: impl Iterator<Item = (Rect, Size)>,
    ) -> Result<VideoFrameRef<&gst::BufferRef>, Error> {
        match *frame {}
    }
}

/// Empty.
pub struct Compositor;

impl Compositor {
    pub fn new(_: &VideoInfo, _: Size) -> Self {
        Self
    }

    pub fn composite(
        &mut self,
        _: &Residual,
        _: f32,
        _: Option<&Matte>,
        input: &Frame,
        _: &mut gst::BufferRef,
    ) -> Result<(), Error> {
        match *input {}
    }

    pub fn composite_patches(
        &mut self,
        _: &[Patch],
        _: Option<&[Patch]>,
        input: &Frame,
        _: &mut gst::BufferRef,
    ) -> Result<(), Error> {
        match *input {}
    }

    pub fn copy(&mut self, input: &Frame, _: &mut gst::BufferRef) -> Result<(), Error> {
        match *input {}
    }
}

pub fn caps() -> Option<gst::Caps> {
    None
}

pub fn is_gl(_: &gst::CapsRef) -> bool {
    false
}

pub fn is_in_gl(_: &gst::CapsFeaturesRef) -> bool {
    false
}

pub fn is_sync_meta(_: gst::glib::Type) -> bool {
    false
}

pub fn in_system_memory(caps: gst::Caps) -> gst::Caps {
    caps
}

pub fn in_any_memory(caps: gst::Caps) -> gst::Caps {
    caps
}
