// SPDX-License-Identifier: MIT OR Apache-2.0

//! Durations in MP4 and QuickTime files that are replaced for `qtdemux` of GStreamer 1.22, which otherwise drops
//! frames.

use gst::prelude::*;
use gst_video::guess_framerate;

use super::isobmff::{Index, behind_times, find, handler, number, place, tracks};
use crate::worker::pads::probes::{Replacement, on_caps};

/// The durations of a file to replace; none in most files.
#[derive(Debug, Default)]
pub struct Durations {
    /// The duration of the presentation.
    pub movie: Option<Replacement>,
    /// The durations of tracks.
    pub tracks: Vec<Replacement>,
    /// The frame rate of the first video track, if its duration is replaced.
    rate: Option<gst::Fraction>,
}

impl Durations {
    /// Those in the index of a file; `None` if it is damaged.
    pub fn of(index: &Index) -> Option<Self> {
        let moov = &index.moov[..];
        let movie = Field::of(find(moov, &[b"mvhd"])?)?;
        let late = tracks(moov).filter_map(latest_start).fold(0.0, f64::max);
        let more = (late * f64::from(movie.scale)).ceil() as u32;
        let duration = movie.duration.saturating_add(more);
        let longer = |field: &Field<'_>, duration: u32| {
            let at = index.start + place(moov, field.bytes).start as u64;
            (duration > field.duration).then(|| (at, duration.to_be_bytes()))
        };
        // `qtdemux` takes a track that is shorter than a fifth of the whole for a preview.
        let fifth = |field: &Field<'_>| {
            let seconds = f64::from(duration) / f64::from(movie.scale.max(1));
            (seconds * f64::from(field.scale) / 5.0).ceil() as u32
        };
        let is_video = |track: &&[u8]| handler(track) == Some(b"vide");
        let first = tracks(moov).find(is_video);
        let is_longer = |track| {
            Field::of_media(track).is_some_and(|field| longer(&field, fifth(&field)).is_some())
        };
        let fields = tracks(moov).filter_map(Field::of_media);
        Some(Self {
            // `qtdemux` takes media timestamps for presentation times, so it stops too early by the start of an edit
            // list.
            movie: longer(&movie, duration),
            tracks: fields.filter_map(|field| longer(&field, fifth(&field))).collect(),
            rate: first.filter(|track| is_longer(track)).and_then(rate),
        })
    }

    /// Keeps the frame rate of the first video track, which `qtdemux` derives from its duration.
    pub fn keep_rate(&self, pad: &gst::Pad) {
        let Some(rate) = self.rate.filter(|_| pad.name() == "video_0") else { return };
        on_caps(pad, move |caps| {
            let mut corrected = caps.clone();
            corrected.make_mut().set("framerate", rate);
            Some(corrected)
        });
    }
}

/// The average frame rate of a track.
fn rate(track: &[u8]) -> Option<gst::Fraction> {
    let field = Field::of_media(track)?;
    let sizes = find(track, &[b"mdia", b"minf", b"stbl", b"stsz"])?;
    let samples = f64::from(number(sizes.get(8..12)?)?);
    let seconds = f64::from(field.duration) / f64::from(field.scale.max(1)) / samples;
    guess_framerate(gst::ClockTime::try_from_seconds_f64(seconds).ok()?)
}

/// The duration in a header, in units of `scale` per second.
struct Field<'a> {
    scale: u32,
    duration: u32,
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    /// The duration of the media of a track.
    fn of_media(track: &'a [u8]) -> Option<Self> {
        Self::of(find(track, &[b"mdia", b"mdhd"])?)
    }

    fn of(header: &'a [u8]) -> Option<Self> {
        let at = behind_times(header);
        let scale = number(header.get(at..at + 4)?)?;
        // The low half of a duration of 8 bytes.
        let at = if at == 20 { at + 8 } else { at + 4 };
        let bytes = header.get(at..at + 4)?;
        Some(Self { scale, duration: number(bytes)?, bytes })
    }
}

/// The media time at which the last edit of a track starts, seconds.
fn latest_start(track: &[u8]) -> Option<f64> {
    let scale = Field::of_media(track)?.scale;
    let list = find(track, &[b"edts", b"elst"])?;
    let is_long = list.first() == Some(&1);
    let edits = list.get(8..)?.chunks_exact(if is_long { 20 } else { 12 });
    let start = |edit: &[u8]| match is_long {
        true => Some(i64::from_be_bytes(edit[8..16].try_into().ok()?)),
        false => Some(i64::from(i32::from_be_bytes(edit[4..8].try_into().ok()?))),
    };
    // -1 is an empty edit.
    let start = edits.filter_map(start).max()?.max(0);
    Some(start as f64 / f64::from(scale.max(1)))
}
