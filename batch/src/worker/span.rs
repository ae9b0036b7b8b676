// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frames of a piece, picked out of what the decoder gives.
//!
//! A seek lands on a key frame at or before the piece. The frames are picked by their stream time
//! after the decoder, which gives them in the order in which they are shown, so that every frame is in
//! one piece and none in two, wherever in the file the encoder put it. A probe drops a buffer by saying
//! that it has handled it; `Drop` makes GStreamer 1.22 complain.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use gst::prelude::*;

use super::protocol::Span;

/// Lets only the frames of `span`, and those before it that lead in, through the sink pad `pad`, with
/// their stream time as time stamp: so all pieces have the same clock.
pub fn cut(pad: &gst::Pad, span: &Span) {
    let segment = Mutex::new(None::<gst::FormattedSegment<gst::ClockTime>>);
    let (lead, stop) = (span.lead, span.stop);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |pad, info| match &mut info.data {
        Some(gst::PadProbeData::Event(event)) => {
            if let gst::EventView::Segment(new) = event.view() {
                let new = new.segment().downcast_ref::<gst::ClockTime>().cloned();
                *segment.lock().unwrap_or_else(PoisonError::into_inner) = new;
                *event = gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
            }
            gst::PadProbeReturn::Ok
        }
        Some(gst::PadProbeData::Buffer(buffer)) => {
            let segment = segment.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let time = segment.and_then(|segment| segment.to_stream_time(buffer.pts()));
            match time.map(|time| time.nseconds()) {
                None => gst::PadProbeReturn::Handled,
                Some(time) if time < lead => gst::PadProbeReturn::Handled,
                Some(time) if stop.is_some_and(|stop| time >= stop) => {
                    // The pad refuses all that comes later, which stops the decoder.
                    pad.send_event(gst::event::Eos::new());
                    gst::PadProbeReturn::Handled
                }
                Some(time) => {
                    buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(time));
                    gst::PadProbeReturn::Ok
                }
            }
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Counts the frames that leave the filter by `pad`; with a `span` those that only lead in end there.
pub fn count_frames(pad: &gst::Pad, span: Option<&Span>, frames: Arc<AtomicU64>) {
    let start = span.map(|span| gst::ClockTime::from_nseconds(span.start));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let time = info.buffer().and_then(|buffer| buffer.pts());
        if start.is_some_and(|start| time.is_some_and(|time| time < start)) {
            return gst::PadProbeReturn::Handled;
        }
        frames.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
}
