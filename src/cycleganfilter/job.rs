// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame in flight, and what each stage does with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    loader::Retired,
    lock,
    memory::Frame,
    settings::PerFrame,
    stats::Times,
    translator::{Continuity, Request, TranslateError, Translator},
};
use cyclegan_frame::map_writable;
use cyclegan_runtime::{Interrupt, Pair};

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Translate it.
    Translate,
    /// Pass it through unchanged.
    Pass,
    /// Apply the last residual, because the frame is late.
    Hold,
    /// Apply the last residual, because of `interval` or `skip-similar`.
    Skip,
}

/// What was done with a frame.
#[derive(Clone, Copy, Debug)]
pub enum FrameResult {
    /// It was translated.
    Translated(Times),
    /// It was late and got the last residual.
    Held,
    /// It got the last residual by choice.
    Skipped,
    /// It passes through unchanged.
    Passed,
}

/// A frame in flight.
pub struct Job {
    /// The input frame, mapped until its output is made.
    input: Frame,
    /// The output buffer.
    output: gst::Buffer,
    task: Task,
    /// The frame's tensors, from preprocessing until the residual is computed.
    request: Option<Request>,
    /// Processing time so far.
    processing: Duration,
    /// The inference time. The error is boxed to keep the job small, as one is allocated per frame.
    inference: Result<Duration, Box<TranslateError>>,
}

/// When a frame arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The time, as if the frame had not waited for room in the queue. Such a wait may be for the sink. If it
    /// counted, reporting more latency would lengthen the wait, and the latency would grow without end.
    pub time: Instant,
    /// How long it took to map and convert the frame.
    pub mapping: Duration,
}

/// What to do with a frame, and with what.
pub struct Task {
    /// The model.
    pub pair: Arc<Pair>,
    /// The generator of the direction that was set when the frame came in.
    pub translator: Arc<Translator>,
    /// The properties when the frame arrived.
    pub settings: PerFrame,
    /// What to do with the frame.
    pub action: Action,
    /// How it relates to the previous frames.
    pub continuity: Continuity,
    /// Whether it may use the residual of the last translated frame if it is similar.
    pub may_skip: bool,
    /// When the frame arrived.
    pub arrival: Arrival,
    /// Ends its inference.
    pub interrupt: Interrupt,
    /// The model of the previous frames, if this is the first frame of a new model.
    pub retired: Option<Retired>,
}

impl Job {
    /// A frame whose output goes to `output`.
    pub fn new(input: Frame, output: gst::Buffer, task: Task) -> Self {
        let (processing, inference) = (task.arrival.mapping, Ok(Duration::ZERO));
        Self { input, output, task, request: None, processing, inference }
    }

    /// What to do with the frame, and with what.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The first stage: fills the tensors. [`Job::finish`] returns an error.
    pub fn prepare(&mut self) {
        if self.task.action != Action::Translate {
            return;
        }
        let start = Instant::now();
        match self.task.preprocess(&self.input) {
            Ok(request) => self.request = Some(request),
            Err(error) => self.inference = Err(Box::new(error)),
        }
        self.processing += start.elapsed();
    }

    /// The second stage: runs the generator, unless the frame is similar to the last one.
    /// [`Job::finish`] returns an error.
    pub fn infer(&mut self) {
        let Some(mut request) = self.request.take() else { return };
        let start = Instant::now();
        match self.task.infer(&mut request) {
            Ok(None) => {
                self.task.action = Action::Skip;
                self.task.translator.give_back(request);
                return;
            }
            Ok(Some((inference, wait))) => {
                self.processing += start.elapsed().saturating_sub(wait);
                self.inference = Ok(inference);
            }
            Err(error) => self.inference = Err(Box::new(error)),
        }
        self.request = Some(request);
    }

