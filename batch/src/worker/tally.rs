// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts data at points of a pipeline, so that no loss goes unnoticed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

/// Data that has passed a pad. Data before time 0 does not count, because muxers drop it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Buffers.
    pub packets: u64,
    /// Earliest running time, nanoseconds.
    pub first: Option<u64>,
    /// Running time of the end of the last buffer, nanoseconds.
    pub end: u64,
}

/// A counter at a pad.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Passed>>);

impl Tally {
    /// Counts the buffers that pass `pad`.
    pub fn watch(&self, pad: &gst::Pad) {
        let tally = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                match running_time(pad, buffer.pts()) {
                    Some(gst::Signed::Negative(_)) => {}
                    Some(gst::Signed::Positive(time)) => tally.add(Some(time), buffer.duration()),
                    None => tally.add(None, None),
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Counts one buffer at this running time.
    pub fn add(&self, time: Option<gst::ClockTime>, duration: Option<gst::ClockTime>) {
        let mut passed = self.lock();
        passed.packets += 1;
        if let Some(time) = time {
            let end = (time + duration.unwrap_or_default()).nseconds();
            passed.first = Some(passed.first.map_or(time.nseconds(), |f| f.min(time.nseconds())));
            passed.end = passed.end.max(end);
        }
    }

    /// Resets the counter.
    pub fn clear(&self) {
        *self.lock() = Passed::default();
    }

    /// The data so far.
    pub fn get(&self) -> Passed {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running time of a time stamp at `pad`.
fn running_time(
    pad: &gst::Pad,
    pts: Option<gst::ClockTime>,
) -> Option<gst::Signed<gst::ClockTime>> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time_full(pts?)
}
