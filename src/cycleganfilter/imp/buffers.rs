// SPDX-License-Identifier: MIT OR Apache-2.0

//! The buffers of frames: mapping those that come in, and finding room for what goes out.

use std::sync::Arc;

use cyclegan_frame::{check_room, check_strides};
use gst::subclass::prelude::*;
use gst_base::subclass::{
    base_transform::{InputBuffer, PrepareOutputBufferSuccess},
    prelude::*,
};
use gst_video::{VideoFrame, VideoInfo};

use super::{
    CAT, CycleGanFilter,
    allocation::{is_default_layout, most_held},
    launch::Context,
};
use crate::cycleganfilter::{
    Output, gl, lock,
    memory::{Frame, Memory, OwnPool},
    settings::PerFrame,
    to_alpha::ToAlpha,
    translator::Continuity,
};

impl CycleGanFilter {
    /// Maps the frame in `buffer`. Drops an invalid frame with a warning and returns `None`, as
    /// GstVideoFilter does.
    pub(super) fn map(
        &self,
        buffer: gst::Buffer,
        context: &Context,
    ) -> Result<Option<Frame>, gst::FlowError> {
        let info = &context.info;
        if info.memory == Memory::Gl {
            return match gl::Frame::new(buffer, info, &self.contexts) {
                Ok(frame) => Ok(Some(Frame::Gl(Box::new(frame)))),
                Err((buffer, error)) if error.is_of_frame() => {
                    self.drop_unusable(&buffer, &error.to_string());
                    Ok(None)
                }
                Err((_, error)) => {
                    gst::element_imp_error!(self, gst::ResourceError::Failed, ("{error}"));
                    Err(gst::FlowError::Error)
                }
            };
        }
        let info = context.to_alpha.as_deref().map_or(&info.video, ToAlpha::input);
        if let Err(error) = check_room(&buffer, info) {
            self.drop_unusable(&buffer, &error.to_string());
            return Ok(None);
        }
        let frame = match VideoFrame::from_buffer_readable(buffer, info) {
            Ok(frame) => frame,
            Err(buffer) => {
                self.drop_unusable(&buffer, "its memory cannot be mapped");
                return Ok(None);
            }
        };
        if let Err(error) = check_strides(&frame.as_video_frame_ref()) {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            return Err(gst::FlowError::Error);
        }
        Ok(Some(Frame::System(frame)))
    }

    fn drop_unusable(&self, buffer: &gst::BufferRef, reason: &str) {
        self.drop_frame(buffer);
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            ("Dropping a buffer that does not fit the negotiated caps: {reason}")
        );
    }

    /// Whether the input buffer itself may be pushed downstream: downstream supports its layout,
    /// and the queue holds few enough of upstream's buffers.
    pub(super) fn may_pass_itself(&self, buffer: &gst::BufferRef, context: &Context) -> bool {
        let is_texture = context.info.memory == Memory::Gl;
        let is_understood =
            is_texture || context.takes_video_meta || is_default_layout(buffer, &context.info);
        let is_frame = context.output == Output::Video;
        is_frame && is_understood && context.queue.len() < most_held(context.queue.depth())
    }

    /// Prepares an input buffer that passes through.
    pub(super) fn passing(&self, mut buffer: gst::Buffer, settings: &PerFrame) -> gst::Buffer {
        let has_dropped = {
            let mut state = lock(&self.state);
            let negotiated = state.stream.as_mut().and_then(|s| s.negotiated.as_mut());
            negotiated.is_some_and(|negotiated| {
                // Later frames must not use an earlier residual.
                if settings.is_off {
                    negotiated.continuity = Continuity::Restarts;
                }
                std::mem::take(&mut negotiated.has_dropped)
            })
        };
        if has_dropped {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        buffer
    }

    /// A buffer from downstream's pool for the output of `input`, a frame of `info`. If the pool's buffers
    /// do not fit, the element uses a pool of its own.
    pub(super) fn new_output(
        &self,
        input: &gst::BufferRef,
        info: &VideoInfo,
        context: &Context,
    ) -> Result<gst::Buffer, gst::FlowError> {
        let own_pool = lock(&self.state).stream.as_ref().and_then(|stream| stream.own_pool.clone());
        if let Some(pool) = own_pool {
            return self.new_own_output(&pool, input);
        }
        let output = match self.parent_prepare_output_buffer(InputBuffer::Readable(input))? {
            PrepareOutputBufferSuccess::Buffer(output) => output,
            PrepareOutputBufferSuccess::InputBuffer => return Err(gst::FlowError::Error),
        };
        // A texture is as large as it was asked to be.
        if context.output_memory() == Memory::Gl {
            return Ok(output);
        }
        let Err(error) = check_room(&output, info) else { return Ok(output) };
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Settings,
            ("The buffer pool of the element after cycleganfilter has buffers that are too small for \
                 the negotiated caps ({error}); cycleganfilter uses its own pool instead")
        );
        let pool = OwnPool::new(info).map_err(|error| {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Failed,
                ("Could not create a buffer pool: {error}")
            );
            gst::FlowError::Error
        })?;
        let pool = Arc::new(pool);
        if let Some(stream) = &mut lock(&self.state).stream {
            stream.own_pool = Some(pool.clone());
        }
        self.new_own_output(&pool, input)
    }

    fn new_own_output(
        &self,
        pool: &OwnPool,
        input: &gst::BufferRef,
    ) -> Result<gst::Buffer, gst::FlowError> {
        let mut output = pool.acquire()?;
        if self.parent_copy_metadata(input, output.make_mut()).is_err() {
            gst::warning!(CAT, imp = self, "cannot copy the metadata of a frame");
        }
        Ok(output)
    }
}
