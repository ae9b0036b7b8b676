// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frames of a segment, picked out of what the decoder gives.
//!
//! A seek lands on a key frame at or before the segment. The frames are picked by their stream time
//! after the decoder, which gives them in the order in which they are shown, so that every frame is in
//! one segment and none in two, wherever in the file the encoder put it. A frame without a time follows the
//! one before it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use gst::prelude::*;

use super::{
    caps::field,
    probes::{TimeSegment, on_buffers, on_segments},
    tally::{Tally, segment_at},
};
use crate::{lock::lock, protocol::Span};

/// Default duration of a frame, as in ffmpeg.
const DEFAULT_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// Lets only the frames of `span`, and those before it that lead in, through the sink pad `pad`, with
/// their stream time as timestamp: so all segments have the same clock. Counts in `untimed` those that have no
/// time of their own.
pub fn cut(pad: &gst::Pad, span: &Span, untimed: Arc<AtomicU64>) {
    let segment = Arc::new(Mutex::new(None::<TimeSegment>));
    let current = segment.clone();
    on_segments(pad, move |new| {
        *lock(&current) = Some(new.clone());
        Some(TimeSegment::new())
    });
    // Where the last frame ends.
    let end = AtomicU64::new(0);
    let (lead, stop) = (span.lead, span.stop);
    on_buffers(pad, move |pad, buffer| {
        let time = match buffer.pts() {
            Some(pts) => lock(&segment).as_ref().and_then(|segment| segment.to_stream_time(pts)),
            None => {
                untimed.fetch_add(1, Ordering::Relaxed);
                Some(gst::ClockTime::from_nseconds(end.load(Ordering::Relaxed)))
            }
        };
        let Some(time) = time else { return false };
        let duration = buffer.duration().unwrap_or_else(|| frame_duration(pad));
        end.store((time + duration).nseconds(), Ordering::Relaxed);
        if stop.is_some_and(|stop| time.nseconds() >= stop) {
            // The pad refuses all that comes later, which stops the decoder.
            pad.send_event(gst::event::Eos::new());
            return false;
        }
        buffer.make_mut().set_pts(time);
        time.nseconds() >= lead
    });
}

/// How long a frame lasts by the caps of `pad`; if they do not say, 1/25 s.
fn frame_duration(pad: &gst::Pad) -> gst::ClockTime {
    let rate = pad.current_caps().and_then(|caps| {
        let rate = field::<gst::Fraction>(&caps, "framerate")?;
        let numerator = u64::try_from(rate.numer()).ok().filter(|&numerator| numerator > 0)?;
        gst::ClockTime::SECOND.mul_div_round(rate.denom() as u64, numerator)
    });
    rate.unwrap_or(DEFAULT_DURATION)
}

/// The time that is time 0 in the file of a segment: whole milliseconds, so that times rounded to milliseconds are
/// the same as without cutting.
pub fn origin(span: &Span) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(span.start / 1_000_000)
}

/// Counts the frames that leave the filter by `pad` and lie in `span`, on the clock of its file; those that only
/// lead in end here.
pub fn count(pad: &gst::Pad, span: &Span, frames: Tally) {
    let (start, origin) = (gst::ClockTime::from_nseconds(span.start), origin(span));
    on_buffers(pad, move |_, buffer| {
        let Some(time) = buffer.pts().filter(|time| *time >= start) else { return false };
        let time = time - origin;
        frames.add(Some(time), buffer.duration());
        buffer.make_mut().set_pts(time);
        true
    });
}

/// When a frame of the video is shown, of which an encoded one may only say when it is decoded: the frames of an AVI
/// have the same times in either order.
pub fn slot(encoded: &gst::BufferRef) -> Option<gst::ClockTime> {
    encoded.pts().or(encoded.dts())
}

/// Counts the packets at `pad` whose stream time lies in `span`, but for those of VP8 that are not shown.
pub fn count_within(pad: &gst::Pad, span: &Span, packets: Tally) {
    let range = span.start..span.stop.unwrap_or(u64::MAX);
    on_buffers(pad, move |pad, buffer| {
        let time = segment_at(pad).and_then(|segment| segment.to_stream_time(slot(buffer)?));
        // Samples that an edit list leaves out have a timestamp but no stream time.
        let is_outside = match time {
            Some(time) => !range.contains(&time.nseconds()),
            None => slot(buffer).is_some(),
        };
        if !is_outside && !is_hidden(pad, buffer) {
            packets.add(time, buffer.duration());
        }
        true
    });
}

