// SPDX-License-Identifier: MIT OR Apache-2.0

//! Durations in MP4 and QuickTime files that are replaced for `qtdemux` of GStreamer 1.22, which otherwise drops
//! frames.

use gst::prelude::*;
use gst_video::guess_framerate;

use super::{
    edits,
    index::Index,
    trak::{Header, Trak},
};
use crate::worker::{
    elements::caps::with_field,
    pads::probes::{Replacement, on_caps},
};

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
    /// The durations to replace in the index of a file; `None` if it is damaged.
    pub fn of(index: &Index) -> Option<Self> {
        let movie = Header::of_movie(&index.moov)?;
        let late = index.tracks().filter_map(delay).fold(0.0, f64::max);
        let more = (late * f64::from(movie.number)).ceil() as u32;
        let duration = units(movie)?.saturating_add(more);
        let longer = |header: Header<'_>, duration: u32| {
            let field = header.duration.last_chunk::<4>()?;
            (duration > units(header)?).then(|| index.replacement(field, duration.to_be_bytes()))
        };
        let seconds = f64::from(duration) / f64::from(movie.number.max(1));
        let longer_track = |track: Trak<'_>| {
            let media = track.media()?;
            // `qtdemux` takes a track that is shorter than a fifth of the whole for a preview.
            let fifth = (seconds * f64::from(media.number) / 5.0).ceil() as u32;
            // Without an edit list it stops at the track's own end.
            let end = largest_offset(track).filter(|_| edit_list(track).is_none());
            longer(media, fifth.max(units(media)?.saturating_add_signed(end.unwrap_or(0))))
        };
        let first = index.tracks().find(|track| track.is_video());
        Some(Self {
            // `qtdemux` takes media timestamps for presentation times, so it stops too early by the start of an edit
            // list, or without one by how much later a frame is shown than decoded.
            movie: longer(movie, duration),
            tracks: index.tracks().filter_map(longer_track).collect(),
            rate: first.filter(|track| longer_track(*track).is_some()).and_then(rate),
        })
    }

    /// Keeps the frame rate of the first video track, which `qtdemux` derives from its duration.
    pub fn keep_rate(&self, pad: &gst::Pad) {
        let Some(rate) = self.rate.filter(|_| pad.name() == "video_0") else { return };
        on_caps(pad, move |caps| Some(with_field(caps, "framerate", rate)));
    }
}

/// The low half of the duration in a header, in its units.
fn units(header: Header<'_>) -> Option<u32> {
    Some(u32::from_be_bytes(*header.duration.last_chunk()?))
}

/// The average frame rate of a track.
fn rate(track: Trak<'_>) -> Option<gst::Fraction> {
    let (media, (_, frames)) = (track.media()?, track.sizes()?);
    let seconds = f64::from(units(media)?) / f64::from(media.number.max(1)) / f64::from(frames);
    guess_framerate(gst::ClockTime::try_from_seconds_f64(seconds).ok()?)
}

fn edit_list(track: Trak<'_>) -> Option<&[u8]> {
    track.find(&[b"edts", b"elst"])
}

/// How much later than its durations say the media times of a track may end, seconds.
fn delay(track: Trak<'_>) -> Option<f64> {
    let units = match edit_list(track) {
        // The start of the last edit; -1 is an empty one.
        Some(list) => edits::read(list)?.iter().map(|(_, start)| *start).max()?,
        None => largest_offset(track)?.into(),
    };
    Some(units.max(0) as f64 / f64::from(track.media()?.number.max(1)))
}

/// The longest time by which a sample of a track is shown later than decoded (ISO/IEC 14496-12, section 8.6.1.3).
fn largest_offset(track: Trak<'_>) -> Option<i32> {
    let runs = track.table(b"ctts")?.get(8..)?.as_chunks::<8>().0.iter();
    runs.map(|[_, _, _, _, offset @ ..]| i32::from_be_bytes(*offset)).max()
}
