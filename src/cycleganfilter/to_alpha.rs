// SPDX-License-Identifier: MIT OR Apache-2.0

//! Converts input frames to a format with alpha, for `output=alpha`.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use cyclegan_frame::{FormatConverter, map_writable};
use gst::glib::BoolError;
use gst_video::{VideoFrame, VideoInfo, video_frame::Readable};

use super::{
    lock,
    memory::{OwnPool, zeros},
};

/// Converts frames to a format with alpha. The rest of the element handles the converted frames as if
/// these had arrived.
pub struct ToAlpha {
    input: VideoInfo,
    converted: VideoInfo,
    converter: Mutex<FormatConverter>,
    pool: OwnPool,
    cost: Duration,
}

impl ToAlpha {
    /// From frames of `input` to frames of `converted`, on `threads` threads.
    pub fn new(input: &VideoInfo, converted: &VideoInfo, threads: u32) -> Result<Self, BoolError> {
        let converter = || FormatConverter::new(input, converted, threads).map(Mutex::new);
        let mut this = Self {
            input: input.clone(),
            converted: converted.clone(),
            converter: converter()?,
            pool: OwnPool::new(converted)?,
            cost: Duration::ZERO,
        };
        this.cost = this.measure()?;
        // For frames of one or two lines, GStreamer's converter would return the scratch frame again for
        // the first real one.
        this.converter = converter()?;
        Ok(this)
    }

    /// How long a conversion takes.
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// Converts a scratch frame. The first time is slower, as it touches new memory.
    fn measure(&self) -> Result<Duration, BoolError> {
        let frame =
            VideoFrame::from_buffer_readable(zeros(&self.input)?, &self.input).map_err(|_| {
                gst::glib::bool_error!("cannot map a frame of {:?}", self.input.format())
            })?;
        let mut cost = Duration::MAX;
        for _ in 0..2 {
            let start = Instant::now();
            let buffer = self
                .acquire()
                .map_err(|error| gst::glib::bool_error!("no buffer for a frame: {error}"))?;
            self.convert(&frame, buffer)?;
            cost = cost.min(start.elapsed());
        }
        Ok(cost)
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

#[cfg(test)]
mod tests {
    use gst_video::VideoFormat;

    use super::*;

    #[test]
    fn the_cost_grows_with_the_frame() {
        gst::init().unwrap();
        let cost = |width, height| {
            let info = |format| VideoInfo::builder(format, width, height).build().unwrap();
            let (input, converted) = (info(VideoFormat::V210), info(VideoFormat::A42210le));
            ToAlpha::new(&input, &converted, 1).unwrap().cost()
        };
        let (small, large) = (cost(64, 64), cost(1920, 1080));
        assert!(small > Duration::ZERO && large > small, "{small:?} and {large:?}");
    }
}