/// The first bytes of a buffer, if it has as many.
fn head<const N: usize>(buffer: &gst::BufferRef) -> Option<[u8; N]> {
    let mut head = [0; N];
    (buffer.size() >= N && buffer.copy_to_slice(0, &mut head).is_ok()).then_some(head)
}

/// Whether this is a VP8 frame that is only a reference (RFC 6386, section 9.1: `show_frame`), or a Theora
/// header (Theora specification, section 6.1).
pub fn is_hidden(pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let Some(first) = head::<1>(buffer) else { return false };
    let caps = pad.current_caps();
    match caps.as_ref().map(super::caps::media_type) {
        Some("video/x-vp8") => first[0] & 0x10 == 0,
        Some("video/x-theora") => first[0] & 0x80 != 0,
        _ => false,
    }
}

/// What of the other tracks goes along with the video.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// What begins before this stream time, in nanoseconds, is left out, if that is not 0.
    pub start: u64,
    /// What begins at it or later is left out.
    pub stop: Option<u64>,
    /// Offset added to every timestamp, nanoseconds, so that none lies before 0.
    pub shift: i128,
}

/// Where a timestamp lies in its stream, in nanoseconds: unlike `to_stream_time` also before the segment.
/// A demuxer begins its segment with the video, and sound may begin before that.
pub fn position(segment: Option<&TimeSegment>, time: Option<gst::ClockTime>) -> Option<i128> {
    let (segment, time) = (segment?, i128::from(time?.nseconds()));
    let of = |time: Option<gst::ClockTime>| i128::from(time.unwrap_or_default().nseconds());
    Some(time - of(segment.start()) + of(segment.time()))
}

/// Puts what passes `pad` on a clock that begins with `window`, and drops what lies outside.
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

/// A track that is placed in a window.
struct Placed {
    window: Window,
    segment: Option<TimeSegment>,
    /// The timestamp of the last buffer, on its own clock, and how long the one before it lasted.
    last: Option<i128>,
    duration: Option<gst::ClockTime>,
}

impl Placed {
    /// A time on the clock of the window; `None` before its beginning.
    fn moved(&self, time: i128) -> Option<gst::ClockTime> {
        let time = time - i128::from(self.window.start) + self.window.shift;
        u64::try_from(time).ok().map(gst::ClockTime::from_nseconds)
    }

    /// Places an event; returns whether it is kept.
    fn event(&mut self, pad: &gst::Pad, event: &mut gst::Event) -> bool {
        match event.view() {
            gst::EventView::Segment(new) => {
                self.segment = new.segment().downcast_ref().cloned();
                *event = gst::event::Segment::new(&TimeSegment::new());
            }
            // The muxer has the chapters of the window.
            gst::EventView::Toc(_) => return false,
            // Otherwise `audiorate` would fill the time until a late end of the subtitles with silence.
            gst::EventView::Gap(_) if is_audio(pad) => return false,
            gst::EventView::Gap(gap) => {
                // `tsdemux` of GStreamer 1.22 gives some before its segment.
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
        // The muxer has them from the caps.
        if is_opus_header(buffer) {
            return false;
        }
        let pts = position(self.segment.as_ref(), buffer.pts());
        let dts = position(self.segment.as_ref(), buffer.dts());
        let stop = self.window.stop.map(i128::from);
        let placed = pts.map(|pts| self.moved(pts).filter(|_| stop.is_none_or(|stop| pts < stop)));
        if placed == Some(None) {
            return false;
        }
        let buffer = buffer.make_mut();
        buffer.set_pts(placed.flatten());
        buffer.set_dts(dts.and_then(|dts| self.moved(dts)));
        // Packets of Matroska may have no duration, and MP4 hides the last one if it lasts 0.
        let since = pts.zip(self.last).and_then(|(pts, last)| u64::try_from(pts - last).ok());
        self.last = pts.or(self.last);
        self.duration = since.map(gst::ClockTime::from_nseconds).or(self.duration);
        if buffer.duration().is_none() && is_audio(pad) {
            buffer.set_duration(self.duration);
        }
        true
    }
}

/// Whether this is one of the headers with which Opus begins in Ogg (RFC 7845, section 5).
fn is_opus_header(buffer: &gst::BufferRef) -> bool {
    head::<8>(buffer).is_some_and(|magic| [b"OpusHead", b"OpusTags"].contains(&&magic))
}

fn is_audio(pad: &gst::Pad) -> bool {
    pad.current_caps().is_some_and(|caps| super::caps::media_type(&caps).starts_with("audio/"))
}
