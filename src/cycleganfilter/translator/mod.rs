// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame through a generator, in three stages that may run on three threads: frame to tensor
//! ([`Preparation`]), tensor to tensor ([`Slot`]), tensor to frame ([`Finish`]).

mod finish;
mod prepare;
mod regions;
mod slot;
mod view;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cyclegan_contract::Direction;
use gst_video::{VideoFrameRef, VideoInfo};

pub use finish::{Finish, Restart};
pub use prepare::Preparation;
pub use slot::Slot;
pub use view::View;

use super::{lock, settings::ViewSettings};
use cyclegan_frame::{NotFinite, Size, map_readable, map_writable};
use cyclegan_runtime::{Generator, Pair, RunError};

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
/// when it is made, but for a slot for each further frame that is under way at once.
///
/// Each stage locks its own part and no other, so each may have a thread of its own, which never
/// waits for that of another stage.
pub struct Translator {
    generator: Arc<Generator>,
    info: VideoInfo,
    tensor: Size,
    preparation: Mutex<Preparation>,
    /// Those that no frame has.
    slots: Mutex<Vec<Slot>>,
    finish: Mutex<Finish>,
}

impl Translator {
    /// Prepares for frames of `info`, of which the generator sees what `wanted` says, see
    /// [`View::new`].
    pub fn new(
        generator: Arc<Generator>,
        info: &VideoInfo,
        wanted: ViewSettings,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let view = View::new(&generator, info, wanted);
        let tensor = view.tensor();
        Ok(Self {
            tensor,
            slots: Mutex::new(vec![Slot::new(generator.clone(), tensor)?]),
            finish: Mutex::new(Finish::new(info, &view, threads)?),
            preparation: Mutex::new(Preparation::new(&generator, info, view, threads)?),
            generator,
            info: info.clone(),
        })
    }

    /// Has the generator make its plans for this size on black; returns how long a run takes then. No
    /// frame goes through the other stages here: of frames of one or two lines GStreamer's converter
    /// gives the first again when the next comes.
    pub fn warm_up(&self) -> Result<Duration, TranslateError> {
        let mut slot = self.slot()?;
        let time = self.generator.warm_up(self.tensor, || slot.infer());
        self.give_back(slot);
        time
    }

    /// The frames.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// The size of the generator's tensors.
    pub fn size(&self) -> Size {
        self.tensor
    }

    /// A slot for the next frame: a free one, or a new one where all are under way.
    pub fn slot(&self) -> Result<Slot, TranslateError> {
        let free = lock(&self.slots).pop();
        free.map_or_else(|| Slot::new(self.generator.clone(), self.tensor), Ok)
    }

    /// Takes back a slot whose frame is done with it.
    pub fn give_back(&self, slot: Slot) {
        lock(&self.slots).push(slot);
    }

    /// The stage before [`Slot::infer`].
    pub fn preparation(&self) -> &Mutex<Preparation> {
        &self.preparation
    }

    /// The stage after [`Slot::infer`].
    pub fn finish(&self) -> &Mutex<Finish> {
        &self.finish
    }
}

/// The translators of both directions of a model, for frames of one kind.
pub struct Translators {
    /// The model.
    pub pair: Arc<Pair>,
    /// The frames.
    pub info: VideoInfo,
    /// What the generators see of them.
    pub view: ViewSettings,
    /// How long the slower generator takes, measured on a black picture.
    pub warm_up: Duration,
    forward: Option<Arc<Translator>>,
    reverse: Option<Arc<Translator>>,
}

impl Translators {
    /// Prepares and warms up both directions; `on_step` is told which one comes next, as a GPU may
    /// build an engine for minutes.
    pub fn new(
        pair: Arc<Pair>,
        info: &VideoInfo,
        view: ViewSettings,
        threads: u32,
        on_step: &dyn Fn(Direction),
    ) -> Result<Self, TranslateError> {
        let mut slowest = Duration::ZERO;
        let mut prepare = |direction| {
            let generator = pair.generator(direction).cloned();
            let prepared = generator.map(|generator| {
                on_step(direction);
                let translator = Translator::new(generator, info, view, threads)?;
                slowest = slowest.max(translator.warm_up()?);
                Ok::<_, TranslateError>(Arc::new(translator))
            });
            prepared.transpose()
        };
        let (forward, reverse) = (prepare(Direction::AToB)?, prepare(Direction::BToA)?);
        Ok(Self { pair, info: info.clone(), view, warm_up: slowest, forward, reverse })
    }

    /// The translator of `direction`.
    pub fn get(&self, direction: Direction) -> Result<&Arc<Translator>, TranslateError> {
        let translator = match direction {
            Direction::AToB => self.forward.as_ref(),
            Direction::BToA => self.reverse.as_ref(),
        };
        translator.ok_or(TranslateError::NoDirection(direction))
    }
}

/// `buffer` as a frame of `info` to be read.
pub fn readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, gst::glib::BoolError> {
    map_readable(buffer, info)
}

/// `buffer` as a frame of `info` to be written.
pub fn writable<'a>(
    buffer: &'a mut gst::Buffer,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, gst::glib::BoolError> {
    map_writable(buffer.make_mut(), info)
}
