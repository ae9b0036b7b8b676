// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts data at points of a pipeline, so that losses are noticed.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::probes::{TimeSegment, on_buffers};
use crate::lock::lock;

/// The flag of a buffer that only fills time and does not count.
pub const FILLER: gst::BufferFlags = gst::BufferFlags::DECODE_ONLY;

/// Data that have passed a pad. Data before time 0 do not count, because muxers drop them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub packets: u64,
    /// Packets before 0, which are not heard.
    pub hidden: u64,
    /// Earliest running time, nanoseconds.
    pub first: Option<u64>,
    /// Running time of the end of the last buffer, nanoseconds.
    pub end: u64,
    /// Latest running time, nanoseconds.
    latest: u64,
    /// The longest time by which it has advanced, nanoseconds.
    pub longest_step: u64,
}

/// A counter at a pad.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Passed>>);

impl Tally {
    pub fn watch(&self, pad: &gst::Pad) {
        let tally = self.clone();
        on_buffers(pad, move |pad, buffer| {
            if buffer.flags().contains(FILLER) {
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
            let end = (time + duration.unwrap_or_default()).nseconds();
            let time = time.nseconds();
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
        *lock(&self.0) = Passed::default();
    }

    pub fn get(&self) -> Passed {
        *lock(&self.0)
    }
}

/// The segment at `pad`.
pub fn segment_at(pad: &gst::Pad) -> Option<TimeSegment> {
    pad.sticky_event::<gst::event::Segment>(0)?.segment().downcast_ref().cloned()
}
