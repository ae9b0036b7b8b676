// SPDX-License-Identifier: MIT OR Apache-2.0

//! A picture of some moments of a video, before over after.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use gst::prelude::*;
use image::{RgbImage, imageops};

/// How many moments a sheet shows.
const MOMENTS: u64 = 4;
/// Width of each picture and the space between two, in pixels.
const WIDTH: u32 = 480;
const SPACE: u32 = 8;

/// Collects frames on both sides of a filter while they pass.
#[derive(Default)]
pub struct ContactSheet(Mutex<Frames>);

#[derive(Default)]
struct Frames {
    /// Running times that are still to come; none before the first frame.
    due: Option<VecDeque<gst::ClockTime>>,
    /// By time: the frame before, and after once it has come.
    pairs: Vec<(gst::ClockTime, gst::Sample, Option<gst::Sample>)>,
}

impl ContactSheet {
    /// Watches the frames that go through `filter`.
    pub fn watch(filter: &gst::Element) -> Result<Arc<Self>> {
        let sheet = Arc::new(Self::default());
        for (pad, take) in [
            ("sink", Self::take_before as fn(&Self, &gst::Pad, &gst::BufferRef)),
            ("src", Self::take_after),
        ] {
            let sheet = sheet.clone();
            filter
                .static_pad(pad)
                .with_context(|| format!("the filter has no pad '{pad}'"))?
                .add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                    if let Some(buffer) = info.buffer() {
                        take(&sheet, pad, buffer);
                    }
                    gst::PadProbeReturn::Ok
                });
        }
        Ok(sheet)
    }

    fn frames(&self) -> std::sync::MutexGuard<'_, Frames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_before(&self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let mut frames = self.frames();
        let due = frames.due.get_or_insert_with(|| moments(pad));
        let (Some(&moment), Some(time)) = (due.front(), running_time(pad, buffer)) else {
            return;
        };
        if time < moment {
            return;
        }
        due.pop_front();
        if let Some(sample) = sample(pad, buffer) {
            frames.pairs.push((time, sample, None));
        }
    }

    fn take_after(&self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let time = running_time(pad, buffer);
        for (moment, _, after) in &mut self.frames().pairs {
            if after.is_none() && Some(*moment) == time {
                *after = sample(pad, buffer);
            }
        }
    }

    /// Writes what was seen as a PNG file; false if nothing was.
    pub fn save(&self, file: &Path) -> Result<bool> {
        let frames = self.frames();
        let mut columns = Vec::new();
        for (_, before, after) in &frames.pairs {
            if let Some(after) = after {
                columns.push((thumbnail(before)?, thumbnail(after)?));
            }
        }
        let Some(height) = columns.iter().map(|(before, _)| before.height()).max() else {
            return Ok(false);
        };
        let size = |count: u32, length: u32| count * (length + SPACE) + SPACE;
        let mut sheet = RgbImage::from_pixel(
            size(columns.len() as u32, WIDTH),
            size(2, height),
            image::Rgb([255; 3]),
        );
        for (column, (before, after)) in columns.iter().enumerate() {
            let x = i64::from(size(column as u32, WIDTH));
            imageops::replace(&mut sheet, before, x, i64::from(size(0, height)));
            imageops::replace(&mut sheet, after, x, i64::from(size(1, height)));
        }
        sheet.save(file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(true)
    }
}

/// The middles of equal parts of the stream; the first seconds of one that does not know its length.
fn moments(pad: &gst::Pad) -> VecDeque<gst::ClockTime> {
    let duration = pad.peer_query_duration::<gst::ClockTime>();
    (0..MOMENTS)
        .map(|moment| match duration {
            Some(duration) => duration * (2 * moment + 1) / (2 * MOMENTS),
            None => gst::ClockTime::from_seconds(moment),
        })
        .collect()
}

fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts())
}

/// A copy, since a decoder may be waiting to have its own memory back.
fn sample(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::Sample> {
    let caps = pad.current_caps()?;
    Some(gst::Sample::builder().buffer(&buffer.copy_deep().ok()?).caps(&caps).build())
}

fn thumbnail(sample: &gst::Sample) -> Result<RgbImage> {
    let info = gst_video::VideoInfo::from_caps(sample.caps().context("a frame without caps")?)?;
    let aspect = f64::from(info.width()) / f64::from(info.height()) * f64::from(info.par().numer())
        / f64::from(info.par().denom());
    let height = ((f64::from(WIDTH) / aspect).round() as u32).max(1);
    let rgb = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, WIDTH, height).build()?;
    let sample = gst_video::convert_sample(sample, &rgb.to_caps()?, gst::ClockTime::NONE)?;
    let pixels = sample.buffer().context("an empty frame")?.map_readable()?;
    // WIDTH is a multiple of four, so that rows follow one another without padding.
    RgbImage::from_raw(WIDTH, height, pixels.to_vec()).context("a frame of another size")
}
