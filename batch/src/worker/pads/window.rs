// SPDX-License-Identifier: MIT OR Apache-2.0

//! The part of the other tracks that belongs to the output, and its clock.

use std::sync::Mutex;

use gst::prelude::*;

use super::{probes::TimeSegment, tally::head};
use crate::{
    lock::lock,
    worker::elements::caps::{is_subtitles, media_type},
};

/// The part of the other tracks that goes into the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Start of the part in stream time. Earlier packets are left out, unless it is 0.
    pub start: gst::ClockTime,
    /// End of the part; packets from then on are left out.
    pub stop: Option<gst::ClockTime>,
    /// Offset added to every timestamp so that none is negative, nanoseconds.
    pub shift: i128,
    /// How much of the output lies before the start of the input; MP4 and QuickTime hide it. The times of a stream start at
    /// any time, so nothing of it does.
    pub lead: gst::ClockTime,
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

/// Puts the data at `pad` on a clock that starts with `window`, and drops data outside of it.
pub fn place(pad: &gst::Pad, window: Window) {
    let state = Mutex::new(WindowClock { window, segment: None, last: None, duration: None });
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
struct WindowClock {
    window: Window,
    segment: Option<TimeSegment>,
    /// The stream time of the last buffer, and the duration of the one before it.
    last: Option<i128>,
    duration: Option<gst::ClockTime>,
}

impl WindowClock {
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
            // This includes a subtitle that is already shown when the part begins.
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
