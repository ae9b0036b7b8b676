// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pad probes.

use gst::prelude::*;

/// Drops what a probe gets. `Drop` makes GStreamer 1.22 complain.
const DROP: gst::PadProbeReturn = gst::PadProbeReturn::Handled;

/// Calls `with` with each buffer that arrives at `pad`, and drops it where that returns false.
pub fn on_buffers(
    pad: &gst::Pad,
    with: impl Fn(&gst::Pad, &mut gst::Buffer) -> bool + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer_mut();
        match buffer.is_none_or(|buffer| with(pad, buffer)) {
            true => gst::PadProbeReturn::Ok,
            false => DROP,
        }
    });
}

/// Calls `with` with the first buffer that arrives at `pad`.
pub fn on_first_buffer(pad: &gst::Pad, with: impl Fn(&gst::BufferRef) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        info.buffer().into_iter().for_each(|buffer| with(buffer));
        gst::PadProbeReturn::Remove
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

/// Drops the events that arrive at `pad` and for which `is_unwanted`.
pub fn drop_events(
    pad: &gst::Pad,
    is_unwanted: impl Fn(&gst::Pad, &gst::EventRef) -> bool + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        match info.event().is_some_and(|event| is_unwanted(pad, event)) {
            true => DROP,
            false => gst::PadProbeReturn::Ok,
        }
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

/// Calls `with` with the times of seeks that arrive at `pad`, and replaces them with what it returns.
pub fn on_seeks(
    pad: &gst::Pad,
    with: impl Fn(gst::ClockTime) -> gst::ClockTime + Send + Sync + 'static,
) {
    on_events_to(pad, gst::PadProbeType::EVENT_UPSTREAM, move |event| {
        let gst::EventView::Seek(seek) = event.view() else { return None };
        let (rate, flags, start_type, start, stop_type, stop) = seek.get();
        let moved = |time| match time {
            gst::GenericFormattedValue::Time(Some(time)) => with(time).into(),
            other => other,
        };
        let (start, stop) = (moved(start), moved(stop));
        let new = gst::event::Seek::builder(rate, flags, start_type, start, stop_type, stop);
        Some(new.seqnum(event.seqnum()).build())
    });
}

/// Calls `with` with the events that arrive at `pad`, and replaces them with what it returns.
pub fn on_events(
    pad: &gst::Pad,
    with: impl Fn(&gst::EventRef) -> Option<gst::Event> + Send + Sync + 'static,
) {
    on_events_to(pad, gst::PadProbeType::EVENT_DOWNSTREAM, with);
}

fn on_events_to(
    pad: &gst::Pad,
    direction: gst::PadProbeType,
    with: impl Fn(&gst::EventRef) -> Option<gst::Event> + Send + Sync + 'static,
) {
    pad.add_probe(direction, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let Some(new) = with(event)
        {
            *event = new;
        }
        gst::PadProbeReturn::Ok
    });
}

/// An offset in a file, and the bytes to read there instead.
pub type Replacement = (u64, [u8; 4]);

/// Replaces bytes of the file that is read through `pad`, at their offsets in the file.
pub fn replace(pad: &gst::Pad, replacements: Vec<Replacement>) {
    if replacements.is_empty() {
        return;
    }
    pad.add_probe(gst::PadProbeType::PULL | gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let begin = buffer.offset();
            let place = begin..begin.saturating_add(buffer.size() as u64);
            let bytes = replacements.iter().flat_map(|(at, bytes)| (*at..).zip(*bytes));
            let places: Vec<_> = bytes.filter(|(at, _)| place.contains(at)).collect();
            if !places.is_empty()
                && let Ok(mut map) = buffer.make_mut().map_writable()
            {
                for (at, byte) in places {
                    map[(at - place.start) as usize] = byte;
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
}
