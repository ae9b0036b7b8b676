// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a frame is already late when it arrives.

use gst::{ClockTime, ClockTimeDiff};

/// How late a frame may be; video sinks still show it.
const TOLERANCE: ClockTime = ClockTime::from_mseconds(5);

/// What is known about deadlines. All times are running times.
#[derive(Debug, Default, Clone, Copy)]
pub struct Deadlines {
    /// Whether upstream is live, from the last LATENCY query.
    is_live: bool,
    /// The latency of the whole pipeline, from the last LATENCY event.
    pipeline_latency: Option<ClockTime>,
    /// Frames before this time are late at the sink, from the last QOS event.
    earliest: Option<ClockTime>,
}

impl Deadlines {
    /// Sets whether upstream is live.
    pub fn set_live(&mut self, is_live: bool) {
        self.is_live = is_live;
    }

    /// The latency of the whole pipeline, if known.
    pub fn pipeline_latency(&self) -> Option<ClockTime> {
        self.pipeline_latency
    }

    /// Whether upstream is live.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Sets the latency of the whole pipeline.
    pub fn set_pipeline_latency(&mut self, latency: ClockTime) {
        self.pipeline_latency = Some(latency);
    }

    /// Handles a QOS event as GstBaseTransform does: the frame at `timestamp` was late by `jitter`.
    /// In a THROTTLE event, `jitter` is how long no frame is wanted.
    pub fn set_qos(&mut self, timestamp: Option<ClockTime>, jitter: ClockTimeDiff) {
        self.earliest = timestamp.map(|timestamp| match u64::try_from(jitter) {
            Ok(jitter) => timestamp + ClockTime::from_nseconds(jitter),
            Err(_) => timestamp.saturating_sub(ClockTime::from_nseconds(jitter.unsigned_abs())),
        });
    }

    /// Discards the last QOS event, after a flush or a new segment.
    pub fn reset(&mut self) {
        self.earliest = None;
    }

    /// Whether the frame at `time` is late: by the last QOS event, or because upstream is live and
    /// a frame that takes `expected` from `now` on would miss its deadline at the sink.
    pub fn is_late(
        &self,
        time: Option<ClockTime>,
        now: Option<ClockTime>,
        expected: ClockTime,
    ) -> bool {
        let Some(time) = time else { return false };
        if self.earliest.is_some_and(|earliest| time < earliest) {
            return true;
        }
        match (now, self.pipeline_latency) {
            (Some(now), Some(latency)) => {
                self.is_live && now + expected > time + latency + TOLERANCE
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: ClockTime = ClockTime::MSECOND;

    fn live() -> Deadlines {
        let mut deadlines = Deadlines::default();
        deadlines.set_live(true);
        deadlines.set_pipeline_latency(80 * MS);
        deadlines
    }

    #[test]
    fn a_live_frame_is_late_when_it_cannot_reach_the_sink_in_time() {
        assert!(!live().is_late(Some(ClockTime::ZERO), Some(10 * MS), 75 * MS));
        assert!(live().is_late(Some(ClockTime::ZERO), Some(11 * MS), 75 * MS));
    }

    #[test]
    fn without_a_live_source_only_the_sink_can_tell() {
        let mut deadlines = live();
        deadlines.set_live(false);
        assert!(!deadlines.is_late(Some(ClockTime::ZERO), Some(1000 * MS), 75 * MS));
        deadlines.set_qos(Some(40 * MS), 10_000_000);
        assert!(deadlines.is_late(Some(49 * MS), None, 75 * MS));
        assert!(!deadlines.is_late(Some(50 * MS), None, 75 * MS));
        deadlines.reset();
        assert!(!deadlines.is_late(Some(49 * MS), None, 75 * MS));
    }

    #[test]
    fn frames_without_a_time_are_never_late() {
        assert!(!live().is_late(None, Some(1000 * MS), 75 * MS));
    }
}
