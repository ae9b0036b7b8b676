// SPDX-License-Identifier: MIT OR Apache-2.0

//! Converts input frames to a format with alpha, for `output=alpha`.

use std::sync::Mutex;

use cyclegan_frame::{FormatConverter, map_writable};
use gst::glib::BoolError;
use gst_video::{VideoFrame, VideoInfo, video_frame::Readable};

use super::{lock, memory::OwnPool};

/// Converts frames to a format with alpha. The rest of the element handles the converted frames as if
/// these had arrived.
pub struct ToAlpha {
    input: VideoInfo,
    converted: VideoInfo,
    converter: Mutex<FormatConverter>,
    pool: OwnPool,
}

impl ToAlpha {
    /// From frames of `input` to frames of `converted`, on `threads` threads.
    pub fn new(input: &VideoInfo, converted: &VideoInfo, threads: u32) -> Result<Self, BoolError> {
        Ok(Self {
            input: input.clone(),
            converted: converted.clone(),
            converter: Mutex::new(FormatConverter::new(input, converted, threads)?),
            pool: OwnPool::new(converted)?,
        })
    }

    /// The info of the frames that arrive.
    pub fn input(&self) -> &VideoInfo {
        &self.input
    }

    /// A buffer for [`ToAlpha::convert`], without metadata.
    pub fn acquire(&self) -> Result<gst::Buffer, gst::FlowError> {
        self.pool.acquire()
    }

    /// Converts `frame` into `buffer`.
    pub fn convert(
        &self,
        frame: &VideoFrame<Readable>,
        mut buffer: gst::Buffer,
    ) -> Result<VideoFrame<Readable>, BoolError> {
        let mut target = map_writable(buffer.make_mut(), &self.converted)?;
        lock(&self.converter).convert(&frame.as_video_frame_ref(), &mut target)?;
        drop(target);
        VideoFrame::from_buffer_readable(buffer, &self.converted)
            .map_err(|_| gst::glib::bool_error!("cannot map the converted frame"))
    }
}
