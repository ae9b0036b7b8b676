// SPDX-License-Identifier: MIT OR Apache-2.0

//! The plan for a video: its segments, and notes for the user.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{
    caps::{codec_name, field, media_type},
    keyframes, losses,
    mapping::Mapping,
    muxer::Muxer,
    probe::Media,
    scan,
};
use crate::{
    container::Container,
    options::{Recipe, Sample},
    protocol::{Reply, Say, Setup, Span, note, note_all},
};

/// Containers in which GStreamer seeks to key frames exactly.
const SEEKABLE: [&str; 3] = ["video/quicktime", "video/x-matroska", "video/webm"];

/// Probes `input` and, if it is long and `may_cut`, cuts it into segments, each with `lead` frames before it;
/// of a `sample` only that. Replies with at least one segment.
pub fn plan(
    setup: &Setup,
    input: &Path,
    container: Container,
    may_cut: bool,
    sample: Option<Sample>,
    lead: usize,
    say: Say,
) -> Result<Reply> {
    let media = Media::probe(input)?;
    let named = Container::of_name(input);
    if let (Some(named), Some(found)) = (named, &media.container)
        && !named.is_inside(media_type(found))
    {
        let (found, named) = (codec_name(found), named.extension());
        note(say, format!("is {found}, although its extension is {named}"));
    }
    if setup.dry_run {
        // Else they are said of the tracks that were written.
        let mapping = Mapping::new(&media, &Muxer::new(container)?, &setup.recipe, &[]);
        note_all(say, mapping.notices);
    }
    let recipe = &setup.recipe;
    note_all(say, losses::foreseen(&media, container, recipe));
    let (begin, end) = part(&media, recipe, sample)?;
    let is_seekable = media.is_seekable && SEEKABLE.contains(&media.kind());
    let is_part = begin > 0 || end.is_some() || recipe.frames.is_some();
    ensure!(
        !(is_part && media.is_animation()),
        "is an animated image, which can only be translated as a whole"
    );
    let is_cut = may_cut && is_seekable && is_long(setup, &media);
    if !(is_part || is_cut) {
        return Ok(Reply::Plan { spans: vec![Span::default()], frames: expected_frames(&media) });
    }
    let whole = Span {
        lead: begin,
        start: begin,
        stop: end,
        frames: None,
        first: None,
        seek: is_seekable.then_some(begin),
    };
    let Some(frames) = scan::frames(input, &media, say)? else {
        ensure!(
            recipe.frames.is_none(),
            "its frames have no timestamps, so --frames cannot count them"
        );
        return Ok(Reply::Plan { spans: vec![whole], frames: None });
    };
    let first = frames.partition_point(|frame| frame.time < begin);
    let mut last = frames.partition_point(|frame| frame.time < end.unwrap_or(u64::MAX));
    if let Some(count) = recipe.frames {
        last = last.min(first.saturating_add(count as usize));
    }
    ensure!(first < last, "has no frames in that range: it lasts {}", lasts(&media));
    let stop = frames.get(last).map(|frame| frame.time).or(end);
    let count = (last - first) as u64;
    let length = if may_cut && is_seekable { setup.piece } else { 0 };
    let mut spans = keyframes::spans(&frames[..last], first, length, lead);
    let head = spans.first_mut().context("no frames")?;
    (head.lead, head.start) = (whole.lead, whole.start);
    head.seek = head.seek.filter(|_| begin > 0);
    if !is_seekable {
        spans.iter_mut().for_each(|span| span.seek = None);
    }
    if let Some(last) = spans.last_mut() {
        last.stop = stop;
    }
    Ok(Reply::Plan { spans, frames: Some(count) })
}

/// Begin and end of what is translated of `media`, in nanoseconds; no end for all that follows.
pub fn part(media: &Media, recipe: &Recipe, sample: Option<Sample>) -> Result<(u64, Option<u64>)> {
    let begin = nanoseconds(recipe.start);
    let end = recipe.end.map(|end| nanoseconds(Some(end)));
    let Some(sample) = sample else { return Ok((begin, end)) };
    let length = media.duration.map(|duration| duration.nseconds());
    let length = length.context("its length is unknown, so no samples can be spread over it")?;
    let (begin, end) = sample.range(begin, end.map_or(length, |end| end.min(length)));
    Ok((begin, Some(end)))
}

fn is_long(setup: &Setup, media: &Media) -> bool {
    let length = media.duration.map_or(0, |duration| duration.nseconds());
    setup.piece > 0 && length > 2 * setup.piece
}

fn lasts(media: &Media) -> String {
    match media.duration {
        Some(duration) => format!("{:.1} s", duration.seconds_f64()),
        None => "for an unknown time".to_owned(),
    }
}

fn nanoseconds(seconds: Option<f64>) -> u64 {
    (seconds.unwrap_or(0.0) * 1e9).round() as u64
}

fn expected_frames(media: &Media) -> Option<u64> {
    let caps = &media.tracks[media.main_video()?].caps;
    let rate = field::<gst::Fraction>(caps, "framerate")?;
    let seconds = media.duration?.seconds_f64();
    let frames = seconds * f64::from(rate.numer()) / f64::from(rate.denom());
    Some(frames.round() as u64).filter(|&frames| frames > 0)
}
