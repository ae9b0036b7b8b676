// SPDX-License-Identifier: MIT OR Apache-2.0

//! Times of packets that `matroskademux` of GStreamer 1.22 does not output: it sets those before 0, as `ffmpeg
//! -avoid_negative_ts disabled` writes them, to 0, so this shifts all times until the first one is 0; and it leaves out
//! those of ProRes, for which decoders then count frames.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    path::Path,
    sync::Mutex,
};

use gst::prelude::*;

use super::{extras::Extras, segment::Segment};
use crate::{
    lock::lock,
    worker::{
        elements::caps::short_id,
        pads::probes::{TimeSegment, on_buffers, on_segments},
    },
};

/// How many packets are searched for a time before 0.
const FIRST: usize = 64;
/// Latest time of a cluster that may have packets before 0: the time of a packet is a signed 16-bit offset from it.
const LATEST: i64 = 1 << 15;
/// How far times may differ from those of equal frames: files round them to a millisecond.
const TOLERANCE: gst::ClockTime = gst::ClockTime::from_mseconds(2);

#[derive(Debug, Default)]
pub struct Times {
    /// How far the first time lies before 0.
    pub shift: gst::ClockTime,
    /// The shifted times of the packets of each track up to the last one before 0, by its number.
    early: HashMap<u64, VecDeque<gst::ClockTime>>,
    /// The times of all frames of each track of ProRes with a variable rate or a late start.
    prores: HashMap<u64, VecDeque<gst::ClockTime>>,
}

impl Times {
    /// The times of `file` with these `extras`; `None` if it cannot be read. Finding those of ProRes takes long, so they
    /// are only read with `progress`, which is called meanwhile.
    pub fn of(file: &Path, extras: &Extras, progress: Option<&mut dyn FnMut()>) -> Option<Self> {
        let mut segment = Segment::open(File::open(file).ok()?).ok()?;
        let mut times = Self::default();
        times.read_early(&mut segment, extras);
        if let Some(progress) = progress {
            times.read_prores(&mut segment, extras, progress);
        }
        Some(times)
    }

    /// Whether the demuxer outputs all times.
    pub fn are_right(&self) -> bool {
        self.shift.is_zero() && self.prores.is_empty()
    }

    fn read_early(&mut self, segment: &mut Segment, extras: &Extras) {
        if segment.packets().take(FIRST).all(|packet| packet.time >= 0) {
            return;
        }
        let packets = segment.packets().take_while(|packet| packet.cluster <= LATEST);
        let packets: Vec<_> = packets.collect();
        let shift = -packets.iter().map(|packet| packet.time).min().unwrap_or(0);
        let count = packets.iter().rposition(|packet| packet.time < 0).map_or(0, |last| last + 1);
        for packet in &packets[..count] {
            let track = extras.tracks.iter().find(|track| track.number == packet.track);
            let delay = track.map(|track| track.delays()[0]).unwrap_or_default();
            // The demuxer also limits the packets that only prime a decoder to 0.
            let time = from_nanoseconds((packet.time + shift).saturating_mul(extras.unit));
            self.early.entry(packet.track).or_default().push_back(time.saturating_sub(delay));
        }
        self.shift = from_nanoseconds(shift.saturating_mul(extras.unit));
    }

    fn read_prores(&mut self, segment: &mut Segment, extras: &Extras, progress: &mut dyn FnMut()) {
        let is_prores = |number: u64| {
            extras.tracks.iter().any(|track| track.number == number && track.codec.id == "V_PRORES")
        };
        if !extras.tracks.iter().any(|track| is_prores(track.number)) {
            return;
        }
        let packets = segment.packets().inspect(|_| progress());
        for packet in packets.filter(|packet| is_prores(packet.track)) {
            let shift = self.shift.nseconds() as i64;
            let time = packet.time.saturating_mul(extras.unit).saturating_add(shift);
            self.prores.entry(packet.track).or_default().push_back(from_nanoseconds(time));
        }
        if self.prores.values_mut().all(|times| are_even(times.make_contiguous())) {
            self.prores.clear();
        }
    }

    /// Corrects the times at a pad of the demuxer. If they are shifted, its stream time starts at 0.
    pub fn correct(&self, pad: &gst::Pad) {
        let id = pad.stream_id();
        let track = id.and_then(|id| short_id(&id).split(':').next()?.parse::<u64>().ok());
        let of_track = |times: &HashMap<_, _>| track.and_then(|track| times.get(&track)).cloned();
        if !self.shift.is_zero() {
            on_segments(pad, |_| Some(TimeSegment::new()));
            self.shift_times(pad, of_track(&self.early).unwrap_or_default());
        }
        if let Some(times) = of_track(&self.prores) {
            let times = Mutex::new(times);
            on_buffers(pad, move |_, buffer| {
                buffer.make_mut().set_pts(lock(&times).pop_front());
                true
            });
        }
    }

