// SPDX-License-Identifier: MIT OR Apache-2.0

//! Gaps between the frames or packets of a track, and packets that overlap. The demuxers of MPEG program streams, ASF and
//! Matroska skip damaged data silently, and some files have wrong timestamps.

use std::sync::{Arc, Mutex};

use super::probes::on_buffers;
use crate::lock::lock;

/// The shortest gap that counts: longer than two frames, or three packets of audio.
const SHORTEST_GAP: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// The shortest overlap of a track that counts.
const SHORTEST_OVERLAP: gst::ClockTime = gst::ClockTime::from_mseconds(300);
/// The shortest time for which a frame is shown.
const SHORTEST_FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(2);

#[derive(Debug, Default)]
struct State {
    last: Option<gst::ClockTime>,
    /// The stated duration of the last packet.
    before: Option<gst::ClockTime>,
    /// Duration of the last packet, measured if the file does not state it. Packets of TTA last a second.
    step: Option<gst::ClockTime>,
    count: u64,
    length: gst::ClockTime,
    /// How long packets last that overlap the one before.
    overlap: gst::ClockTime,
}

/// The gaps at a pad.
#[derive(Clone, Debug, Default)]
pub struct Gaps(Arc<Mutex<State>>);

impl Gaps {
    /// Watches the packets of audio that pass `pad`, in the order of their times.
    pub fn watch(&self, pad: &gst::Pad) {
        self.watch_with(pad, half);
    }

    /// Watches the frames of video that pass `pad`. Decoders invent durations, so only frames at the same time overlap.
    pub fn watch_frames(&self, pad: &gst::Pad) {
        self.watch_with(pad, |_| SHORTEST_FRAME);
    }

    /// Two packets overlap if the second comes less than `least` of the shorter duration after the first.
    fn watch_with(&self, pad: &gst::Pad, least: fn(gst::ClockTime) -> gst::ClockTime) {
        let gaps = self.clone();
        on_buffers(pad, move |_, buffer| {
            if let Some(time) = buffer.pts() {
                lock(&gaps.0).add(time, buffer.duration(), least);
            }
            true
        });
    }

    pub fn notice(&self, what: &str) -> Option<String> {
        let State { count, length, overlap, .. } = *lock(&self.0);
        let seconds = length.seconds_f64();
        match count {
            _ if overlap >= SHORTEST_OVERLAP => Some(format!(
                "{what} has wrong timestamps: {:.1} s of it overlaps earlier data and may be lost",
                overlap.seconds_f64()
            )),
            0 => None,
            1 => Some(format!("{what} has a gap of {seconds:.1} s")),
            _ => Some(format!("{what} has {count} gaps, {seconds:.1} s in total")),
        }
    }
}

fn half(duration: gst::ClockTime) -> gst::ClockTime {
    duration / 2
}

impl State {
    fn add(
        &mut self,
        time: gst::ClockTime,
        duration: Option<gst::ClockTime>,
        least: fn(gst::ClockTime) -> gst::ClockTime,
    ) {
        if let Some(last) = self.last {
            let since = time.saturating_sub(last);
            // Demuxers output chunks of any length, and some state one that is too long.
            if let Some((duration, before)) = duration.zip(self.before)
                && since < least(duration.min(before))
            {
                self.overlap += duration;
            }
            let gap = since.saturating_sub(self.step.unwrap_or(since));
            if gap >= SHORTEST_GAP {
                self.count += 1;
                self.length += gap;
            } else if duration.is_none() {
                self.step = Some(since);
            }
        }
        self.step = duration.or(self.step);
        (self.last, self.before) = (Some(time), duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(packets: &[(u64, Option<u64>)]) -> Option<String> {
        let gaps = Gaps::default();
        for (time, duration) in packets {
            let duration = duration.map(gst::ClockTime::from_mseconds);
            lock(&gaps.0).add(gst::ClockTime::from_mseconds(*time), duration, half);
        }
        gaps.notice("it")
    }

    #[test]
    fn gaps_are_counted() {
        let with_durations = [(0, Some(40)), (40, Some(40)), (580, Some(40)), (620, Some(40))];
        assert_eq!(notice(&with_durations).unwrap(), "it has a gap of 0.5 s");
        // A long packet or a step back is not a gap, and one frame may be missing.
        assert_eq!(notice(&[(0, Some(500)), (500, Some(40)), (100, Some(40)), (180, None)]), None);
        assert_eq!(notice(&[(0, None), (1045, None), (2090, None)]), None);
        let overlapping: Vec<_> = (0..12).map(|_| (0, Some(40))).collect();
        let said = notice(&overlapping).unwrap();
        assert!(said.contains("0.4 s of it overlaps earlier data"), "{said}");
        // Chunks of any length.
        let chunks: Vec<_> = (0..9).flat_map(|i| [(i * 140, 20), (i * 140 + 20, 120)]).collect();
        let chunks: Vec<_> = chunks.into_iter().map(|(at, length)| (at, Some(length))).collect();
        assert_eq!(notice(&chunks), None);
        let without_durations =
            [(0, None), (90, None), (180, None), (700, None), (790, None), (1310, None)];
        assert_eq!(notice(&without_durations).unwrap(), "it has 2 gaps, 0.9 s in total");
    }
}
