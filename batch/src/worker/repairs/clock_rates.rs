// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frame rates that are the unit of a clock. The headers of some H.264 and H.265 state 90,000 frames a second, whatever the
//! times of the frames are.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gst::prelude::*;

use crate::worker::{
    elements::caps::{field, with_field},
    pads::{
        probes::{on_buffers, on_caps},
        tally::segment_at,
    },
};

/// The highest frame rate that is believed, frames per second.
const HIGHEST: i32 = 1000;

/// Makes such a rate unknown in what `parser` outputs, with the durations and times that the parser derives from it.
pub fn ignore(parser: &gst::Element) {
    let pads = parser.static_pad("sink").zip(parser.static_pad("src"));
    let Some((sink, src)) = pads else { return };
    let is_clock = Arc::new(AtomicBool::new(false));
    let ignored = is_clock.clone();
    on_caps(&src, move |caps| {
        let rate = field::<gst::Fraction>(caps, "framerate").filter(|rate| {
            rate.numer().checked_div(rate.denom()).is_some_and(|rate| rate > HIGHEST)
        });
        ignored.store(rate.is_some(), Ordering::Relaxed);
        rate.map(|_| with_field(caps, "framerate", gst::Fraction::new(0, 1)))
    });
    let sink = sink.downgrade();
    on_buffers(&src, move |_, buffer| {
        if is_clock.load(Ordering::Relaxed) {
            let buffer = buffer.make_mut();
            if buffer.duration().is_some_and(|duration| duration < gst::ClockTime::MSECOND) {
                buffer.set_duration(None);
            }
            // An elementary stream has no times of its own.
            if sink.upgrade().is_some_and(|sink| segment_at(&sink).is_none()) {
                buffer.set_pts(None);
                buffer.set_dts(None);
            }
        }
        true
    });
}
