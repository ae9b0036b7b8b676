// SPDX-License-Identifier: MIT OR Apache-2.0

//! Timestamps before 0 in Matroska, as `ffmpeg -avoid_negative_ts disabled` writes them. `matroskademux` of GStreamer
//! 1.22 sets all of them to 0, so this shifts all timestamps until the first one is 0.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    path::Path,
    sync::Mutex,
};

use gst::prelude::*;

use super::{
    ebml::{Packet, Segment},
    matroska,
};
use crate::{
    lock::lock,
    worker::{
        elements::caps::short_id,
        pads::probes::{TimeSegment, on_buffers, on_segments},
    },
};

/// How many packets are searched for a timestamp before 0.
const FIRST: usize = 64;
/// Latest time of a cluster that may have packets before 0: the time of a packet is a signed 16-bit offset from it.
const LATEST: i64 = 1 << 15;

/// Corrected timestamps of a file's packets up to the last one before 0.
#[derive(Debug)]
pub struct Early {
    /// The shift of all timestamps, nanoseconds.
    pub shift: i64,
    /// The shifted timestamps of the first packets of each track, by its number, nanoseconds.
    times: HashMap<u64, VecDeque<i64>>,
}

impl Early {
    /// Reads `file`; `None` if it has no timestamp before 0 or is not Matroska.
    pub fn of(file: &Path) -> Option<Self> {
        let mut segment = Segment::open(File::open(file).ok()?).ok()?;
        segment.packets().take(FIRST).find(|packet| packet.time < 0)?;
        let (unit, delays) = matroska::clock(&mut segment)?;
        let packets = segment.packets().take_while(|packet| packet.cluster <= LATEST);
        let packets: Vec<Packet> = packets.collect();
        let last = packets.iter().rposition(|packet| packet.time < 0)?;
        let shift = -packets.iter().map(|packet| packet.time).min()?;
        let mut times = HashMap::<_, VecDeque<_>>::new();
        for Packet { track, time, .. } in &packets[..=last] {
            let delay = delays.get(track).copied().unwrap_or(0);
            // The demuxer also limits the packets that only prime a decoder to 0.
            let time = ((time + shift) * unit - delay).max(0);
            times.entry(*track).or_default().push_back(time);
        }
        let shift = shift * unit;
        Some(Self { shift, times })
    }

    /// Corrects the timestamps at a pad of the demuxer, and starts its stream time at 0.
    pub fn correct(&self, pad: &gst::Pad) {
        let id = pad.stream_id();
        let track = id.and_then(|id| matroska::track_number(short_id(&id)));
        let times = track.and_then(|track| self.times.get(&track)).cloned();
        let (times, shift) = (Mutex::new(times.unwrap_or_default()), self.shift);
        on_segments(pad, |_| Some(TimeSegment::new()));
        on_buffers(pad, move |_, buffer| {
            // Headers have no timestamps.
            if buffer.pts().or(buffer.dts()).is_some() {
                let early = lock(&times).pop_front();
                let moved = |time: gst::ClockTime| {
                    let time = early.unwrap_or(time.nseconds() as i64 + shift);
                    gst::ClockTime::from_nseconds(time as u64)
                };
                let buffer = buffer.make_mut();
                buffer.set_pts(buffer.pts().map(moved));
                buffer.set_dts(buffer.dts().map(moved));
            }
            true
        });
    }
}
