// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts data at points of a pipeline, so that losses are noticed.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::probes::{TimeSegment, on_buffers};
use crate::{lock::lock, worker::elements::caps::media_type};

/// The flag of a buffer that only fills time and does not count.
pub const FILLER: gst::BufferFlags = gst::BufferFlags::DECODE_ONLY;

/// Data that have passed a pad. Data before time 0 do not count, because muxers drop them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketStats {
    pub packets: u64,
    /// Packets before 0, which are not heard.
    pub hidden: u64,
    /// Earliest running time.
    pub first: Option<gst::ClockTime>,
    /// Running time of the end of the last buffer.
    pub end: gst::ClockTime,
    /// Latest running time.
    latest: gst::ClockTime,
    /// The longest time by which it has advanced.
    pub longest_step: gst::ClockTime,
}

impl PacketStats {
    /// From the earliest running time to the end of the last buffer.
    pub fn duration(&self) -> gst::ClockTime {
        self.end.saturating_sub(self.first.unwrap_or_default())
    }

    /// Whether the last buffer states its duration.
    pub fn states_end(&self) -> bool {
        self.end > self.latest
    }

    /// From the earliest to the latest running time.
    pub fn length(&self) -> gst::ClockTime {
        self.latest.saturating_sub(self.first.unwrap_or_default())
    }
}

/// A counter at a pad.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<PacketStats>>);

impl Tally {
    pub fn watch(&self, pad: &gst::Pad) {
        let tally = self.clone();
        on_buffers(pad, move |pad, buffer| {
            if buffer.flags().contains(FILLER) || is_hidden(pad, buffer) {
                return true;
            }
            match segment_at(pad).and_then(|s| s.to_running_time_full(buffer.pts()?)) {
                Some(gst::Signed::Negative(_)) => lock(&tally.0).hidden += 1,
                Some(gst::Signed::Positive(time)) => tally.add(Some(time), buffer.duration()),
                None => tally.add(None, None),
            }
            true
        });
    }

    /// Counts one buffer at this running time.
    pub fn add(&self, time: Option<gst::ClockTime>, duration: Option<gst::ClockTime>) {
        let mut passed = lock(&self.0);
        passed.packets += 1;
        if let Some(time) = time {
            let end = time + duration.unwrap_or_default();
            if passed.first.is_some() {
                let step = time.saturating_sub(passed.latest);
                passed.longest_step = passed.longest_step.max(step);
            }
            passed.first = Some(passed.first.map_or(time, |first| first.min(time)));
            passed.latest = passed.latest.max(time);
            passed.end = passed.end.max(end);
        }
    }

    pub fn clear(&self) {
        *lock(&self.0) = PacketStats::default();
    }

    pub fn get(&self) -> PacketStats {
        *lock(&self.0)
    }
}

/// The first `N` bytes of a buffer, if it is long enough.
pub fn head<const N: usize>(buffer: &gst::BufferRef) -> Option<[u8; N]> {
    let mut head = [0; N];
    (buffer.size() >= N && buffer.copy_to_slice(0, &mut head).is_ok()).then_some(head)
}

/// Whether this is a VP8 frame that is only a reference (RFC 6386, section 9.1: `show_frame`) or a Theora header
/// (Theora specification, section 6.1).
pub fn is_hidden(pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let Some(first) = head::<1>(buffer) else { return false };
    let caps = pad.current_caps();
    match caps.as_ref().map(media_type) {
        Some("video/x-vp8") => first[0] & 0x10 == 0,
        Some("video/x-theora") => first[0] & 0x80 != 0,
        _ => false,
    }
}

/// The segment at `pad`.
pub fn segment_at(pad: &gst::Pad) -> Option<TimeSegment> {
    pad.sticky_event::<gst::event::Segment>(0)?.segment().downcast_ref().cloned()
}
