// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames and the memory that they have: system memory, or textures of OpenGL.

use std::ops::Deref;

use gst_video::{VideoFrame, VideoInfo, video_frame::Readable};

use super::gl;

/// Which memory frames have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Memory that the CPU reads and writes.
    System,
    /// Textures: `memory:GLMemory`.
    Gl,
}

/// What is negotiated of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Their size, format and colours.
    pub video: VideoInfo,
    /// Their memory.
    pub memory: Memory,
}

impl FrameInfo {
    /// Of frames of `caps`, which `video` was read from.
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

/// A frame that came in, mapped where it is worked on.
#[allow(
    clippy::large_enum_variant,
    reason = "frames in system memory are the usual ones, and a box would cost each an allocation"
)]
pub enum Frame {
    /// For the CPU.
    System(VideoFrame<Readable>),
    /// For the GPU.
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
