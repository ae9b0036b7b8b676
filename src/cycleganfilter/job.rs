// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame in flight: what each stage does with it, on whatever thread.

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
use cyclegan_runtime::Pair;

/// What is done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The generator translates it.
    Translate,
    /// It goes out as it came in.
    Pass,
    /// It is late and gets the last residual.
    Hold,
    /// It gets the last residual by choice.
    Skip,
}

/// What was done with a frame.
#[derive(Clone, Copy, Debug)]
pub enum FrameResult {
    /// It went through the generator.
    Translated(Times),
    /// It was late and got the last residual.
    Held,
    /// It got the last residual by choice.
    Skipped,
    /// It goes out as it came in.
    Passed,
}

/// A frame in flight.
pub struct Job {
    /// The frame that came in, mapped until its output is made.
    input: Frame,
    /// Where the result goes.
    output: gst::Buffer,
    work_on: Work,
    /// The frame's tensors, from preprocessing until they have been used.
    request: Option<Request>,
    /// How long the stages have worked on it.
    work: Duration,
    /// The error is boxed, for a job is allocated for each frame.
    inference: Result<Duration, Box<TranslateError>>,
}

/// What a frame is worked on with.
pub struct Work {
    /// The model.
    pub pair: Arc<Pair>,
    /// The generator of the direction that was set when the frame came in.
    pub translator: Arc<Translator>,
    /// The properties when the frame came in.
    pub settings: PerFrame,
    /// What is done with the frame.
    pub action: Action,
    /// What the frames before have to do with it.
    pub continuity: Continuity,
    /// Whether it may take the residual of the last translated frame if it is similar.
    pub may_skip: bool,
    /// When the frame came in.
    pub arrived: Instant,
    /// The model that translated the frames before, if this is the first of another.
    pub retired: Option<Retired>,
}

impl Job {
    /// A frame whose output is to be written to `output`.
    pub fn new(input: Frame, output: gst::Buffer, work_on: Work) -> Self {
        let (work, inference) = (Duration::ZERO, Ok(Duration::ZERO));
        Self { input, output, work_on, request: None, work, inference }
    }

    /// What it is worked on with.
    pub fn work(&self) -> &Work {
        &self.work_on
    }

    /// The first stage: the frame's tensor. [`Job::finish`] returns what fails.
    pub fn prepare(&mut self) {
        if self.work_on.action != Action::Translate {
            return;
        }
        let start = Instant::now();
        match self.work_on.preprocess(&self.input) {
            Ok(request) => self.request = Some(request),
            Err(error) => self.inference = Err(Box::new(error)),
        }
        self.work += start.elapsed();
    }

    /// The second stage: the generator, unless the frame is similar to the last one. [`Job::finish`]
    /// returns what fails.
    pub fn infer(&mut self) {
        let Some(mut request) = self.request.take() else { return };
        let start = Instant::now();
        match self.work_on.infer(&mut request) {
            Ok(None) => {
                self.work_on.action = Action::Skip;
                self.work_on.translator.give_back(request);
                return;
            }
            Ok(Some(inference)) => self.inference = Ok(inference),
            Err(error) => self.inference = Err(Box::new(error)),
        }
        self.request = Some(request);
        self.work += start.elapsed();
    }

    /// The third stage: the output. The frames come here in their order.
    pub fn finish(&mut self) -> Result<FrameResult, TranslateError> {
        let start = Instant::now();
        let inference = std::mem::replace(&mut self.inference, Ok(Duration::ZERO));
        let inference =
            self.work_on.update_residual(self.request.take(), inference.map_err(|error| *error))?;
        if self.work_on.action == Action::Pass || !self.composite()? {
            self.pass()?;
            return Ok(FrameResult::Passed);
        }
        let work = self.work + start.elapsed();
        let total = self.work_on.arrived.elapsed();
        Ok(match self.work_on.action {
            Action::Translate => FrameResult::Translated(Times { inference, work, total }),
            Action::Skip => FrameResult::Skipped,
            Action::Hold | Action::Pass => FrameResult::Held,
        })
    }

    /// Has the frame go out as it came in, or with a mask of nothing.
    pub fn pass(&mut self) -> Result<(), TranslateError> {
        let translator = &self.work_on.translator;
        let output = self.output.make_mut();
        let input = match &self.input {
            Frame::System(input) => input.as_video_frame_ref(),
            Frame::Gl(input) => return translator.pass_on_gpu(input, output),
        };
        let mut output = map_writable(output, translator.output_info())?;
        lock(translator.postprocess()).pass(&input, &mut output)
    }

    /// The output. Releases everything else: it may wait long for its turn, and sources have few
    /// buffers.
    pub fn into_output(self) -> gst::Buffer {
        let Self { output, work_on, .. } = self;
        // The frames of the model before are all done.
        drop(work_on.retired);
        output
    }

    /// Puts the last residual on the frame. Returns whether there is one.
    fn composite(&mut self) -> Result<bool, TranslateError> {
        let translator = &self.work_on.translator;
        let output = self.output.make_mut();
        let input = match &self.input {
            Frame::System(input) => input.as_video_frame_ref(),
            Frame::Gl(input) => return translator.composite_on_gpu(input, output),
        };
        let mut output = map_writable(output, translator.output_info())?;
        lock(translator.postprocess()).composite(&input, &mut output)
    }
}

impl Work {
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

    /// Runs the generator. Returns how long that took; `None` if the frame takes the last residual
    /// instead.
    fn infer(&self, request: &mut Request) -> Result<Option<Duration>, TranslateError> {
        let PerFrame { upscale, skip_similar, .. } = self.settings;
        let mut last = lock(self.translator.last_seen());
        if skip_similar > 0.0 && self.may_skip && last.is_similar(request, upscale, skip_similar)? {
            return Ok(None);
        }
        last.forget();
        let inference = request.infer()?;
        if skip_similar > 0.0 {
            last.remember(request, upscale)?;
        }
        Ok(Some(inference))
    }

    /// Takes the residual out of `request`, whose tensors are free for another frame then.
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
