// SPDX-License-Identifier: MIT OR Apache-2.0

//! The plan for a video: its segments, and notices for the user.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gst::prelude::*;
use gst_video::VideoInfo;

use super::{
    formats::{correct_caps, encoded_format},
    source,
};

use crate::{
    container::Container,
    options::{Sample, time},
    protocol::{Reply, Say, Setup, Span, send_notice, send_notices},
    worker::{
        elements::{
            caps::{codec_name, field, media_type},
            make, pad,
        },
        mux::mapping::Mapping,
        muxer::Muxer,
        pads::clip::{LONG_FRAME, is_before, is_late},
        pipeline::Pipeline,
        probe::{
            Media,
            keyframes::{self, Frame},
            losses,
            scan::{self, Timeline},
        },
    },
};

/// A video to plan.
pub struct Job<'a> {
    pub setup: &'a Setup,
    pub input: &'a Path,
    /// The container of the output.
    pub container: Container,
    /// Whether it may be cut into segments.
    pub may_cut: bool,
    /// The sample to translate; `None` for the whole video.
    pub sample: Option<Sample>,
    /// Number of frames that are translated before a segment and not kept.
    pub lead: usize,
}

impl Job<'_> {
    /// Probes the video and plans its segments, at least one.
    pub fn plan(&self, say: Say) -> Result<Reply> {
        let media = Media::probe_input(self.input, say)?;
        let recipe = &self.setup.recipe;
        let muxer = Muxer::new(self.container)?;
        let video = media.main_track()?;
        muxer.check_video(&video.encoding(recipe, self.container, 1), video.size())?;
        self.send_losses(&media, &muxer, say)?;
        let is_seekable = media.is_seekable && media.has_index();
        let is_part = self.sample.is_some()
            || recipe.start.is_some_and(|start| start > 0.0)
            || recipe.end.is_some()
            || recipe.frames.is_some();
        ensure!(
            !(is_part && media.is_animation()),
            "is an animated image, which can only be translated as a whole"
        );
        let is_cut = self.may_cut && is_seekable && is_long(self.setup, &media);
        if !(is_part || is_cut) {
            let frames = expected_frames(&media);
            return Ok(Reply::Plan { spans: vec![Span::default()], frames });
        }
        let Timeline { start, frames } = scan::timeline(self.input, &media, say)?;
        let (begin, end) = match is_part {
            true => self.range(&media, start, frames.as_deref())?,
            false => (gst::ClockTime::ZERO, None),
        };
        let seek = is_seekable.then_some(begin);
        let range = Span { lead: begin, start: begin, stop: end, seek, ..Span::default() };
        let Some(frames) = frames else {
            ensure!(
                recipe.frames.is_none(),
                "its frames have no timestamps, so --frames cannot count them"
            );
            return Ok(Reply::Plan { spans: vec![range], frames: None });
        };
        let spans = self.spans(&frames, &range);
        ensure!(
            !spans.is_empty(),
            "has no frames in that range: it lasts {}",
            lasts(&media, start)
        );
        let frames = spans.iter().map(|span| span.frames).sum();
        Ok(Reply::Plan { spans, frames })
    }

    /// Reports what the output will lose.
    fn send_losses(&self, media: &Media, muxer: &Muxer, say: Say) -> Result<()> {
        let recipe = &self.setup.recipe;
        if let (Some(named), Some(found)) = (Container::of_name(self.input), &media.container)
            && !named.is_inside(media_type(found))
        {
            let (found, named) = (codec_name(found), named.extension());
            send_notice(say, format!("is {found}, although its extension is {named}"));
        }
        if self.setup.dry_run {
            // Otherwise the notices are about the tracks that were written.
            send_notices(say, Mapping::new(media, muxer, recipe, &[]).notices);
        }
        send_notices(say, losses::foreseen(media, self.container, recipe));
        if self.setup.dry_run && !media.is_animation() {
            send_notices(say, self.losses_of_format(media)?);
        }
        Ok(())
    }

    /// The losses of the format in which the first frame is decoded.
    fn losses_of_format(&self, media: &Media) -> Result<Vec<String>> {
        let pipeline = Pipeline::default();
        let sink = make("fakesink")?;
        pipeline.gst().add(&sink)?;
        let start = pad(&sink, "sink")?;
        correct_caps(&start);
        source::open(&pipeline, self.input, media, gst::ClockTime::ZERO, start.clone())?;
        pipeline.play()?;
        pipeline.wait_until(|| start.has_current_caps())?;
        let frames = start.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok());
        let recipe = &self.setup.recipe;
        let encoding = media.main_track()?.encoding(recipe, self.container, 1);
        Ok(frames
            .and_then(|before| {
                let format = encoded_format(&encoding, before.format_info())?;
                let after = VideoInfo::builder(format, before.width(), before.height());
                Some(losses::of_frames(&before, &after.build().ok()?, recipe, &encoding))
            })
            .unwrap_or_default())
    }

    /// The stream times at which the part to translate starts and ends; `None` for the end of the file. The options count
    /// from `start`, the start of the file.
    fn range(
        &self,
        media: &Media,
        start: gst::ClockTime,
        frames: Option<&[Frame]>,
    ) -> Result<(gst::ClockTime, Option<gst::ClockTime>)> {
        let recipe = &self.setup.recipe;
        let begin = start.saturating_add(time(recipe.start.unwrap_or(0.0)));
        let end = recipe.end.map(|end| start.saturating_add(time(end)));
        let Some(sample) = self.sample else { return Ok((begin, end)) };
        // Sound may be longer than the video.
        let end_of_video = frames.and_then(|frames| match frames {
            [.., before, last] => {
                // A slide may be shorter than the one before.
                let latest = media.duration.unwrap_or(gst::ClockTime::MAX);
                let latest = latest.max(last.time + LONG_FRAME);
                Some((last.time * 2 - before.time).min(latest))
            }
            _ => None,
        });
        let last = end_of_video.or(media.duration);
        let last = last.context("its length is unknown, so no samples can be spread over it")?;
        // Sound may also start earlier than the video.
        let first = frames.and_then(|frames| frames.first()).map(|frame| frame.time);
        let begin = begin.max(first.unwrap_or_default());
        let (begin, end) = sample.range(begin, end.map_or(last, |end| end.min(last)));
        Ok((begin, Some(end)))
    }

    /// The segments of `range`, a part of a video with these frames; none if it has no frames.
    fn spans(&self, frames: &[Frame], range: &Span) -> Vec<Span> {
        // As the translation selects them.
        let at = |time| frames.partition_point(|frame| is_before(frame.time, time));
        let (mut first, mut last) =
            (at(range.start), at(range.stop.unwrap_or(gst::ClockTime::MAX)));
        let mut lead = range.lead;
        if first > 0 && frames.get(first).is_some_and(|next| is_late(next.time, range.start)) {
            // The frame before is still on the screen.
            first -= 1;
            lead = frames[first].time;
        }
        if let Some(count) = self.setup.recipe.frames {
            last = last.min(first.saturating_add(count as usize));
        }
        if first >= last {
            return Vec::new();
        }
        let length = Some(self.setup.piece).filter(|_| self.may_cut && range.seek.is_some());
        let length = length.unwrap_or_default();
        let mut spans = keyframes::spans(&frames[..last], first, length, self.lead);
        if let Some(head) = spans.first_mut() {
            (head.lead, head.start) = (lead, range.start);
            head.seek = head.seek.filter(|&key| key > frames[0].time);
        }
        if let Some(tail) = spans.last_mut() {
            // The next frame may come long after the end.
            tail.stop =
                frames.get(last).map(|frame| frame.time).into_iter().chain(range.stop).min();
        }
        if range.seek.is_none() {
            spans.iter_mut().for_each(|span| span.seek = None);
        }
        spans
    }
}

fn is_long(setup: &Setup, media: &Media) -> bool {
    setup.may_cut() && media.duration.unwrap_or_default() > setup.piece * 2
}

/// How long `media`, which starts at `start`, lasts.
fn lasts(media: &Media, start: gst::ClockTime) -> String {
    match media.duration {
        Some(duration) => format!("{:.1} s", duration.saturating_sub(start).seconds_f64()),
        None => "for an unknown time".to_owned(),
    }
}

fn expected_frames(media: &Media) -> Option<u64> {
    let caps = &media.tracks[media.main_video()?].caps;
    let rate = field::<gst::Fraction>(caps, "framerate")?;
    let seconds = media.duration?.seconds_f64();
    let frames = seconds * f64::from(rate.numer()) / f64::from(rate.denom());
    Some(frames.round() as u64).filter(|&frames| frames > 0)
}
