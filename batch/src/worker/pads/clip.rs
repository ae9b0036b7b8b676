// SPDX-License-Identifier: MIT OR Apache-2.0

//! The part of the video that belongs to a segment.
//!
//! A seek lands on a key frame at or before the segment. Frames are selected by stream time after the decoder, which
//! outputs them in display order, so every frame is in exactly one segment, whatever its position in the file.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::{
    frame_times::{FrameTimes, frame_duration},
    probes::{TimeSegment, drop_events, on_buffers, on_segments},
    tally::{Tally, is_hidden, segment_at},
};
use crate::{lock::lock, protocol::Span};

/// The longest frame that `tsdemux` of GStreamer 1.22 does not take for a jump of the clock.
pub const LONG_FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// How much earlier than stated a frame may come. Parsers and decoders that add up durations round differently.
const ROUNDING: gst::ClockTime = gst::ClockTime::USECOND;

/// Whether a frame at `time` comes before a part that starts at `start`.
pub fn is_before(time: gst::ClockTime, start: gst::ClockTime) -> bool {
    time.saturating_add(ROUNDING) < start
}

/// Lets only the frames of `span` and its lead-in pass the sink pad `pad`, with their stream time as timestamp, so that
/// all segments have the same clock.
pub fn cut(pad: &gst::Pad, span: &Span, times: FrameTimes) {
    let segment = Arc::new(Mutex::new(None::<TimeSegment>));
    let current = segment.clone();
    on_segments(pad, move |new| {
        *lock(&current) = Some(new.clone());
        Some(TimeSegment::new())
    });
    // They have the times of the input, and encoders of GStreamer 1.26 send them on before the segment.
    drop_events(pad, |_, event| event.type_() == gst::EventType::Gap);
    let (lead, stop) = (span.lead, span.stop);
    on_buffers(pad, move |pad, buffer| {
        let stream_time = |pts| lock(&segment).as_ref().and_then(|s| s.to_stream_time(pts));
        let stated = buffer.pts().and_then(stream_time);
        if stated.is_none() && buffer.pts().is_some() {
            // It is outside of the segment.
            return false;
        }
        let time = times.next(stated, buffer.duration().unwrap_or_else(|| frame_duration(pad)));
        let place = stated.unwrap_or(time);
        if stop.is_some_and(|stop| !is_before(place, stop)) {
            // The pad then refuses all later frames, which stops the decoder.
            pad.send_event(gst::event::Eos::new());
            return false;
        }
        let buffer = buffer.make_mut();
        buffer.set_pts(time);
        if let (Some(duration), Some(stop)) = (buffer.duration(), stop) {
            // The last frame may be shown for longer in the input.
            buffer.set_duration(duration.min(stop.saturating_sub(time)));
        }
        !is_before(place, lead)
    });
}

/// The time that is 0 in the file of a segment. It is a whole millisecond, so that rounding to milliseconds gives the
/// same times as without cutting.
pub fn origin(span: &Span) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(span.start.mseconds())
}

/// Counts the frames of `span` at the filter's source pad `pad` and puts them on the clock of the segment file. Drops
/// the lead-in, but shows its last frame from the start on if the next one comes late.
pub fn count(pad: &gst::Pad, span: &Span, frames: Tally) {
    let (start, origin) = (span.start, origin(span));
    let stop = span.stop;
    let before = Arc::new(Mutex::new(None::<gst::Buffer>));
    let until_end = before.clone();
    let place = move |buffer: &mut gst::BufferRef, time: gst::ClockTime| {
        let time = time.saturating_sub(origin);
        frames.add(Some(time), buffer.duration());
        buffer.set_pts(time);
    };
    let place_last = place.clone();
    on_buffers(pad, move |pad, buffer| {
        let Some(time) = buffer.pts() else { return false };
        if is_before(time, start) {
            *lock(&before) = Some(buffer.clone());
            return false;
        }
        let before = lock(&before).take();
        if let Some(before) = before.filter(|_| is_late(time, start)) {
            // The push runs this probe again. If it fails, so will the current frame.
            let _ = pad.push(moved_to(before, start, Some(time)));
        }
        place(buffer.make_mut(), time);
        true
    });
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        let before = is_end.then(|| lock(&until_end).take()).flatten();
        if let Some((before, next)) = before.zip(pad.peer()) {
            let mut buffer = moved_to(before, start, stop);
            place_last(buffer.make_mut(), start);
            // The pad itself outputs nothing more. A failure is reported by the next element.
            let _ = next.chain(buffer);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether a frame at `time` is so late after `start` that the frame before is shown until then.
pub fn is_late(time: gst::ClockTime, start: gst::ClockTime) -> bool {
    time > start.saturating_add(LONG_FRAME)
}

/// Moves a frame from before `start` to `start`, to be shown until `end`.
fn moved_to(
    mut frame: gst::Buffer,
    start: gst::ClockTime,
    end: Option<gst::ClockTime>,
) -> gst::Buffer {
    let fields = frame.make_mut();
    fields.set_pts(start);
    // The frame has the duration of the frame rate, or the time until the end of another part.
    fields.set_duration(end.and_then(|end| end.checked_sub(start)));
    frame
}

/// The time of an encoded frame. Frames of an AVI have only decoding times, but these are the same set of times.
pub fn slot(encoded: &gst::BufferRef) -> Option<gst::ClockTime> {
    encoded.pts().or(encoded.dts())
}

/// The stream time at which an encoded frame is first shown; `None` if it is outside of `segment`. A frame that begins
/// before the segment is shown from its start on, as decoders output it.
pub fn shown_from(segment: &TimeSegment, frame: &gst::BufferRef) -> Option<gst::ClockTime> {
    let time = slot(frame)?;
    let (start, _) = segment.clip(time, frame.duration().map(|duration| time + duration))?;
    segment.to_stream_time(start)
}

/// Counts the packets at `pad` whose stream time lies in `span`, except those that are not shown.
pub fn count_within(pad: &gst::Pad, span: &Span, packets: Tally) {
    let (start, stop) = (span.start, span.stop.unwrap_or(gst::ClockTime::MAX));
    on_buffers(pad, move |pad, buffer| {
        let time = segment_at(pad).and_then(|segment| shown_from(&segment, buffer));
        // Samples that an edit list hides have a timestamp but no stream time.
        let is_outside = match time {
            Some(time) => is_before(time, start) || !is_before(time, stop),
            None => slot(buffer).is_some(),
        };
        if !is_outside && !is_hidden(pad, buffer) {
            packets.add(time, buffer.duration());
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slide_that_a_part_begins_with_is_shown_until_the_next_or_the_end() {
        gst::init().unwrap();
        let second = gst::ClockTime::SECOND;
        let mut slide = gst::Buffer::new();
        let fields = slide.get_mut().unwrap();
        fields.set_pts(19 * second);
        // At a frame rate of 1.
        fields.set_duration(second);
        let start = 30 * second;
        let shown = moved_to(slide.clone(), start, Some(50 * second));
        assert_eq!((shown.pts(), shown.duration()), (Some(start), Some(20 * second)));
        assert_eq!(moved_to(slide, start, None).duration(), None);
    }
}
