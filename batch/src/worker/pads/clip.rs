// SPDX-License-Identifier: MIT OR Apache-2.0

//! The part of a track that belongs to a segment or to the output.
//!
//! A seek lands on a key frame at or before the segment. Frames are selected by stream time after the decoder, which
//! outputs them in display order, so every frame is in exactly one segment, whatever its position in the file.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::{
    frame_times::{FrameTimes, frame_duration},
    probes::{TimeSegment, on_buffers, on_segments},
    tally::{Tally, head, is_hidden, segment_at},
};
use crate::{
    lock::lock,
    protocol::Span,
    worker::elements::caps::{is_subtitles, media_type},
};

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
            // It comes back here. If this fails, so does this frame.
            let _ = pad.push(begun(before, start, Some(time)));
        }
        place(buffer.make_mut(), time);
        true
    });
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        let before = is_end.then(|| lock(&until_end).take()).flatten();
        if let Some((before, next)) = before.zip(pad.peer()) {
            let mut buffer = begun(before, start, stop);
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

/// A frame from before `start`, as if it came there and were shown until `end`.
fn begun(
    mut frame: gst::Buffer,
    start: gst::ClockTime,
    end: Option<gst::ClockTime>,
) -> gst::Buffer {
    let fields = frame.make_mut();
    fields.set_pts(start);
    // Its own is that of the frame rate, or that until the end of another part.
    fields.set_duration(end.and_then(|end| end.checked_sub(start)));
    frame
}

/// The time of an encoded frame. Frames of an AVI have only decoding times, but these are the same set of times.
pub fn slot(encoded: &gst::BufferRef) -> Option<gst::ClockTime> {
    encoded.pts().or(encoded.dts())
}

/// Counts the packets at `pad` whose stream time lies in `span`, except those that are not shown.
pub fn count_within(pad: &gst::Pad, span: &Span, packets: Tally) {
    let (start, stop) = (span.start, span.stop.unwrap_or(gst::ClockTime::MAX));
    on_buffers(pad, move |pad, buffer| {
        let time = segment_at(pad).and_then(|segment| segment.to_stream_time(slot(buffer)?));
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

/// The part of the other tracks that goes into the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Start of the part in stream time. Earlier packets are left out, unless it is 0.
    pub start: gst::ClockTime,
    /// End of the part; packets from then on are left out.
    pub stop: Option<gst::ClockTime>,
    /// Offset added to every timestamp so that none is negative, nanoseconds.
    pub shift: i128,
}

/// The stream time of a timestamp, nanoseconds. Unlike `to_stream_time`, it also works before the segment: a demuxer
/// starts its segment with the video, and sound may start earlier.
pub fn position(segment: Option<&TimeSegment>, time: Option<gst::ClockTime>) -> Option<i128> {
    let (segment, time) = (segment?, nanoseconds(time?));
    let of = |time: Option<gst::ClockTime>| nanoseconds(time.unwrap_or_default());
    Some(time - of(segment.start()) + of(segment.time()))
}

pub fn nanoseconds(time: gst::ClockTime) -> i128 {
    time.nseconds().into()
}

/// A position as a time; `None` if it is negative.
pub fn time_at(position: i128) -> Option<gst::ClockTime> {
    u64::try_from(position).ok().map(gst::ClockTime::from_nseconds)
}

impl Window {
    /// How much of the output lies before the start of the input.
    pub fn lead(&self) -> gst::ClockTime {
        time_at(self.shift).unwrap_or_default()
    }
}

/// Puts the data at `pad` on a clock that starts with `window`, and drops data outside of it.
pub fn place(pad: &gst::Pad, window: Window) {
    let state = Mutex::new(Placed { window, segment: None, last: None, duration: None });
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |pad, info| {
        let mut state = lock(&state);
        let is_kept = match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => state.event(pad, event),
            Some(gst::PadProbeData::Buffer(buffer)) => state.buffer(pad, buffer),
            _ => true,
        };
        if is_kept { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
    });
}

/// The state of a track that is placed in a window.
struct Placed {
    window: Window,
    segment: Option<TimeSegment>,
    /// The stream time of the last buffer, and the duration of the one before it.
    last: Option<i128>,
    duration: Option<gst::ClockTime>,
}

impl Placed {
    /// A stream time on the clock of the window; `None` if it would be negative.
    fn moved(&self, time: i128) -> Option<gst::ClockTime> {
        time_at(time - nanoseconds(self.window.start) + self.window.shift)
    }

    /// Places an event; returns whether it is kept.
    fn event(&mut self, pad: &gst::Pad, event: &mut gst::Event) -> bool {
        match event.view() {
            gst::EventView::Segment(new) => {
                self.segment = new.segment().downcast_ref().cloned();
                *event = gst::event::Segment::new(&TimeSegment::new());
            }
            // The muxer gets the chapters of the window.
            gst::EventView::Toc(_) => return false,
            // Otherwise `audiorate` would add silence until the end of late subtitles.
            gst::EventView::Gap(_) if is_audio(pad) => return false,
            gst::EventView::Gap(gap) => {
                // `tsdemux` of GStreamer 1.22 sends some before its segment.
                let (time, length) = gap.get();
                let time = position(self.segment.as_ref(), Some(time));
                let Some(time) = time.and_then(|time| self.moved(time)) else { return false };
                *event = gst::event::Gap::builder(time).duration(length).build();
            }
            _ => {}
        }
        true
    }

    /// Places a buffer; returns whether it is kept.
    fn buffer(&mut self, pad: &gst::Pad, buffer: &mut gst::Buffer) -> bool {
        // The muxer takes them from the caps.
        if is_opus_header(buffer) {
            return false;
        }
        let mut pts = position(self.segment.as_ref(), buffer.pts());
        let dts = position(self.segment.as_ref(), buffer.dts());
        let stop = self.window.stop.map(nanoseconds);
        if let (Some(time), Some(duration)) = (&mut pts, buffer.duration())
            && is_subtitle(pad)
        {
            let end = *time + nanoseconds(duration);
            let end = stop.map_or(end, |stop| stop.min(end));
            let begin = nanoseconds(self.window.start);
            // Also a text that the part begins with.
            if begin > 0 && end > begin {
                *time = begin.max(*time);
            }
            buffer.make_mut().set_duration(time_at(end - *time).unwrap_or_default());
        }
        let placed = pts.map(|pts| self.moved(pts).filter(|_| stop.is_none_or(|stop| pts < stop)));
        if placed == Some(None) {
            return false;
        }
        let buffer = buffer.make_mut();
        buffer.set_pts(placed.flatten());
        buffer.set_dts(dts.and_then(|dts| self.moved(dts)));
        // Matroska packets may have no duration, and MP4 hides a last packet of duration 0.
        let since = pts.zip(self.last).and_then(|(pts, last)| time_at(pts - last));
        self.last = pts.or(self.last);
        self.duration = since.or(self.duration);
        if buffer.duration().is_none() && is_audio(pad) {
            buffer.set_duration(self.duration);
        }
        true
    }
}

/// Whether this is a header of Opus in Ogg (RFC 7845, section 5).
fn is_opus_header(buffer: &gst::BufferRef) -> bool {
    head::<8>(buffer).is_some_and(|magic| [b"OpusHead", b"OpusTags"].contains(&&magic))
}

fn is_audio(pad: &gst::Pad) -> bool {
    pad.current_caps().is_some_and(|caps| media_type(&caps).starts_with("audio/"))
}

fn is_subtitle(pad: &gst::Pad) -> bool {
    pad.current_caps().is_some_and(|caps| is_subtitles(media_type(&caps)))
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
        // That of a frame rate of 1.
        fields.set_duration(second);
        let start = 30 * second;
        let shown = begun(slide.clone(), start, Some(50 * second));
        assert_eq!((shown.pts(), shown.duration()), (Some(start), Some(20 * second)));
        assert_eq!(begun(slide, start, None).duration(), None);
    }
}
