// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pad probes.

use gst::prelude::*;

/// Calls `with` with each buffer that arrives at `pad`, and drops it where that returns false.
pub fn on_buffers(
    pad: &gst::Pad,
    with: impl Fn(&gst::Pad, &mut gst::Buffer) -> bool + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer_mut();
        match buffer.is_none_or(|buffer| with(pad, buffer)) {
            true => gst::PadProbeReturn::Ok,
            // `Drop` makes GStreamer 1.22 complain.
            false => gst::PadProbeReturn::Handled,
        }
    });
}

/// Calls `with` with the caps that arrive at `pad`, and replaces them with what it returns.
pub fn on_caps(
    pad: &gst::Pad,
    with: impl Fn(&gst::Caps) -> Option<gst::Caps> + Send + Sync + 'static,
) {
    on_events(pad, move |event| {
        let gst::EventView::Caps(caps) = event.view() else { return None };
        Some(gst::event::Caps::new(&with(&caps.caps_owned())?))
    });
}

/// A segment in time.
pub type TimeSegment = gst::FormattedSegment<gst::ClockTime>;

/// Calls `with` with the segments that arrive at `pad`, and replaces them with what it returns.
pub fn on_segments(
    pad: &gst::Pad,
    with: impl Fn(&TimeSegment) -> Option<TimeSegment> + Send + Sync + 'static,
) {
    on_events(pad, move |event| {
        let gst::EventView::Segment(segment) = event.view() else { return None };
        Some(gst::event::Segment::new(&with(segment.segment().downcast_ref()?)?))
    });
}

fn on_events(
    pad: &gst::Pad,
    with: impl Fn(&gst::EventRef) -> Option<gst::Event> + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let Some(new) = with(event)
        {
            *event = new;
        }
        gst::PadProbeReturn::Ok
    });
}
