// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads frames of any video that GStreamer decodes.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::{glib, prelude::*};
use gst_app::AppSink;
use gst_video::VideoFrameExt;
use image::RgbImage;

use crate::terminal::count;

/// Converts raw frames to upright and progressive ones. `deinterlace` supports only 8-bit formats, and
/// passes progressive frames of others through.
const PIPELINE: &str = "uridecodebin name=in \
     videoconvert name=first ! videoflip video-direction=auto \
     ! capsfilter caps=\"video/x-raw,interlace-mode=progressive; video/x-raw,format=(string){\
     I420,YV12,NV12,NV21,Y42B,Y444,YUY2,UYVY,Y41B,AYUV,BGRA,RGBA,RGB,BGR}\" \
     ! deinterlace fields=top ! videoconvert \
     ! appsink name=out sync=false max-buffers=4 caps=video/x-raw,format=RGB";
/// Interval at which stop requests are checked.
const POLL_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// How long a pipeline may take to end.
const END: Duration = Duration::from_secs(2);

/// A decoded frame.
#[derive(Debug)]
pub struct Frame {
    /// Its upright pixels.
    pub picture: RgbImage,
    /// Its timestamp in seconds from the start.
    pub time: f64,
}

/// How long to wait for frames.
#[derive(Clone, Debug)]
pub struct Patience {
    /// When set, no more frames are returned.
    pub stop: Arc<AtomicBool>,
    /// A file fails if it gives no frame for this long.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { stop: Arc::default(), stall: Duration::from_secs(30) }
    }
}

/// A video being decoded.
#[derive(Debug)]
pub struct Video {
    pipeline: gst::Pipeline,
    sink: AppSink,
    tracks: Arc<Tracks>,
    patience: Patience,
    frames: u64,
    /// Duration in seconds, if known.
    pub duration: Option<f64>,
}

/// The tracks of a file that are known so far.
#[derive(Debug, Default)]
struct Tracks {
    /// A track is being decoded.
    decoded: AtomicBool,
    /// There is a video track, which may have no decoder.
    video: AtomicBool,
    /// There is a track of images such as JPEG: a video or a cover.
    pictures: AtomicBool,
    /// There are no more.
    complete: AtomicBool,
}

impl Tracks {
    /// Records a track, or a container, and returns whether to decode it; for image tracks that is `pictures`.
    fn note(&self, caps: &gst::Caps, pictures: bool) -> bool {
        let kind = media_type(caps);
        let (found, decode) = match kind {
            _ if kind.starts_with("image/") => (&self.pictures, pictures),
            _ if is_container(caps) => return true,
            _ if kind.starts_with("video/") => (&self.video, true),
            _ => return !(kind.starts_with("audio/") || kind.starts_with("text/")),
        };
        found.store(true, Ordering::SeqCst);
        decode
    }
}

fn media_type(caps: &gst::Caps) -> &str {
    caps.structure(0).map(|s| s.name().as_str()).unwrap_or_default()
}

fn is_container(caps: &gst::Caps) -> bool {
    let kind = gst::ElementFactoryType::DEMUXER;
    let demuxers = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL);
    demuxers.iter().any(|demuxer| demuxer.can_sink_any_caps(caps))
}

impl Video {
    /// Opens a file and takes its first video track, or its first image track if it has no video: an image
    /// track beside a video track is a cover.
    pub fn open(path: &Path, patience: Patience) -> Result<Self> {
        gst::init().context("GStreamer")?;
        let name = path.display();
        let uri = glib::filename_to_uri(std::path::absolute(path)?, None)?;
        ensure!(!path.is_dir(), "{name}: a folder, expected a video");
        ensure!(path.is_file(), "{name}: no such file");
        let open = || -> Result<Self> {
            let mut video = Self::of(&uri, false, patience.clone())?;
            match video.begin() {
                Err(_) if video.tracks.pictures.load(Ordering::SeqCst) && !video.has_video() => {}
                begun => return begun.map(|()| video),
            }
            let mut video = Self::of(&uri, true, patience)?;
            video.begin()?;
            Ok(video)
        };
        open().with_context(|| name.to_string())
    }

