// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame through a generator: the two halves, pixels and generators, put together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cyclegan_contract::Direction;
use gst_video::{VideoFrameRef, VideoInfo};

use crate::{
    frame::{
        Change, ColorTransform, Compositor, Element, InferenceSize, NotFinite, Picture, Placement,
        Scaler, Size, Smoother, ToTensor, Upscale, pack,
    },
    generator::{Generator, Pair, RunError, Stream, Values, ValuesMut},
};

/// A frame could not be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// The generator failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The generator made no picture.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The model lacks a direction, which is checked when either is set.
    #[error("the model has no generator for the direction {0}")]
    NoDirection(Direction),
    /// GStreamer cannot convert this kind of frame.
    #[error("cannot convert the frame: {0}")]
    Frame(#[from] gst::glib::BoolError),
}

/// Translates frames of one kind with one generator. Everything that it needs for a frame is made
/// when it is made.
pub struct Translator {
    placement: Placement,
    scaler: Scaler,
    to_tensor: ToTensor,
    stream: Stream,
    color: ColorTransform,
    change: Change,
    has_change: bool,
    smoother: Smoother,
    compositor: Compositor,
}

impl Translator {
    /// Prepares for frames of `info`. `inference_size` is the property's value: 0 for the
    /// generator's own size, −1 for the frame's, else the short side in pixels.
    pub fn new(
        generator: Arc<Generator>,
        info: &VideoInfo,
        inference_size: i32,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let wanted = match u32::try_from(inference_size) {
            Err(_) => InferenceSize::Frame,
            Ok(0) => InferenceSize::ShortSide(generator.short_side()),
            Ok(side) => InferenceSize::ShortSide(side),
        };
        let frame = Size { width: info.width(), height: info.height() };
        let pixel_aspect = f64::from(info.par().numer()) / f64::from(info.par().denom());
        let placement = Placement::new(frame, pixel_aspect, wanted, generator.limits());
        let content = placement.content.size;
        let scaler = Scaler::new(info, content, threads)?;
        let range = generator.contract().metadata.input_range;
        Ok(Self {
            placement,
            to_tensor: ToTensor::new(&scaler.color(), range),
            smoother: Smoother::new(content, scaler.luma()),
            scaler,
            stream: Stream::new(generator, placement.tensor)?,
            color: ColorTransform::new(info),
            change: Change::new(content),
            has_change: false,
            compositor: Compositor::new(info, content, threads)?,
        })
    }

    /// Runs the generator on black until it has made its plans for this size; returns how long a
    /// run takes then.
    pub fn warm_up(&mut self) -> Result<Duration, TranslateError> {
        self.stream.run()?;
        let start = Instant::now();
        self.stream.run()?;
        Ok(start.elapsed())
    }

    /// The size of the generator's tensors.
    pub fn size(&self) -> Size {
        self.placement.tensor
    }

    /// Forgets the last frame: the next one has nothing to do with it.
    pub fn reset(&mut self) {
        self.has_change = false;
        self.smoother.reset();
    }

    /// Begins smoothing anew: frames are missing before the next one.
    pub fn restart_smoothing(&mut self) {
        self.smoother.reset();
    }

    /// Translates `input` into `output`, with `smoothing` (0 to 1) of the last frame's change;
    /// returns the time that the generator took.
    pub fn translate(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        upscale: Upscale,
        smoothing: f32,
    ) -> Result<Duration, TranslateError> {
        let (picture, stride) = self.scaler.scale(input);
        match self.stream.input_mut()? {
            ValuesMut::F32(t) => pack(picture, stride, &self.placement, &self.to_tensor, t),
            ValuesMut::F16(t) => pack(picture, stride, &self.placement, &self.to_tensor, t),
        }
        let start = Instant::now();
        self.stream.run()?;
        let inference = start.elapsed();
        self.update_change(upscale)?;
        if smoothing > 0.0 {
            let (picture, stride) = self.scaler.picture();
            self.smoother.smooth(&mut self.change, picture, stride, smoothing);
        }
        self.has_change = true;
        self.compositor.composite(&self.change, upscale.keep(), input, output)?;
        Ok(inference)
    }

    /// Applies the change of the last frame to `input`, without the generator. Returns whether
    /// there was one.
    pub fn hold(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        upscale: Upscale,
    ) -> Result<bool, TranslateError> {
        if self.has_change {
            self.compositor.composite(&self.change, upscale.keep(), input, output)?;
        }
        Ok(self.has_change)
    }

    fn update_change(&mut self, upscale: Upscale) -> Result<(), TranslateError> {
        let (input, output) = self.stream.input_and_output()?;
        let generator = self.stream.generator().clone();
        let metadata = &generator.contract().metadata;
        let (change, placement, color) = (&mut self.change, &self.placement, &self.color);
        let mut update = Update { change, placement, color, upscale };
        let (before, after) = (metadata.input_range, metadata.output_range);
        match (input, output) {
            (Values::F32(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F32(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F16(i), Values::F32(o)) => update.run(&(i, before).into(), &(o, after).into()),
            (Values::F16(i), Values::F16(o)) => update.run(&(i, before).into(), &(o, after).into()),
        }?;
        Ok(())
    }
}

/// The arguments of [`Change::update`] that do not depend on the tensors' types.
struct Update<'a> {
    change: &'a mut Change,
    placement: &'a Placement,
    color: &'a ColorTransform,
    upscale: Upscale,
}

impl Update<'_> {
    fn run<I: Element, O: Element>(
        &mut self,
        input: &Picture<'_, I>,
        output: &Picture<'_, O>,
    ) -> Result<(), NotFinite> {
        self.change.update(input, output, self.placement, self.color, self.upscale)
    }
}

/// The translators of both directions of a model, for frames of one kind.
pub struct Translators {
    /// The model.
    pub pair: Arc<Pair>,
    /// The frames.
    pub info: VideoInfo,
    /// How long the slower generator takes, measured on a black picture.
    pub warm_up: Duration,
    forward: Option<Translator>,
    reverse: Option<Translator>,
}

impl Translators {
    /// Prepares and warms up both directions.
    pub fn new(
        pair: Arc<Pair>,
        info: &VideoInfo,
        inference_size: i32,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let mut slowest = Duration::ZERO;
        let mut prepare = |direction| {
            let generator = pair.generator(direction).cloned();
            let prepared = generator.map(|generator| {
                let mut translator = Translator::new(generator, info, inference_size, threads)?;
                slowest = slowest.max(translator.warm_up()?);
                Ok::<_, TranslateError>(translator)
            });
            prepared.transpose()
        };
        let (forward, reverse) = (prepare(Direction::AToB)?, prepare(Direction::BToA)?);
        Ok(Self { pair, info: info.clone(), warm_up: slowest, forward, reverse })
    }

    /// Forgets the last frame in both directions.
    pub fn reset(&mut self) {
        self.forward.iter_mut().chain(&mut self.reverse).for_each(Translator::reset);
    }

    /// Begins smoothing anew in both directions.
    pub fn restart_smoothing(&mut self) {
        self.forward.iter_mut().chain(&mut self.reverse).for_each(Translator::restart_smoothing);
    }

    /// The translator of `direction`.
    pub fn get_mut(&mut self, direction: Direction) -> Result<&mut Translator, TranslateError> {
        let translator = match direction {
            Direction::AToB => self.forward.as_mut(),
            Direction::BToA => self.reverse.as_mut(),
        };
        translator.ok_or(TranslateError::NoDirection(direction))
    }
}
