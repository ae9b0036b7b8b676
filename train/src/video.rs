// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames out of any video that GStreamer decodes.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst_app::AppSink;
use gst_video::VideoFrameExt;
use image::RgbImage;

/// A decoded frame.
#[derive(Debug)]
pub struct Frame {
    /// Its pixels, turned upright.
    pub picture: RgbImage,
    /// When it is shown, in seconds from the beginning.
    pub time: f64,
}

/// A video being decoded.
#[derive(Debug)]
pub struct Video {
    pipeline: gst::Pipeline,
    sink: AppSink,
    /// Length in seconds, where the file tells.
    pub duration: Option<f64>,
}

impl Video {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self> {
        gst::init().context("GStreamer")?;
        let name = path.display();
        let uri = gst::glib::filename_to_uri(std::path::absolute(path)?, None)?;
        anyhow::ensure!(!path.is_dir(), "{name}: a folder, expected a video");
        anyhow::ensure!(path.is_file(), "{name}: no such file");
        let description = "uridecodebin name=in ! videoflip video-direction=auto ! videoconvert ! \
                           appsink name=out sync=false max-buffers=4 caps=video/x-raw,format=RGB";
        let pipeline = gst::parse::launch(description)?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| anyhow!("no pipeline"))?;
        let element = |name| pipeline.by_name(name).with_context(|| format!("no element {name}"));
        element("in")?.set_property("uri", uri.as_str());
        let sink = element("out")?.downcast::<AppSink>().map_err(|_| anyhow!("no appsink"))?;
        let mut video = Self { pipeline, sink, duration: None };
        video.begin().with_context(|| name.to_string())?;
        Ok(video)
    }

    fn begin(&mut self) -> Result<()> {
        let started = self.pipeline.set_state(gst::State::Playing);
        let (reached, ..) = self.pipeline.state(gst::ClockTime::from_seconds(30));
        if started.is_err() || reached.is_err() {
            bail!(self.problem().unwrap_or_else(|| "cannot be decoded".to_owned()));
        }
        let duration = self.pipeline.query_duration::<gst::ClockTime>();
        self.duration = duration.map(|d| d.seconds_f64());
        Ok(())
    }

    /// The next frame; none at the end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Ok(sample) = self.sink.pull_sample() else {
            return match self.problem() {
                Some(problem) => Err(anyhow!(problem)),
                None => Ok(None),
            };
        };
        let caps = sample.caps().context("a frame without caps")?;
        let info = gst_video::VideoInfo::from_caps(caps)?;
        let buffer = sample.buffer_owned().context("a sample without frame")?;
        let time = buffer.pts().map_or(0.0, |t| t.seconds_f64());
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info)
            .map_err(|_| anyhow!("a frame that cannot be read"))?;
        Ok(Some(Frame { picture: picture(&frame)?, time }))
    }

    /// What went wrong, as GStreamer says it.
    fn problem(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        let message = bus.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        }
    }
}

impl Drop for Video {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The pixels of a frame without the padding of its rows.
fn picture(frame: &gst_video::VideoFrame<gst_video::video_frame::Readable>) -> Result<RgbImage> {
    let (width, height) = (frame.width(), frame.height());
    let stride = frame.plane_stride()[0] as usize;
    let data = frame.plane_data(0)?;
    let row = width as usize * 3;
    let rows = data.chunks(stride).take(height as usize);
    let pixels: Vec<u8> = rows.flat_map(|r| &r[..row]).copied().collect();
    RgbImage::from_raw(width, height, pixels).context("a frame cut short")
}
