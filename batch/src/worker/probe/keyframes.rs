// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cuts long videos at key frames.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::{
    lock::lock,
    protocol::Span,
    worker::{
        containers::h264::is_without_idr,
        pads::{
            clip::{shown_from, slot},
            probes::on_buffers,
            tally::{is_hidden, segment_at},
        },
    },
};

/// An encoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// Stream time.
    pub time: gst::ClockTime,
    pub is_key: bool,
    /// Whether its GOP is closed, so that decoding can start here: no frame shown earlier is decoded later. Decoders
    /// lose or damage such frames (ISO/IEC 23008-2: RASL pictures), and some the key frame too. gst-libav 1.24 and
    /// later also loses a key frame of H.264 that is not an IDR picture.
    pub is_closed: bool,
}

pub fn collect(video: &gst::Pad, frames: Arc<Mutex<Vec<Option<Frame>>>>) {
    on_buffers(video, move |pad, buffer| {
        let frame = segment_at(pad).zip(slot(buffer)).map(|(segment, _)| {
            // The decoder drops frames outside of the segment.
            let time = shown_from(&segment, buffer);
            let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let is_open = pad.current_caps().is_some_and(|caps| is_without_idr(buffer, &caps));
            time.map(|time| Frame { time, is_key, is_closed: is_key && !is_open })
        });
        let mut frames = lock(&frames);
        match frame {
            Some(None) => {}
            _ if is_hidden(pad, buffer) => {}
            shown => frames.push(shown.flatten()),
        }
        true
    });
}

/// Sorts `frames` from decoding order to display order, and determines which GOPs are closed.
pub fn sort(frames: &mut [Frame]) {
    let mut earliest = gst::ClockTime::MAX;
    for frame in frames.iter_mut().rev() {
        frame.is_closed &= frame.time < earliest;
        earliest = earliest.min(frame.time);
    }
    frames.sort();
}

/// The time of the key frame at which decoding must start for the frame with the index `at`: a closed one, or else
/// the second one before it. Decoders may lose an open one and with it all of its GOP, and the next GOP then begins with lost frames.
fn decoding_start(frames: &[Frame], at: usize) -> gst::ClockTime {
    let keys = frames[..=at].iter().rev().filter(|frame| frame.is_key).take(3);
    let keys: Vec<&Frame> = keys.collect();
    let closed = keys.iter().find(|key| key.is_closed);
    closed.or(keys.get(2)).map(|key| key.time).unwrap_or_default()
}

/// The segments of `frames` from the index `first` on. Each is about `length` long, starts with a key frame and has a
/// lead-in of `lead` frames. One segment if `length` is 0.
pub fn spans(frames: &[Frame], first: usize, length: gst::ClockTime, lead: usize) -> Vec<Span> {
    let Some(last) = frames.last() else { return Vec::new() };
    let mut starts = vec![first];
    for (i, frame) in frames.iter().enumerate().skip(first + 1) {
        let begun = starts.last().map(|&start: &usize| frames[start].time).unwrap_or_default();
        let is_worth_it = !length.is_zero()
            && frame.time - begun >= length
            && last.time - frame.time >= length / 2;
        // Otherwise frames with the same time would be in this segment and in the previous one.
        if frame.is_key && is_worth_it && frames[i - 1].time < frame.time {
            starts.push(i);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([frames.len()]);
    let span = |(&start, end): (&usize, usize)| {
        let lead = if start == first { start } else { start.saturating_sub(lead) };
        Span {
            lead: frames[lead].time,
            start: frames[start].time,
            stop: frames.get(end).map(|frame| frame.time),
            frames: Some((end - start) as u64),
            seek: Some(decoding_start(frames, lead)),
        }
    };
    starts.iter().zip(ends).map(span).collect()
}

/// The number of frames after which at most half a grey level of earlier frames remains, if each frame keeps the share
/// `smoothing` of the previous residual.
pub fn lead_in(smoothing: f64) -> usize {
    /// Ten seconds: close to 1, earlier frames never fade.
    const MAX_FRAMES: f64 = 250.0;
    if smoothing <= 0.0 {
        return 0;
    }
    ((0.5f64 / 255.0).ln() / smoothing.min(0.999).ln()).ceil().min(MAX_FRAMES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: gst::ClockTime = gst::ClockTime::SECOND;

    /// Ten minutes at 25 frames a second, a key frame every 50.
    fn frames() -> Vec<Frame> {
        (0..15_000)
            .map(|i| Frame { time: SECOND * i / 25, is_key: i % 50 == 0, is_closed: i % 50 == 0 })
            .collect()
    }

    #[test]
    fn every_frame_is_in_one_segment() {
        let frames = frames();
        for length in [7, 60, 150, 299].map(gst::ClockTime::from_seconds) {
            let spans = spans(&frames, 0, length, 5);
            assert!(spans.len() > 1);
            assert_eq!(spans.iter().filter_map(|span| span.frames).sum::<u64>(), 15_000);
            assert_eq!(spans.last().unwrap().stop, None);
            for (span, next) in spans.iter().zip(&spans[1..]) {
                assert_eq!(span.stop, Some(next.start));
                assert!(next.start - span.start >= length && next.lead < next.start);
                assert!(frames.iter().any(|frame| frame.is_key && frame.time == next.start));
            }
        }
    }

    #[test]
    fn a_video_without_key_frames_is_one_segment() {
        let mut frames = frames();
        frames.iter_mut().skip(1).for_each(|frame| frame.is_key = false);
        assert_eq!(spans(&frames, 0, SECOND, 0).len(), 1);
        assert!(spans(&[], 0, SECOND, 0).is_empty());
    }

    #[test]
    fn decoding_starts_two_key_frames_earlier_where_all_are_open() {
        let frame = |time| Frame {
            time: gst::ClockTime::from_nseconds(time),
            is_key: time % 10 == 0,
            is_closed: time == 0,
        };
        let frames: Vec<_> = (0..60).map(frame).collect();
        let seek = |first| spans(&frames, first, gst::ClockTime::ZERO, 0)[0].seek.unwrap();
        let expected = [0, 0, 0, 10, 30].map(gst::ClockTime::from_nseconds);
        assert_eq!([0, 10, 20, 30, 55].map(seek), expected);
    }

    #[test]
    fn decoding_starts_a_key_frame_earlier_where_frames_lead() {
        // The second key frame is decoded before the frames that are shown before it.
        let decoded = [(0, true), (2, false), (1, false), (5, true), (3, false), (4, false)];
        let nanoseconds = gst::ClockTime::from_nseconds;
        let frame = |(time, is_key)| Frame { time: nanoseconds(time), is_key, is_closed: is_key };
        let mut frames = decoded.map(frame);
        sort(&mut frames);
        let seek = |frames: &[Frame], at| spans(frames, at, gst::ClockTime::ZERO, 0)[0].seek;
        assert!(frames.iter().map(|frame| frame.time).eq((0..6).map(nanoseconds)));
        assert_eq!(seek(&frames, 5), Some(nanoseconds(0)));
        frames[5].is_closed = true;
        assert_eq!(seek(&frames, 5), Some(nanoseconds(5)));
        assert_eq!(seek(&frames, 4), Some(nanoseconds(0)));
    }

    #[test]
    fn smoothing_needs_a_past() {
        assert_eq!(lead_in(0.0), 0);
        assert_eq!(lead_in(0.5), 9);
        assert_eq!(lead_in(1.0), 250);
    }
}
