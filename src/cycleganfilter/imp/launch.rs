// SPDX-License-Identifier: MIT OR Apache-2.0

//! Takes input frames into the queue, decides what to do with each, and makes its output.

use std::time::{Duration, Instant};

use cyclegan_runtime::{Interrupt, Pair};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{
    CAT, CycleGanFilter,
    allocation::{live_room, most_held},
};
use crate::cycleganfilter::{
    LateFrames, Output,
    frames::{FrameQueue, Item},
    job::{Action, Arrival, FrameResult, Job, Task},
    lock,
    memory::{Frame, FrameInfo, Memory},
    settings::PerFrame,
    state::Negotiated,
    stats::Times,
    to_alpha::ToAlpha,
    translator::{Continuity, TranslateError},
};

/// The state of the stream when a frame arrives.
pub(super) struct Context {
    /// The frames to translate: those that arrive, or with `to_alpha` what it makes of them.
    pub info: FrameInfo,
    is_live: bool,
    latency: Option<gst::ClockTime>,
    pub takes_video_meta: bool,
    pub output: Output,
    pub to_alpha: Option<std::sync::Arc<ToAlpha>>,
    pub queue: std::sync::Arc<FrameQueue>,
}

impl Context {
    /// The memory of what goes out: the CPU writes masks.
    pub fn output_memory(&self) -> Memory {
        match self.output {
            Output::Mask => Memory::System,
            Output::Video | Output::Alpha => self.info.memory,
        }
    }
}

impl CycleGanFilter {
    /// Preprocesses the frame in `buffer` and pushes it into the queue.
    pub(super) fn launch(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        let arrived = Instant::now();
        let context = self.context()?;
        let settings = lock(&self.settings).per_frame();
        let Context { info, queue, .. } = &context;
        let Some(frame) = self.map(buffer, &context)? else { return Ok(()) };
        let Some(action) = self.action(frame.buffer(), &settings, queue) else {
            self.drop_frame(frame.buffer());
            return Ok(());
        };
        let most = most_held(queue.depth());
        if action == Action::Pass && self.may_pass_itself(frame.buffer(), &context) {
            let permit = queue.reserve(false, most)?;
            return queue.push(permit, Item::Output(self.passing(frame.into_buffer(), &settings)));
        }
        let frame = match (frame, &context.to_alpha) {
            (Frame::System(frame), Some(to_alpha)) => {
                Frame::System(self.with_alpha(&frame, to_alpha)?)
            }
            (frame, _) => frame,
        };
        let mapping = arrived.elapsed();
        let most = most + if context.is_live { live_room(info, context.latency) } else { 0 };
        let before = Instant::now();
        let permit = queue.reserve(action == Action::Translate, most)?;
        let arrival = Arrival { time: arrived + before.elapsed(), mapping };
        let mut job = self.new_job(frame, settings, action, &context, arrival)?;
        job.prepare();
        queue.push(permit, Item::Frame(Box::new(job)))
    }

    fn context(&self) -> Result<Context, gst::FlowError> {
        let state = lock(&self.state);
        let stream = state.stream.as_ref().ok_or(gst::FlowError::Flushing)?;
        if stream.stop.is_set() {
            return Err(gst::FlowError::Flushing);
        }
        let negotiated = stream.negotiated.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let translators = &negotiated.translators;
        Ok(Context {
            info: translators.info.clone(),
            output: translators.wanted.output,
            is_live: stream.deadlines.is_live(),
            latency: stream.deadlines.pipeline_latency(),
            takes_video_meta: stream.takes_video_meta,
            to_alpha: stream.to_alpha.clone(),
            queue: stream.queue.clone(),
        })
    }