    /// A pipeline for the first video track of a file, or with `pictures` for its first image track.
    fn of(uri: &str, pictures: bool, patience: Patience) -> Result<Self> {
        let pipeline = gst::parse::launch(PIPELINE)?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| anyhow!("no pipeline"))?;
        let element = |name| pipeline.by_name(name).with_context(|| format!("no element {name}"));
        let source = element("in")?;
        source.set_property("uri", uri);
        let sink = element("out")?.downcast::<AppSink>().map_err(|_| anyhow!("no appsink"))?;
        let first = element("first")?.static_pad("sink").context("no pad")?;
        let tracks = Arc::new(Tracks::default());
        let found = tracks.clone();
        source.connect("autoplug-continue", false, move |values| {
            let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
            Some(caps.is_none_or(|caps| found.note(&caps, pictures)).to_value())
        });
        let found = tracks.clone();
        source.connect_pad_added(move |_, pad| {
            let is_video =
                pad.current_caps().is_some_and(|caps| media_type(&caps) == "video/x-raw");
            // Takes the first of several tracks.
            if is_video && !first.is_linked() && pad.link(&first).is_ok() {
                found.decoded.store(true, Ordering::SeqCst);
            }
        });
        let found = tracks.clone();
        source.connect_no_more_pads(move |_| found.complete.store(true, Ordering::SeqCst));
        Ok(Self { pipeline, sink, tracks, patience, frames: 0, duration: None })
    }

    fn has_video(&self) -> bool {
        self.tracks.decoded.load(Ordering::SeqCst)
    }

    fn begin(&mut self) -> Result<()> {
        let started = self.pipeline.set_state(gst::State::Playing);
        let begin = Instant::now();
        loop {
            let (reached, now, _) = self.pipeline.state(POLL_INTERVAL);
            // Checked before errors, because an unlinked pad is also an error.
            self.ensure_has_video()?;
            if let Some(problem) = self.problem() {
                self.ensure_has_video()?;
                bail!(problem);
            }
            ensure!(started.is_ok() && reached.is_ok(), "cannot be decoded");
            if now == gst::State::Playing || self.patience.stop.load(Ordering::Relaxed) {
                break;
            }
            self.ensure_not_stalled(begin)?;
        }
        let duration = self.pipeline.query_duration::<gst::ClockTime>();
        self.duration = duration.map(|d| d.seconds_f64());
        Ok(())
    }

    /// The next frame; `None` at the end or after a stop request.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let begin = Instant::now();
        let sample = loop {
            if self.patience.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if let Some(sample) = self.sink.try_pull_sample(POLL_INTERVAL) {
                break sample;
            }
            if let Some(problem) = self.problem() {
                bail!(problem);
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
            self.ensure_not_stalled(begin)?;
        };
        self.frames += 1;
        let caps = sample.caps().context("a frame without caps")?;
        let info = gst_video::VideoInfo::from_caps(caps)?;
        let buffer = sample.buffer_owned().context("a sample without a frame")?;
        let time = buffer.pts().map_or(0.0, |t| t.seconds_f64());
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info)
            .map_err(|_| anyhow!("cannot read a frame"))?;
        Ok(Some(Frame { picture: picture(&frame)?, time }))
    }

    fn ensure_has_video(&self) -> Result<()> {
        let [complete, video] =
            [&self.tracks.complete, &self.tracks.video].map(|known| known.load(Ordering::SeqCst));
        ensure!(!complete || self.has_video() || video, "has no video track");
        ensure!(!complete || self.has_video(), "no decoder for its video is installed");
        Ok(())
    }

    fn ensure_not_stalled(&self, since: Instant) -> Result<()> {
        let stall = self.patience.stall;
        ensure!(
            since.elapsed() < stall,
            "no frame for {:.0} s after {}: the decoder hangs, as GStreamer's does with \
             animated GIFs; convert the file first with `ffmpeg -i FILE FILE.mkv`",
            stall.as_secs_f64(),
            count(self.frames, "frame")
        );
        Ok(())
    }

    /// GStreamer's error.
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
        // A decoder that hangs cannot be stopped, and stays until the process ends.
        let (ended, wait) = mpsc::channel();
        let pipeline = self.pipeline.clone();
        thread::spawn(move || {
            let _ = pipeline.set_state(gst::State::Null);
            let _ = ended.send(());
        });
        let _ = wait.recv_timeout(END);
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
    RgbImage::from_raw(width, height, pixels).context("a truncated frame")
}
