// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens to each frame, and what is told of it: translation, late frames, latency, stats.

use std::time::{Duration, Instant};

use gst::{prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{
        base_transform::{GenerateOutputSuccess, InputBuffer, PrepareOutputBufferSuccess},
        prelude::*,
    },
};
use gst_video::VideoInfo;

use super::{CAT, CycleGanFilter};
use crate::cycleganfilter::{
    LateFrames, TranslateError,
    job::{Fate, Job, Outcome, Task},
    lock,
    stats::Times,
    translator::Restart,
};
use cyclegan_runtime::Pair;

impl CycleGanFilter {
    /// What is to become of the frame in `buffer`, which `is_late` already or comes into the
    /// generator after so many `ahead`; `None` if it is dropped.
    pub(super) fn fate(
        &self,
        buffer: &gst::BufferRef,
        is_late: bool,
        ahead: usize,
    ) -> Option<Fate> {
        let late_frames = lock(&self.settings).late_frames;
        if late_frames == LateFrames::Translate {
            return Some(Fate::Translate);
        }
        if !is_late && (!self.is_late(buffer, ahead) || lock(&self.stats).is_starved()) {
            return Some(Fate::Translate);
        }
        gst::trace!(CAT, imp = self, "a late frame: {late_frames:?}");
        match late_frames {
            LateFrames::Translate => Some(Fate::Translate),
            LateFrames::Pass => Some(Fate::Pass),
            LateFrames::Hold => Some(Fate::Hold),
            LateFrames::Drop => {
                self.count_dropped(buffer);
                None
            }
        }
    }

    /// Counts a dropped frame and posts a QOS message about it, as the base class does for those that
    /// it drops itself.
    fn count_dropped(&self, buffer: &gst::BufferRef) {
        let (done, dropped) = {
            let mut stats = lock(&self.stats);
            stats.frames_dropped += 1;
            (stats.frames_translated, stats.frames_dropped)
        };
        let segment = self.time_segment();
        let frames =
            |count| gst::GenericFormattedValue::from(gst::format::Buffers::from_u64(count));
        let message = gst::message::Qos::builder(lock(&self.deadlines).is_live())
            .running_time(
                segment.as_ref().and_then(|segment| segment.to_running_time(buffer.pts())),
            )
            .stream_time(segment.and_then(|segment| segment.to_stream_time(buffer.pts())))
            .timestamp(buffer.pts())
            .duration(buffer.duration())
            .stats(frames(done), frames(dropped))
            .src(&*self.obj())
            .build();
        let _ = self.obj().post_message(message);
    }