    /// Decides what to do with the frame in `buffer`; `None` to drop it.
    fn action(
        &self,
        buffer: &gst::BufferRef,
        settings: &PerFrame,
        queue: &FrameQueue,
    ) -> Option<Action> {
        if settings.is_off {
            return Some(Action::Pass);
        }
        let action = self.planned_action(settings);
        let is_late = || self.is_late(buffer, queue, action);
        match (action, settings.late_frames) {
            (_, LateFrames::Translate) => return Some(action),
            // Applying the last residual takes no time, so only `drop` needs to know whether the
            // frame is late.
            (Action::Skip, LateFrames::Pass | LateFrames::Hold) => return Some(action),
            _ if !is_late() => return Some(action),
            _ => {}
        }
        gst::trace!(CAT, imp = self, "late frame: {:?}", settings.late_frames);
        match settings.late_frames {
            LateFrames::Translate => Some(Action::Translate),
            LateFrames::Pass => Some(Action::Pass),
            LateFrames::Hold => Some(Action::Hold),
            LateFrames::Drop => None,
        }
    }

    /// Decides what to do with a frame that is on time.
    fn planned_action(&self, settings: &PerFrame) -> Action {
        let mut state = lock(&self.state);
        let stream = state.stream.as_mut();
        let age = stream.and_then(|stream| stream.age_residual(settings.direction));
        match age {
            Some(age) if age < settings.interval => Action::Skip,
            _ => Action::Translate,
        }
    }

    /// Whether the frame in `buffer` would be late at the sink after `action`, unless no frame has
    /// been translated for a long time.
    fn is_late(&self, buffer: &gst::BufferRef, queue: &FrameQueue, action: Action) -> bool {
        let segment = self.time_segment();
        let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        let now = self.obj().current_running_time();
        let ahead = queue.in_generator();
        let state = lock(&self.state);
        let Some(stream) = &state.stream else { return false };
        let expected = match action {
            Action::Translate => state.stats.expected(ahead, queue.depth()),
            _ => Duration::ZERO,
        };
        let expected = gst::ClockTime::try_from(expected).unwrap_or(gst::ClockTime::ZERO);
        stream.deadlines.is_late(time, now, expected) && !state.stats.is_starved()
    }

    /// Collects everything that the stages need for `frame`, with the current properties.
    fn new_job(
        &self,
        frame: Frame,
        settings: PerFrame,
        action: Action,
        context: &Context,
        arrival: Arrival,
    ) -> Result<Job, gst::FlowError> {
        let (task, has_dropped) = {
            let mut state = lock(&self.state);
            let stream = state.stream.as_mut().ok_or(gst::FlowError::Flushing)?;
            let negotiated = stream.negotiated.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
            let task = negotiated.new_task(settings, action, arrival, stream.flush.clone());
            task.ok_or(gst::FlowError::NotNegotiated)?
        };
        // May wait for a buffer from downstream's pool.
        let info = task.translator.output_info();
        let mut output = self.new_output(frame.buffer(), info, context)?;
        if has_dropped {
            output.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        Ok(Job::new(frame, output, task))
    }

    /// Makes the output of a frame and counts the frame.
    pub(super) fn finish(&self, mut job: Job) -> Result<gst::Buffer, gst::FlowError> {
        let result = match job.finish() {
            Ok(result) => result,
            Err(error) if error.is_interruption() => return Err(gst::FlowError::Flushing),
            Err(error) => self.tolerate(&mut job, &error)?,
        };
        lock(&self.state).stats.gl_bytes = self.contexts.traffic();
        match result {
            FrameResult::Translated(times) => self.count_translated(job.task(), times),
            FrameResult::Held => lock(&self.state).stats.frames_held += 1,
            FrameResult::Skipped => lock(&self.state).stats.frames_skipped += 1,
            FrameResult::Passed => lock(&self.state).stats.frames_passed += 1,
        }
        self.post_stats();
        Ok(job.into_output())
    }

    fn count_translated(&self, task: &Task, times: Times) {
        let Times { inference, processing, total } = times;
        gst::trace!(
            CAT,
            imp = self,
            "translated in {total:?}, processing {processing:?}, inference {inference:?}"
        );
        let has_moved = {
            let mut state = lock(&self.state);
            if let Some(stream) = &mut state.stream {
                stream.is_failing = false;
            }
            let stats = &mut state.stats;
            stats.translated(times);
            let Task { pair, translator, settings, .. } = task;
            stats.running.update(pair, settings.direction, translator.size());
            stats.update_latency()
        };
        if has_moved {
            self.post_latency();
        }
        self.report_outlier(task);
    }

    /// Posts a warning, once per generator, if the output is far outside of the range in the metadata.
    fn report_outlier(&self, task: &Task) {
        let Task { pair, translator, settings, .. } = task;
        let Some(value) = lock(translator.postprocess()).outlier() else { return };
        let Some(generator) = pair.generator(settings.direction) else { return };
        let path = generator.path();
        let is_new = lock(&self.state).stream.as_mut().is_some_and(|stream| {
            let is_new = !stream.outside.iter().any(|known| known == path);
            if is_new {
                stream.outside.push(path.to_path_buf());
            }
            is_new
        });
        if is_new {
            let range = generator.contract().metadata.output_range.as_str().replace(',', " to ");
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Settings,
                (
                    "{}: its output reaches {value:.0}, outside of {range}, so colours are clipped; if its \
                     values are 0 to 255, write `0,255` to `cyclegan.output_range` of its metadata, and check \
                     `cyclegan.input_range`",
                    path.display()
                )
            );
        }
    }

