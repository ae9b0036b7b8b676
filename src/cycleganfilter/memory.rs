// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames in system memory and in OpenGL textures.

use std::ops::Deref;

use gst::prelude::*;
use gst_video::{VideoFrame, VideoInfo, video_frame::Readable};

use super::gl;

/// Where frames are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// System memory.
    System,
    /// OpenGL textures: `memory:GLMemory`.
    Gl,
}

/// The negotiated frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Their size, format and colorimetry.
    pub video: VideoInfo,
    /// Where they are stored.
    pub memory: Memory,
}

impl FrameInfo {
    /// For frames of `caps`; `video` is the info of these.
    pub fn new(caps: &gst::CapsRef, video: &VideoInfo) -> Self {
        let memory = if gl::is_gl(caps) { Memory::Gl } else { Memory::System };
        Self { video: video.clone(), memory }
    }
}

impl Deref for FrameInfo {
    type Target = VideoInfo;

    fn deref(&self) -> &VideoInfo {
        &self.video
    }
}

/// A mapped input frame.
#[allow(
    clippy::large_enum_variant,
    reason = "frames in system memory are the usual ones, and a box would cost each an allocation"
)]
pub enum Frame {
    /// Mapped for the CPU.
    System(VideoFrame<Readable>),
    /// Mapped for the GPU.
    Gl(Box<gl::Frame>),
}

impl Frame {
    /// The buffer.
    pub fn buffer(&self) -> &gst::BufferRef {
        match self {
            Self::System(frame) => frame.buffer(),
            Self::Gl(frame) => frame.buffer(),
        }
    }

    /// The buffer, unmapped.
    pub fn into_buffer(self) -> gst::Buffer {
        match self {
            Self::System(frame) => frame.into_buffer(),
            Self::Gl(frame) => frame.into_buffer(),
        }
    }
}

/// A frame of zeros of `info`.
pub fn zeros(info: &VideoInfo) -> Result<gst::Buffer, gst::glib::BoolError> {
    let mut buffer = gst::Buffer::with_size(info.size())?;
    buffer
        .make_mut()
        .memset(.., 0)
        .map_err(|_| gst::glib::bool_error!("cannot write a frame of {:?}", info.format()))?;
    Ok(buffer)
}

/// A pool of frames in system memory, for as long as this exists.
pub struct OwnPool(gst_video::VideoBufferPool);

impl OwnPool {
    /// Of frames of `info`.
    pub fn new(info: &VideoInfo) -> Result<Self, gst::glib::BoolError> {
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps()?), info.size() as u32, 0, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        Ok(Self(pool))
    }

    /// A buffer, which comes back when nobody holds it any more.
    pub fn acquire(&self) -> Result<gst::Buffer, gst::FlowError> {
        self.0.acquire_buffer(None)
    }
}

impl Drop for OwnPool {
    fn drop(&mut self) {
        // Frees its buffers. Those that are in use are freed when they come back.
        let _ = self.0.set_active(false);
    }
}