    /// Gives the first packets at a pad the times `early`, and shifts those of the others.
    fn shift_times(&self, pad: &gst::Pad, early: VecDeque<gst::ClockTime>) {
        let (early, shift) = (Mutex::new(early), self.shift);
        on_buffers(pad, move |_, buffer| {
            // Headers have no timestamps.
            if buffer.pts().or(buffer.dts()).is_some() {
                let early = lock(&early).pop_front();
                let moved = |time: gst::ClockTime| early.unwrap_or(time.saturating_add(shift));
                let buffer = buffer.make_mut();
                buffer.set_pts(buffer.pts().map(moved));
                buffer.set_dts(buffer.dts().map(moved));
            }
            true
        });
    }
}

/// A time of a packet, or 0 if that is negative.
fn from_nanoseconds(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(time.max(0) as u64)
}

/// Whether frames start at 0 and are equally long.
fn are_even(times: &[gst::ClockTime]) -> bool {
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return true };
    let steps = times.len().saturating_sub(1).max(1) as u64;
    let even = |i| last.saturating_sub(*first).mul_div_round(i, steps);
    (0..).zip(times).all(|(i, time)| even(i).is_some_and(|even| even.absdiff(*time) <= TOLERANCE))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            ebml::{elements, wrapped},
            entry::Entry,
        },
        *,
    };

    #[test]
    fn even_times_need_no_correction() {
        let is_even = |times: &[u64]| {
            let times = times.iter().copied().map(gst::ClockTime::from_mseconds);
            are_even(&times.collect::<Vec<_>>())
        };
        assert!(is_even(&[]) && is_even(&[0]) && is_even(&[0, 33, 67, 100, 133]));
        assert!(!is_even(&[0, 33, 100, 133]) && !is_even(&[500, 533, 567]));
    }

    /// The file is read to its end for them.
    #[test]
    fn times_of_prores_are_found_with_progress() {
        let block = |track: u8, time: i16, length: usize| {
            let head = [&[0x80 | track][..], &time.to_be_bytes(), &[0]].concat();
            wrapped(0xA3, &[head, vec![0xA3; length]].concat())
        };
        // Blocks that are smaller and larger than what is read at once.
        let blocks = [block(1, 500, 90_000), block(2, 500, 3), block(1, 540, 9), block(2, 541, 9)];
        let cluster =
            |time: u8| wrapped(0x1F43_B675, &[wrapped(0xE7, &[time]), blocks.concat()].concat());
        let segment = wrapped(0x1853_8067, &[cluster(0), cluster(200)].concat());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.mkv");
        std::fs::write(&file, segment).unwrap();
        let track = wrapped(0xAE, &[wrapped(0xD7, &[1]), wrapped(0x86, b"V_PRORES")].concat());
        let tracks = elements(&track).map(Entry::read).collect();
        let extras = Extras { unit: 1_000_000, tracks, ..Extras::default() };
        assert!(Times::of(&file, &extras, None).unwrap().are_right());
        let mut calls = 0;
        let times = Times::of(&file, &extras, Some(&mut || calls += 1)).unwrap();
        assert_eq!(times.prores[&1], [500, 540, 700, 740].map(gst::ClockTime::from_mseconds));
        assert_eq!(calls, 8);
    }

    #[test]
    fn a_damaged_unit_does_not_overflow() {
        let block =
            |time: i16| wrapped(0xA3, &[&[0x81][..], &time.to_be_bytes(), &[0; 3]].concat());
        let cluster = [wrapped(0xE7, &[0]), block(-5), block(7)].concat();
        let segment = wrapped(0x1853_8067, &wrapped(0x1F43_B675, &cluster));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.mkv");
        std::fs::write(&file, segment).unwrap();
        let track = [wrapped(0xD7, &[1]), wrapped(0x86, b"V_PRORES")].concat();
        let track = wrapped(0xAE, &track);
        let tracks = elements(&track).map(Entry::read).collect();
        let extras = Extras { unit: i64::MAX, tracks, ..Extras::default() };
        assert!(!Times::of(&file, &extras, Some(&mut || {})).unwrap().are_right());
    }
}
