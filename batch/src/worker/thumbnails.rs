// SPDX-License-Identifier: MIT OR Apache-2.0

//! Thumbnails of a file before and after translation, as one image.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cyclegan_output::page;
use gst::prelude::*;
use image::{RgbImage, imageops};

use crate::{
    options::{Recipe, Sample},
    protocol::Say,
    worker::{
        elements::pad,
        pads::padding,
        picture::{
            self, animation,
            pixels::{Through, image_of},
        },
        pipeline::Pipeline,
        probe::{Media, own::Own},
        segment::plan,
    },
};

/// Number of frames of a video.
const FRAMES: u32 = 6;
/// Height of a frame, pixels.
const HEIGHT: i32 = 120;
/// Gap between two frames, pixels.
const GAP: u32 = 4;
/// How long decoding a frame may take.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// An HTML image element: frames of `input` above, and the same frames of `output`, a part of it, below.
pub fn before_and_after(
    input: &Path,
    output: &Path,
    recipe: &Recipe,
    sample: Option<Sample>,
    say: Say,
) -> Result<String> {
    if picture::is_picture(output) {
        let small =
            |file: &Path| Ok::<_, anyhow::Error>(shrunk(&picture::open(file, &mut |_| {})?));
        return page::image(&sheet(&[(small(input)?, small(output)?)]));
    }
    let media = Media::probe(input)?;
    let after = Shown::open(output)?;
    let times = after.times();
    let begin = plan::start(input, &media, recipe, sample, say)?;
    let begin = gst::ClockTime::from_nseconds(begin);
    let before = match &media.own {
        Some(Own::Animation(_)) => {
            animation::frames_at(input, &times)?.iter().map(shrunk).collect()
        }
        Some(Own::Y4m(y4m)) => {
            let caps = y4m.caps()?;
            let frame = |time: &gst::ClockTime| {
                let frame = y4m.frame_at(input, begin + *time)?;
                shown(&Through::new(&shrink())?.push_last(frame, &caps)?)
            };
            times.iter().map(frame).collect::<Result<_>>()?
        }
        None => Shown::open(input)?.frames(&times, begin)?,
    };
    let after = after.frames(&times, gst::ClockTime::ZERO)?;
    page::image(&sheet(&before.into_iter().zip(after).collect::<Vec<_>>()))
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

/// Elements that make thumbnails of frames.
fn shrink() -> String {
    format!(
        "videoconvert ! videoflip video-direction=auto ! videoscale \
         ! video/x-raw,height={HEIGHT},pixel-aspect-ratio=1/1 ! videoconvert ! video/x-raw,format=RGB"
    )
}

/// The thumbnail in a sample.
fn shown(sample: &gst::Sample) -> Result<RgbImage> {
    Ok(image_of(sample)?.into_rgb8())
}

/// A file whose frames are decoded.
struct Shown {
    pipeline: Pipeline,
    sink: gst_app::AppSink,
    duration: Option<gst::ClockTime>,
}

impl Shown {
    fn open(file: &Path) -> Result<Self> {
        let pipeline = Pipeline::parse(&format!(
            "filesrc name=file ! decodebin ! queue name=frames ! {} ! appsink name=out sync=false max-buffers=1",
            shrink()
        ))?;
        pipeline.part::<gst::Element>("file")?.set_property("location", file);
        let (frames, sink) = (pipeline.part::<gst::Element>("frames")?, pipeline.part("out")?);
        padding::pad_frames(&pad(&frames, "sink")?);
        pipeline.pause()?;
        let (_, reached, _) = pipeline.gst().state(PATIENCE);
        ensure!(reached == gst::State::Paused, "{} cannot be decoded", file.display());
        let duration = pipeline.gst().query_duration();
        Ok(Self { pipeline, sink, duration })
    }

    /// The times of the thumbnails: the middles of equal parts, or the start of an image.
    fn times(&self) -> Vec<gst::ClockTime> {
        let part = |duration: gst::ClockTime, i: u32| {
            let position = u64::from(2 * i + 1);
            gst::ClockTime::from_nseconds(duration.nseconds() / u64::from(2 * FRAMES) * position)
        };
        match self.duration.filter(|duration| *duration > gst::ClockTime::from_mseconds(100)) {
            Some(duration) => (0..FRAMES).map(|i| part(duration, i)).collect(),
            None => vec![gst::ClockTime::ZERO],
        }
    }

    /// The frames at these times after `begin`.
    fn frames(&self, times: &[gst::ClockTime], begin: gst::ClockTime) -> Result<Vec<RgbImage>> {
        times.iter().map(|time| self.frame(begin + *time)).collect()
    }

    fn frame(&self, time: gst::ClockTime) -> Result<RgbImage> {
        if !time.is_zero() {
            let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
            let sought = self.pipeline.gst().seek_simple(flags, time);
            sought.context("cannot seek in it")?;
        }
        let sample = self.sink.try_pull_preroll(PATIENCE);
        shown(&sample.context("no frame is decoded")?)
    }
}
