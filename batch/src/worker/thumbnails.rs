// SPDX-License-Identifier: MIT OR Apache-2.0

//! Thumbnails of a file before and after translation, as one image.

use std::{path::Path, rc::Rc};

use anyhow::{Context, Result};
use cyclegan_output::page;
use gst::prelude::*;
use image::{RgbImage, imageops};

use crate::worker::{
    elements::pad,
    pads::{padding, probes::TimeSegment},
    picture::{self, pixels::image_of},
    pipeline::Pipeline,
    probe::Media,
    segment::{formats, source},
};

/// Number of frames of a video.
const FRAMES: u32 = 6;
/// Height of a frame, pixels.
const HEIGHT: i32 = 120;
/// Gap between two frames, pixels.
const GAP: u32 = 4;
/// How long decoding a frame may take.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);
/// How much too late a seek may land in a container without an index, such as an MPEG program stream.
const LATE: gst::ClockTime = gst::ClockTime::from_seconds(3);

/// An HTML image element: frames of `input` above, and the same frames of `output`, which starts `start` later, below.
pub fn before_and_after(input: &Path, output: &Path, start: gst::ClockTime) -> Result<String> {
    if picture::is_picture(output) {
        let small =
            |file: &Path| Ok::<_, anyhow::Error>(shrunk(&picture::open(file, &mut |_| {})?));
        return page::image(&sheet(&[(small(input)?, small(output)?)]));
    }
    let after = FrameGrabber::open(output, gst::ClockTime::ZERO)?;
    let times = after.times();
    let before = FrameGrabber::open(input, start)?;
    let columns = times.into_iter().map(|time| {
        let at = start + time;
        let before = match before.media.builtin {
            Some(_) => FrameGrabber::new(input, before.media.clone(), at)?.next(at),
            None => before.frame(at),
        };
        Ok((before?, after.frame(time)?))
    });
    page::image(&sheet(&columns.collect::<Result<Vec<_>>>()?))
}

fn shrunk(picture: &image::DynamicImage) -> RgbImage {
    let width = (picture.width() * HEIGHT as u32 / picture.height().max(1)).max(1);
    picture.resize_exact(width, HEIGHT as u32, imageops::FilterType::Triangle).into_rgb8()
}

fn sheet(columns: &[(RgbImage, RgbImage)]) -> RgbImage {
    let widest = columns.iter().map(|(a, b)| a.width().max(b.width())).max().unwrap_or(1);
    let (step, row) = (widest + GAP, HEIGHT as u32 + GAP);
    let mut sheet = RgbImage::from_pixel(
        step * columns.len() as u32 - GAP,
        2 * row - GAP,
        image::Rgb([255; 3]),
    );
    for (i, (before, after)) in columns.iter().enumerate() {
        let x = i64::from(step) * i as i64;
        imageops::replace(&mut sheet, before, x, 0);
        imageops::replace(&mut sheet, after, x, i64::from(row));
    }
    sheet
}

/// When the next frame is shown, in stream time; for a frame without a duration, when it is shown itself.
fn end(sample: &gst::Sample) -> Option<gst::ClockTime> {
    let (frame, segment) = (sample.buffer()?, sample.segment()?.downcast_ref()?);
    Some(TimeSegment::to_stream_time(segment, frame.pts()?)? + frame.duration().unwrap_or_default())
}

/// A file whose frames are decoded.
struct FrameGrabber {
    pipeline: Pipeline,
    sink: gst_app::AppSink,
    media: Rc<Media>,
}

impl FrameGrabber {
    /// The frames of `file`; those of a format that this program decodes start at `from`.
    fn open(file: &Path, from: gst::ClockTime) -> Result<Self> {
        Self::new(file, Rc::new(Media::probe(file)?), from)
    }

    /// The same for a `file` that has been probed.
    fn new(file: &Path, media: Rc<Media>, from: gst::ClockTime) -> Result<Self> {
        let pipeline = Pipeline::parse(&format!(
            "queue name=frames ! videoconvert ! videoflip video-direction=auto ! videoscale \
             ! video/x-raw,height={HEIGHT},pixel-aspect-ratio=1/1 ! videoconvert ! video/x-raw,format=RGB \
             ! appsink name=out sync=false max-buffers=1"
        ))?;
        let start = pad(&pipeline.part("frames")?, "sink")?;
        formats::correct_caps(&start);
        padding::pad_frames(&start);
        source::open(&pipeline, file, &media, from, start)?;
        pipeline.play()?;
        let sink = pipeline.part("out")?;
        Ok(Self { pipeline, sink, media })
    }

    /// The times of the thumbnails: the middles of equal parts, or the start of an image.
    fn times(&self) -> Vec<gst::ClockTime> {
        let part = |duration: gst::ClockTime, i: u32| {
            duration / u64::from(2 * FRAMES) * u64::from(2 * i + 1)
        };
        match self.media.duration.filter(|duration| *duration > gst::ClockTime::from_mseconds(100))
        {
            Some(duration) => (0..FRAMES).map(|i| part(duration, i)).collect(),
            None => vec![gst::ClockTime::ZERO],
        }
    }

    /// The frame at this time, or the last one.
    fn frame(&self, time: gst::ClockTime) -> Result<RgbImage> {
        if time.is_zero() {
            return self.next(time);
        }
        let early = if self.media.has_index() { gst::ClockTime::ZERO } else { LATE };
        let seek = |flags| {
            let flags = gst::SeekFlags::FLUSH | flags;
            let sought = self.pipeline.gst().seek_simple(flags, time.saturating_sub(early));
            sought.context("it is not seekable")
        };
        seek(gst::SeekFlags::ACCURATE)?;
        // After the last frame, the decoder outputs none.
        self.next(time).or_else(|_| {
            seek(gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE)?;
            self.next(time)
        })
    }

    /// The next frame at this time, or the last one.
    fn next(&self, time: gst::ClockTime) -> Result<RgbImage> {
        let mut last = None;
        while let Some(sample) = self.sink.try_pull_sample(PATIENCE) {
            let is_found = end(&sample).is_none_or(|end| end > time);
            last = Some(sample);
            if is_found {
                break;
            }
        }
        Ok(image_of(&last.context("no frame is decoded")?)?.into_rgb8())
    }
}