    /// Counts a buffer that passed through.
    pub(super) fn count_passed(&self) {
        lock(&self.state).stats.frames_passed += 1;
        self.post_stats();
    }

    /// Handles a frame that a stage failed on. In a live pipeline with `late-frames=pass` the frame
    /// passes through unchanged; otherwise the stream ends.
    fn tolerate(
        &self,
        job: &mut Job,
        error: &TranslateError,
    ) -> Result<FrameResult, gst::FlowError> {
        let pair = job.task().pair.clone();
        if job.task().settings.late_frames != LateFrames::Pass || !self.is_upstream_live() {
            return Err(self.fail(&pair, error));
        }
        let mark = |stream: &mut crate::cycleganfilter::state::Stream| {
            std::mem::replace(&mut stream.is_failing, true)
        };
        let was_failing = lock(&self.state).stream.as_mut().is_some_and(mark);
        if !was_failing {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Failed,
                (
                    "{}: {error}; passing frames through unchanged until it works again",
                    pair.model()
                )
            );
        }
        job.pass().map_err(|error| self.fail(&pair, &error))?;
        Ok(FrameResult::Passed)
    }

    /// Posts the error that ends the stream.
    fn fail(&self, pair: &Pair, error: &TranslateError) -> gst::FlowError {
        gst::element_imp_error!(self, gst::LibraryError::Failed, ("{}: {error}", pair.model()));
        gst::FlowError::Error
    }

    /// Queries upstream each time, as the first frame may arrive before any LATENCY query.
    fn is_upstream_live(&self) -> bool {
        let mut upstream = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut upstream) && upstream.result().0
    }

    /// The segment, if it is in TIME format.
    pub(super) fn time_segment(&self) -> Option<gst::FormattedSegment<gst::ClockTime>> {
        self.obj().segment().downcast().ok()
    }
}

impl Negotiated {
    /// What to do with the next frame, and whether a frame was dropped before it. `None` if no
    /// direction is prepared.
    fn new_task(
        &mut self,
        mut settings: PerFrame,
        action: Action,
        arrival: Arrival,
        interrupt: Interrupt,
    ) -> Option<(Task, bool)> {
        let direction = self.direction(settings.direction);
        let translator = self.translators.get(direction)?.clone();
        let mut continuity = std::mem::take(&mut self.continuity);
        if std::mem::replace(&mut self.direction, direction) != direction || settings.is_off {
            continuity = Continuity::Restarts;
        }
        if settings.is_off {
            self.continuity = Continuity::Restarts;
        }
        settings.direction = direction;
        if continuity != Continuity::Follows {
            self.residual_age = None;
        }
        let may_skip = self.residual_age.is_some();
        if action == Action::Translate {
            self.residual_age = Some(0);
        }
        let (pair, retired) = (self.translators.pair.clone(), self.retired.take());
        let task = Task {
            pair,
            translator,
            settings,
            action,
            continuity,
            may_skip,
            arrival,
            interrupt,
            retired,
        };
        Some((task, std::mem::take(&mut self.has_dropped)))
    }
}