    /// Takes a frame through all stages, on this thread.
    pub(super) fn translate(
        &self,
        buffer: gst::Buffer,
    ) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let mut job = if self.obj().is_passthrough() {
            self.pass(buffer)
        } else {
            let Some(fate) = self.fate(&buffer, false, 0) else {
                return Ok(GenerateOutputSuccess::Dropped);
            };
            self.new_job(buffer, fate)?
        };
        job.prepare();
        job.infer();
        self.finish(&mut job)?;
        Ok(GenerateOutputSuccess::Buffer(job.into_buffer()))
    }

    /// A frame that goes out itself. The change of those before it is not for those after it.
    pub(super) fn pass(&self, buffer: gst::Buffer) -> Job {
        if let Some(state) = lock(&self.state).as_mut() {
            state.note(Restart::Everything);
        }
        Job::passing(buffer)
    }

    /// Everything that the stages need for the frame in `buffer`, as the properties are now.
    pub(super) fn new_job(&self, buffer: gst::Buffer, fate: Fate) -> Result<Job, gst::FlowError> {
        let arrived = Instant::now();
        let mut state = lock(&self.state);
        let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        self.swap(state);
        let settings = lock(&self.settings).per_frame();
        let pair = state.translators.pair.clone();
        let translator = state.translators.get(settings.direction.of_model());
        let translator = translator.map_err(|error| self.fail(&pair, &error))?.clone();
        let restart = state.take_restart(settings.direction);
        let output = match self.parent_prepare_output_buffer(InputBuffer::Readable(&buffer))? {
            PrepareOutputBufferSuccess::Buffer(output) => output,
            PrepareOutputBufferSuccess::InputBuffer => return Err(gst::FlowError::Error),
        };
        let task = Task { pair, translator, settings, fate, restart, output, arrived };
        Ok(Job::new(buffer, task))
    }

    /// Makes the output of the frame whose turn it is, and counts it.
    pub(super) fn finish(&self, job: &mut Job) -> Result<(), gst::FlowError> {
        let outcome = match job.finish() {
            Ok(outcome) => outcome,
            Err(error) => self.bear(job, &error)?,
        };
        match outcome {
            Outcome::Translated(times) => self.count_translated(job, times),
            Outcome::Held => lock(&self.stats).frames_held += 1,
            Outcome::Passed => lock(&self.stats).frames_passed += 1,
        }
        job.settle();
        self.post_stats();
        Ok(())
    }

    fn count_translated(&self, job: &Job, times: Times) {
        let Times { inference, work, total } = times;
        gst::trace!(
            CAT,
            imp = self,
            "translated in {total:?}, {work:?} of work, {inference:?} of inference"
        );
        *lock(&self.is_failing) = false;
        let has_moved = {
            let mut stats = lock(&self.stats);
            stats.translated(times);
            if let Some(task) = job.task() {
                stats.running.update(&task.pair, task.settings.direction, task.translator.size());
            }
            stats.update_latency()
        };
        if has_moved {
            self.post_latency();
        }
    }

    /// What becomes of a frame that a stage has failed on: in a live pipeline that passes late
    /// frames it passes as well, anywhere else the stream ends.
    fn bear(&self, job: &mut Job, error: &TranslateError) -> Result<Outcome, gst::FlowError> {
        let Some(task) = job.task() else { return Err(gst::FlowError::Error) };
        let is_borne = task.settings.late_frames == LateFrames::Pass;
        if !is_borne || !self.is_upstream_live() {
            return Err(self.fail(&task.pair, error));
        }
        let was_failing = std::mem::replace(&mut *lock(&self.is_failing), true);
        if !was_failing {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Failed,
                ("{}: {error}; the originals pass until it works again", task.pair.model())
            );
        }
        let pair = task.pair.clone();
        job.pass().map_err(|error| self.fail(&pair, &error))?;
        Ok(Outcome::Passed)
    }

    /// Asked anew: the first frame may come before anybody has asked for the latency.
    fn is_upstream_live(&self) -> bool {
        let mut upstream = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut upstream) && upstream.result().0
    }

    /// Posts the error that ends the stream.
    pub(super) fn fail(&self, pair: &Pair, error: &TranslateError) -> gst::FlowError {
        gst::element_imp_error!(self, gst::LibraryError::Failed, ("{}: {error}", pair.model()));
        gst::FlowError::Error
    }

    /// The segment, if it is one of times.
    pub(super) fn time_segment(&self) -> Option<gst::FormattedSegment<gst::ClockTime>> {
        self.obj().segment().downcast().ok()
    }

    /// Whether the frame in `buffer` would come too late at the sink.
    fn is_late(&self, buffer: &gst::BufferRef, ahead: usize) -> bool {
        let segment = self.time_segment();
        let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        let expected = lock(&self.stats).expected(ahead);
        let expected = gst::ClockTime::try_from(expected).unwrap_or(gst::ClockTime::ZERO);
        let deadlines = *lock(&self.deadlines);
        deadlines.is_late(time, self.obj().current_running_time(), expected)
    }

    pub(super) fn latency(&self) -> gst::ClockTime {
        let latency = lock(&self.stats).latency();
        gst::ClockTime::try_from(latency).unwrap_or(gst::ClockTime::ZERO)
    }

    /// The latency before the first frame, from how long the generator takes alone: frames that
    /// come in faster wait for all that may be in it before them.
    pub(super) fn first_latency(&self, alone: Duration, info: &VideoInfo) -> Duration {
        let (numer, denom) = (info.fps().numer().max(0) as u32, info.fps().denom().max(1) as u32);
        let keeps_up = alone * numer <= Duration::from_secs(denom.into());
        let in_flight = self.line().filter(|_| !keeps_up).map_or(1, |line| line.room() as u32);
        // As much more than that as later, when it is measured.
        (alone + alone / 20) * in_flight
    }

    pub(super) fn set_latency(&self, measured: Duration) {
        let has_moved = lock(&self.stats).set_latency(measured);
        if has_moved {
            self.post_latency();
        }
    }

    fn post_latency(&self) {
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        let _ = self.obj().post_message(message);
    }

    /// Posts `stats` if it is time to.
    fn post_stats(&self) {
        let interval = lock(&self.settings).stats_interval();
        let due = lock(&self.stats).due(interval);
        if let Some(structure) = due {
            let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
            let _ = self.obj().post_message(message);
        }
    }
}
