// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translated pieces of a video as one track.

use std::{
    ffi::OsString,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use gst::prelude::*;

use super::muxer::{make, pad};

/// Where the segment of joined pieces starts: decoding times may lie before the first frame, and time
/// stamps cannot be negative.
const BEFORE_ZERO: gst::ClockTime = gst::ClockTime::from_seconds(3600);

/// The pieces of these files one after another, with the times that they have already.
pub fn pieces(pieces: &[OsString]) -> Result<gst::Element> {
    let bin = gst::Bin::new();
    let joined = make("concat")?;
    joined.set_property("adjust-base", false);
    bin.add(&joined)?;
    for piece in pieces {
        let (file, unpack) = (make("filesrc")?, make("gdpdepay")?);
        file.set_property("location", Path::new(piece));
        // gdpdepay flushes what follows it when a file begins: the muxer would begin anew in the middle.
        pad(&unpack, "src")?
            .add_probe(gst::PadProbeType::EVENT_FLUSH, |_, _| gst::PadProbeReturn::Handled);
        bin.add_many([&file, &unpack])?;
        gst::Element::link_many([&file, &unpack, &joined])?;
    }
    // No queue: one that is stopped while it holds a query never ends, and each piece has its thread.
    let end = pad(&joined, "src")?;
    on_one_clock(&end);
    bin.add_pad(&gst::GhostPad::with_target(&end)?)?;
    Ok(bin.upcast())
}

/// Puts the pieces, each with a segment of its encoder's choice, on the clock of one segment. An encoder
/// that begins anew invents decoding times before its first frame, and these may lie before the last
/// ones of the piece before: they are moved behind those.
fn on_one_clock(pad: &gst::Pad) {
    let mut whole = gst::FormattedSegment::<gst::ClockTime>::new();
    whole.set_start(BEFORE_ZERO);
    let state = Mutex::new((None::<gst::FormattedSegment<gst::ClockTime>>, None::<gst::ClockTime>));
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |_, info| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (piece, last) = &mut *state;
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Segment(new) = event.view() {
                    *piece = new.segment().downcast_ref::<gst::ClockTime>().cloned();
                    *event = gst::event::Segment::new(&whole);
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let on_clock = |time: Option<gst::ClockTime>| {
                    let time = piece.as_ref()?.to_running_time_full(time?)?;
                    Some(match time {
                        gst::Signed::Positive(time) => BEFORE_ZERO + time,
                        gst::Signed::Negative(time) => BEFORE_ZERO.saturating_sub(time),
                    })
                };
                let (pts, dts) = (on_clock(buffer.pts()), on_clock(buffer.dts()));
                let after_last = last.map(|last| last + gst::ClockTime::NSECOND);
                let dts = dts.map(|dts| after_last.map_or(dts, |least| dts.max(least)));
                let buffer = buffer.make_mut();
                buffer.set_pts(pts);
                buffer.set_dts(dts);
                *last = dts.or(*last);
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}
