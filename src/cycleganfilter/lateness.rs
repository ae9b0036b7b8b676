// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a frame is already late when it arrives.

use gst::{ClockTime, ClockTimeDiff};

/// How late a frame may be; video sinks still show it.
const TOLERANCE: ClockTime = ClockTime::from_mseconds(5);
/// What sinks add to the latency for elements that report none, see `processing-deadline` of
/// GstBaseSink.
const UNREPORTED: ClockTime = ClockTime::from_mseconds(20);

/// What is known about deadlines. All times are running times.
#[derive(Debug, Default, Clone, Copy)]
pub struct Deadlines {
    /// Whether upstream is live, from the last LATENCY query.
    is_live: bool,
    /// The latency up to the filter's output, as it answered the last LATENCY query.
    answered: Option<ClockTime>,
    /// The latency of the whole pipeline, from the last LATENCY event.
    pipeline_latency: Option<ClockTime>,
    /// Frames before this time are late at the sink, from the last QOS event.
    earliest: Option<ClockTime>,
}

impl Deadlines {
    /// Handles a LATENCY query: whether upstream is live, and the answer for the filter's output. That
    /// is `None` while the filter does not know its own latency.
    pub fn set_answer(&mut self, is_live: bool, answered: Option<ClockTime>) {
        self.is_live = is_live;
        self.answered = answered.or(self.answered);
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

    /// How long after its time a frame must be ready.
    ///
    /// The latency of the whole pipeline is 0 if no sink waits for a frame's time, and includes that of
    /// later elements. So it is limited to what the filter asked for plus what sinks may add.
    fn budget(&self) -> Option<ClockTime> {
        match (self.answered, self.pipeline_latency) {
            (Some(answered), Some(latency)) => Some(latency.clamp(answered, answered + UNREPORTED)),
            (None, latency) => latency.filter(|latency| !latency.is_zero()),
            (answered, None) => answered,
        }
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
    /// a frame that takes `expected` from `now` on would miss its deadline. If the application does not
    /// distribute a new latency, sinks expect frames earlier, and only their QOS events show that one is late.
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
        match (now, self.budget()) {
            (Some(now), Some(budget)) => self.is_live && now + expected > time + budget + TOLERANCE,
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
        deadlines.set_answer(true, None);
        deadlines.set_pipeline_latency(80 * MS);
        deadlines
    }

    /// How late a frame that takes 50 ms may arrive after its time, in ms.
    fn slack(answered: Option<u64>, latency: Option<u64>) -> Option<u64> {
        let mut deadlines = Deadlines::default();
        deadlines.set_answer(true, answered.map(ClockTime::from_mseconds));
        if let Some(latency) = latency {
            deadlines.set_pipeline_latency(latency * MS);
        }
        let is_late =
            |now: &u64| deadlines.is_late(Some(ClockTime::ZERO), Some(*now * MS), 50 * MS);
        (0..10_000).find(is_late).map(|first| first - 1)
    }

    #[test]
    fn a_frame_has_as_long_as_the_filter_asked_for() {
        // The sink adds little or nothing.
        assert_eq!(slack(Some(80), Some(80)), Some(35));
        assert_eq!(slack(Some(80), Some(90)), Some(45));
        // Later elements add latency, or no sink waits.
        assert_eq!(slack(Some(80), Some(3000)), Some(55));
        assert_eq!(slack(Some(80), Some(0)), Some(35));
        assert_eq!(slack(Some(80), None), Some(35));
    }

    #[test]
    fn without_an_own_latency_that_of_the_pipeline_counts() {
        assert_eq!(slack(None, Some(80)), Some(35));
        assert_eq!(slack(None, Some(0)), None);
        assert_eq!(slack(None, None), None);
        // A query before negotiation does not discard what is known.
        let mut deadlines = Deadlines::default();
        deadlines.set_answer(true, Some(80 * MS));
        deadlines.set_answer(true, None);
        assert_eq!(deadlines.budget(), Some(80 * MS));
    }

    #[test]
    fn a_live_frame_is_late_when_it_cannot_reach_the_sink_in_time() {
        assert!(!live().is_late(Some(ClockTime::ZERO), Some(10 * MS), 75 * MS));
        assert!(live().is_late(Some(ClockTime::ZERO), Some(11 * MS), 75 * MS));
    }

    #[test]
    fn without_a_live_source_only_the_sink_can_tell() {
        let mut deadlines = live();
        deadlines.set_answer(false, None);
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
