// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame on its way through the element: what each stage does to it, on whatever thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    lock,
    settings::PerFrame,
    stats::Times,
    translator::{Restart, Slot, TranslateError, Translator, readable, writable},
};
use cyclegan_frame::copy;
use cyclegan_runtime::Pair;

/// What is to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The generator translates it.
    Translate,
    /// It goes out as it came in.
    Pass,
    /// It gets the last change.
    Hold,
}

/// What has become of a frame.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// It went through the generator.
    Translated(Times),
    /// It got the last change.
    Held,
    /// It goes out as it came in.
    Passed,
}

/// A frame under way.
pub struct Job {
    /// What came in; after the last stage, what goes out.
    buffer: gst::Buffer,
    /// What is done with it, unless the buffer itself goes out.
    task: Option<Task>,
    /// The frame's tensors, from its preparation until they have been used.
    slot: Option<Slot>,
    /// How long the stages have worked on it.
    work: Duration,
    inference: Result<Duration, TranslateError>,
}

/// What a frame is worked on with.
pub struct Task {
    /// The model.
    pub pair: Arc<Pair>,
    /// The generator of the direction that was set when the frame came in.
    pub translator: Arc<Translator>,
    /// The properties when the frame came in.
    pub settings: PerFrame,
    /// What is to become of the frame.
    pub fate: Fate,
    /// What the frames before have to do with it.
    pub restart: Restart,
    /// Where the result goes.
    pub output: gst::Buffer,
    /// When the frame came in.
    pub arrived: Instant,
}

impl Job {
    /// A frame that goes out itself.
    pub fn passing(buffer: gst::Buffer) -> Self {
        Self { buffer, task: None, slot: None, work: Duration::ZERO, inference: Ok(Duration::ZERO) }
    }

    /// A frame with work to be done.
    pub fn new(buffer: gst::Buffer, task: Task) -> Self {
        Self { task: Some(task), ..Self::passing(buffer) }
    }

    /// What is done with it, unless the buffer itself goes out.
    pub fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// The first stage: the frame's tensor. A failure is told by [`Job::finish`].
    pub fn prepare(&mut self) {
        let Some(task) = self.task.as_ref().filter(|task| task.fate == Fate::Translate) else {
            return;
        };
        let start = Instant::now();
        match task.prepare(&self.buffer) {
            Ok(slot) => self.slot = Some(slot),
            Err(error) => self.inference = Err(error),
        }
        self.work += start.elapsed();
    }

    /// The second stage: the generator. A failure is told by [`Job::finish`].
    pub fn infer(&mut self) {
        if let Some(slot) = &mut self.slot {
            let start = Instant::now();
            self.inference = slot.infer();
            self.work += start.elapsed();
        }
    }

    /// The third stage: the output. The frames come here in their order.
    pub fn finish(&mut self) -> Result<Outcome, TranslateError> {
        let Some(task) = &mut self.task else { return Ok(Outcome::Passed) };
        let start = Instant::now();
        let inference = std::mem::replace(&mut self.inference, Ok(Duration::ZERO));
        let inference = task.update_residual(self.slot.take(), inference)?;
        if task.fate == Fate::Pass || !task.composite(&self.buffer)? {
            task.copy(&self.buffer)?;
            return Ok(Outcome::Passed);
        }
        let work = self.work + start.elapsed();
        let total = task.arrived.elapsed();
        Ok(match task.fate {
            Fate::Translate => Outcome::Translated(Times { inference, work, total }),
            _ => Outcome::Held,
        })
    }

    /// Makes what came in the output, after a stage has failed.
    pub fn pass(&mut self) -> Result<(), TranslateError> {
        self.task.as_mut().map_or(Ok(()), |task| task.copy(&self.buffer))
    }

    /// Lets go of all but what goes out, which may wait long for its turn: sources have few buffers.
    pub fn settle(&mut self) {
        if let Some(task) = self.task.take() {
            self.buffer = task.output;
        }
    }

    /// Says of what goes out that something is missing before it.
    pub fn mark_discont(&mut self) {
        let buffer = self.task.as_mut().map_or(&mut self.buffer, |task| &mut task.output);
        buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
    }

    /// What goes out, once it has settled.
    pub fn into_buffer(self) -> gst::Buffer {
        self.buffer
    }
}

impl Task {
    fn prepare(&self, input: &gst::BufferRef) -> Result<Slot, TranslateError> {
        let mut slot = self.translator.slot()?;
        let input = readable(input, self.translator.info())?;
        let is_smoothed = self.settings.smoothing > 0.0;
        lock(self.translator.preparation()).prepare(&input, &mut slot, is_smoothed)?;
        Ok(slot)
    }

    /// Takes the change out of `slot`, which is free for another frame then.
    fn update_residual(
        &self,
        slot: Option<Slot>,
        inference: Result<Duration, TranslateError>,
    ) -> Result<Duration, TranslateError> {
        let mut finish = lock(self.translator.finish());
        finish.restart(self.restart);
        let Some(mut slot) = slot else { return inference };
        let PerFrame { upscale, smoothing, .. } = self.settings;
        let updated = inference.and_then(|inference| {
            finish.update(&mut slot, upscale, smoothing)?;
            Ok(inference)
        });
        self.translator.give_back(slot);
        updated
    }

    /// Puts the last change on `input`. Returns whether there is one.
    fn composite(&mut self, input: &gst::BufferRef) -> Result<bool, TranslateError> {
        let info = self.translator.info();
        let mut output = writable(&mut self.output, info)?;
        let input = readable(input, info)?;
        lock(self.translator.finish()).composite(&input, &mut output)
    }

    /// A copy rather than the buffer itself: what comes next may not take memory that was made for
    /// this element.
    fn copy(&mut self, input: &gst::BufferRef) -> Result<(), TranslateError> {
        let info = self.translator.info();
        let mut output = writable(&mut self.output, info)?;
        Ok(copy(&readable(input, info)?, &mut output)?)
    }
}
