// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cuts long videos at key frames.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::{clip::slot, protocol::Span, tally::segment_at};
use crate::lock::lock;

/// An encoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// Its stream time in nanoseconds.
    pub time: u64,
    /// Whether it is a key frame.
    pub is_key: bool,
}

/// Collects the frames that pass `video`.
pub fn collect(video: &gst::Pad, frames: Arc<Mutex<Vec<Option<Frame>>>>) {
    video.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let frame = segment_at(pad).zip(info.buffer()).and_then(|(segment, buffer)| {
            // The decoder drops what lies outside the segment.
            let time = segment.to_stream_time(slot(buffer)?).map(gst::ClockTime::nseconds);
            let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            Some(time.map(|time| Frame { time, is_key }))
        });
        let mut frames = lock(&frames);
        match frame {
            Some(None) => {}
            shown => frames.push(shown.flatten()),
        }
        gst::PadProbeReturn::Ok
    });
}

/// Segments of about `length` nanoseconds that start with key frames, each with `lead` frames before it; one segment if `length` is 0.
pub fn spans(frames: &[Frame], length: u64, lead: usize) -> Vec<Span> {
    let Some(last) = frames.last() else { return Vec::new() };
    let mut starts = vec![0];
    for (i, frame) in frames.iter().enumerate().skip(1) {
        let begun = starts.last().map_or(0, |&start: &usize| frames[start].time);
        let is_worth_it =
            length > 0 && frame.time - begun >= length && last.time - frame.time >= length / 2;
        // Two frames with the same time would be in this segment and the previous one.
        if frame.is_key && is_worth_it && frames[i - 1].time < frame.time {
            starts.push(i);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([frames.len()]);
    let span = |(&start, end): (&usize, usize)| Span {
        lead: if start == 0 { 0 } else { frames[start.saturating_sub(lead)].time },
        start: if start == 0 { 0 } else { frames[start].time },
        stop: frames.get(end).map(|frame| frame.time),
        frames: Some((end - start) as u64),
        may_seek: true,
        first: None,
    };
    starts.iter().zip(ends).map(span).collect()
}

/// The number of frames after which at most half a grey level of earlier frames is left, if each frame
/// takes the share `smoothing` of the previous residual.
pub fn lead_in(smoothing: f64) -> usize {
    /// At most ten seconds: near 1 the past never fades.
    const MOST: f64 = 250.0;
    if smoothing <= 0.0 {
        return 0;
    }
    ((0.5f64 / 255.0).ln() / smoothing.min(0.999).ln()).ceil().min(MOST) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Ten minutes at 25 frames a second, a key frame every 50.
    fn frames() -> Vec<Frame> {
        (0..15_000).map(|i| Frame { time: i * SECOND / 25, is_key: i % 50 == 0 }).collect()
    }

    #[test]
    fn every_frame_is_in_one_segment() {
        let frames = frames();
        for length in [7 * SECOND, 60 * SECOND, 150 * SECOND, 299 * SECOND] {
            let spans = spans(&frames, length, 5);
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
        assert_eq!(spans(&frames, SECOND, 0).len(), 1);
        assert!(spans(&[], SECOND, 0).is_empty());
    }

    #[test]
    fn smoothing_needs_a_past() {
        assert_eq!(lead_in(0.0), 0);
        assert_eq!(lead_in(0.5), 9);
        assert_eq!(lead_in(1.0), 250);
    }
}