    /// The third stage: writes the output. Frames arrive in order.
    pub fn finish(&mut self) -> Result<FrameResult, TranslateError> {
        let start = Instant::now();
        let inference = std::mem::replace(&mut self.inference, Ok(Duration::ZERO));
        let inference =
            self.task.update_residual(self.request.take(), inference.map_err(|error| *error))?;
        let action = self.task.action;
        match action {
            Action::Pass => {}
            _ if !self.composite()? => {}
            Action::Translate => {
                let processing = self.processing + start.elapsed();
                let total = self.task.arrival.time.elapsed();
                return Ok(FrameResult::Translated(Times { inference, processing, total }));
            }
            Action::Skip => return Ok(FrameResult::Skipped),
            Action::Hold => return Ok(FrameResult::Held),
        }
        self.pass()?;
        Ok(FrameResult::Passed)
    }

    /// Writes the frame unchanged, or an empty mask.
    pub fn pass(&mut self) -> Result<(), TranslateError> {
        let translator = &self.task.translator;
        let output = self.output.make_mut();
        let input = match &self.input {
            Frame::System(input) => input.as_video_frame_ref(),
            Frame::Gl(input) => return translator.pass_on_gpu(input, output),
        };
        let mut output = map_writable(output, translator.output_info())?;
        lock(translator.postprocess()).pass(&input, &mut output)
    }

    /// Returns the output and releases everything else: the output may wait long in the queue, and
    /// sources have few buffers.
    pub fn into_output(self) -> gst::Buffer {
        let Self { output, task, .. } = self;
        // All frames of the previous model are finished.
        drop(task.retired);
        output
    }

    /// Applies the last residual to the frame. Returns whether there is one.
    fn composite(&mut self) -> Result<bool, TranslateError> {
        let translator = &self.task.translator;
        let output = self.output.make_mut();
        let input = match &self.input {
            Frame::System(input) => input.as_video_frame_ref(),
            Frame::Gl(input) => return translator.composite_on_gpu(input, output),
        };
        let mut output = map_writable(output, translator.output_info())?;
        lock(translator.postprocess()).composite(&input, &mut output)
    }
}

impl Task {
    fn preprocess(&self, input: &Frame) -> Result<Request, TranslateError> {
        let mut request = self.translator.request()?;
        let is_smoothed = self.settings.smoothing > 0.0;
        let mut preprocess = lock(self.translator.preprocess());
        let region_types = &self.settings.region_types;
        match input {
            Frame::System(input) => {
                let frame = input.as_video_frame_ref();
                preprocess.prepare(&frame, &mut request, region_types, is_smoothed)?;
            }
            Frame::Gl(input) => {
                preprocess.prepare_on_gpu(input, &mut request, region_types, is_smoothed)?;
            }
        }
        Ok(request)
    }

    /// Runs the generator. Returns the inference time and the wait for other users of the session, or
    /// `None` if the frame uses the last residual instead.
    fn infer(&self, request: &mut Request) -> Result<Option<(Duration, Duration)>, TranslateError> {
        let PerFrame { upscale, skip_similar, .. } = self.settings;
        let mut last = lock(self.translator.last_seen());
        if skip_similar > 0.0 && self.may_skip && last.is_similar(request, upscale, skip_similar)? {
            return Ok(None);
        }
        last.forget();
        let start = Instant::now();
        let inference = request.infer(&self.interrupt)?;
        let wait = start.elapsed().saturating_sub(inference);
        if skip_similar > 0.0 {
            last.remember(request, upscale)?;
        }
        Ok(Some((inference, wait)))
    }

    /// Computes the residual from `request` and releases its tensors.
    fn update_residual(
        &self,
        request: Option<Request>,
        inference: Result<Duration, TranslateError>,
    ) -> Result<Duration, TranslateError> {
        let mut postprocess = lock(self.translator.postprocess());
        postprocess.restart(self.continuity);
        let Some(mut request) = request else { return inference };
        let PerFrame { upscale, smoothing, .. } = self.settings;
        let updated = inference.and_then(|inference| {
            postprocess.update(&mut request, upscale, smoothing)?;
            Ok(inference)
        });
        if updated.is_err() {
            postprocess.forget();
        }
        self.translator.give_back(request);
        updated
    }
}
