// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame through a generator, in three stages that may run on three threads: frame to tensor
//! ([`Preprocess`]), tensor to tensor ([`Request`]), tensor to frame ([`Postprocess`]).

mod postprocess;
mod preprocess;
mod regions;
mod request;
mod translators;
mod view;
mod warm_up;

use std::sync::{Arc, Mutex};

use cyclegan_contract::Direction;
use gst_video::VideoInfo;

pub use postprocess::{Continuity, Postprocess};
pub use preprocess::Preprocess;
pub use request::Request;
pub use translators::Translators;
pub use view::View;
pub use warm_up::Cost;

use super::{lock, settings::ViewSettings};
use cyclegan_frame::{NotFinite, Size};
use cyclegan_runtime::{Generator, LoadError, RunError};

/// A frame could not be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// A generator cannot be opened.
    #[error(transparent)]
    Load(#[from] LoadError),
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

/// Translates frames of one kind with one generator. Nothing that a whole frame needs is made
/// later, but for the tensors of each further frame that is in flight at once.
///
/// Each stage locks its own part and no other, so each may have a thread of its own, which never
/// waits for that of another stage.
pub struct Translator {
    generator: Arc<Generator>,
    info: VideoInfo,
    tensor: Size,
    preprocess: Mutex<Preprocess>,
    /// Those that no frame has.
    requests: Mutex<Vec<Request>>,
    postprocess: Mutex<Postprocess>,
}

impl Translator {
    /// Prepares for frames of `info`, of which the generator sees what `wanted` says, see
    /// [`View::new`], and converts them on `threads` threads.
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
            requests: Mutex::new(vec![Request::new(generator.clone(), tensor)?]),
            postprocess: Mutex::new(Postprocess::new(info, &view, threads)?),
            preprocess: Mutex::new(Preprocess::new(&generator, info, view, threads)?),
            generator,
            info: info.clone(),
        })
    }

    /// The frames.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// The size of the generator's tensors.
    pub fn size(&self) -> Size {
        self.tensor
    }

    /// Tensors for the next frame: free ones, or new ones where all are in flight.
    pub fn request(&self) -> Result<Request, TranslateError> {
        let free = lock(&self.requests).pop();
        free.map_or_else(|| Request::new(self.generator.clone(), self.tensor), Ok)
    }

    /// Takes back the tensors of a frame that is done with them.
    pub fn give_back(&self, request: Request) {
        lock(&self.requests).push(request);
    }

    /// The stage before [`Request::infer`].
    pub fn preprocess(&self) -> &Mutex<Preprocess> {
        &self.preprocess
    }

    /// The stage after [`Request::infer`].
    pub fn postprocess(&self) -> &Mutex<Postprocess> {
        &self.postprocess
    }
}
