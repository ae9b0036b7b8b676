// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame in GL memory, mapped for the GPU.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use gst_gl::{
    GLContext, GLSyncMeta, GLTextureTarget, GLVideoFrame, GLVideoFrameExt,
    gl_video_frame::Readable, prelude::*,
};
use gst_video::VideoInfo;

use super::{Contexts, Error, contexts::Traffic};

/// An input frame.
pub struct Frame {
    frame: GLVideoFrame<Readable>,
    texture: u32,
    context: GLContext,
    traffic: Arc<Traffic>,
}

impl Frame {
    /// Maps `buffer` as a frame of `info`, for the element's context. Returns the buffer with an
    /// error.
    pub fn new(
        buffer: gst::Buffer,
        info: &VideoInfo,
        contexts: &Contexts,
    ) -> Result<Self, (gst::Buffer, Error)> {
        let context = match contexts.for_frame(&buffer) {
            Ok(context) => context,
            Err(error) => return Err((buffer, error)),
        };
        let wrong = |text: String| Error::Frame(text);
        if buffer.n_memory() != 1 {
            let count = buffer.n_memory();
            return Err((buffer, wrong(format!("it has {count} memories, expected one texture"))));
        }
        if let Some(meta) = buffer.meta::<GLSyncMeta>() {
            meta.wait(&context);
        }
        let frame = GLVideoFrame::from_buffer_readable(buffer, info)
            .map_err(|buffer| (buffer, wrong("its texture cannot be mapped".to_owned())))?;
        match texture_of(&frame, info, &context) {
            Ok(texture) => Ok(Self { frame, texture, context, traffic: contexts.counter() }),
            Err(error) => Err((frame.into_buffer(), error)),
        }
    }

    /// The buffer.
    pub fn buffer(&self) -> &gst::BufferRef {
        self.frame.buffer()
    }

    /// The buffer, unmapped.
    pub fn into_buffer(self) -> gst::Buffer {
        self.frame.into_buffer()
    }

    /// The frame's texture.
    pub(super) fn texture(&self) -> u32 {
        self.texture
    }

    /// Counts bytes downloaded from the GPU.
    pub(super) fn count_down(&self, bytes: usize) {
        self.traffic.down.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes uploaded to the GPU.
    pub(super) fn count_up(&self, bytes: usize) {
        self.traffic.up.fetch_add(bytes as u64, Relaxed);
    }

    /// The context to draw with.
    pub(super) fn context(&self) -> &GLContext {
        &self.context
    }
}

/// The texture of `frame`. Fails if it does not fit `info`, or if `context` cannot share it.
fn texture_of(
    frame: &GLVideoFrame<Readable>,
    info: &VideoInfo,
    context: &GLContext,
) -> Result<u32, Error> {
    let wrong = |text: String| Error::Frame(text);
    let memory = frame
        .memory(0)
        .map_err(|_| wrong("it is in system memory, expected a texture".to_owned()))?;
    if memory.texture_target() != GLTextureTarget::_2d {
        return Err(wrong(format!("its texture is {:?}, expected 2D", memory.texture_target())));
    }
    let size = (memory.texture_width(), memory.texture_height());
    if size.0 < info.width() as i32 || size.1 < info.height() as i32 {
        let (width, height) = (info.width(), info.height());
        return Err(wrong(format!(
            "its texture has {}×{} pixels, expected {width}×{height}",
            size.0, size.1
        )));
    }
    if *memory.context() != *context && !memory.context().can_share(context) {
        return Err(Error::NotShared);
    }
    Ok(memory.texture_id())
}
