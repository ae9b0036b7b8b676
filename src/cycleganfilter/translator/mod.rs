// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frame through a generator, in three stages that may run on three threads: frame to tensor
//! ([`Preprocess`]), tensor to tensor ([`Request`]), tensor to frame ([`Postprocess`]).

mod boxes;
mod on_gpu;
mod output;
mod postprocess;
mod preprocess;
mod regions;
mod request;
mod similar;
mod translators;
mod view;
mod warm_up;

#[cfg(test)]
#[allow(dead_code, reason = "the tests of the element make more of it")]
#[path = "../../../tests/element/generators.rs"]
mod generators;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use cyclegan_contract::Direction;
use gst_video::VideoInfo;

use output::output_info;
pub use postprocess::{Continuity, Postprocess};
pub use preprocess::Preprocess;
pub use request::Request;
pub use similar::LastSeen;
pub use translators::Translators;
pub use view::View;
pub use warm_up::Cost;

use super::{
    gl, lock,
    memory::FrameInfo,
    settings::{Output, Regions, ViewSettings, Wanted},
};
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
    /// The generator has no mask to put out.
    #[error("{} has no output `mask`, which output=mask and output=alpha need", .0.display())]
    NoMask(PathBuf),
    /// GStreamer cannot convert this kind of frame.
    #[error("cannot convert the frame: {0}")]
    Frame(#[from] gst::glib::BoolError),
    /// OpenGL cannot work on the frame.
    #[error("cannot work on the frame in OpenGL: {0}")]
    Gl(#[from] gl::Error),
}

/// What is made of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What the generator sees of a frame.
    pub view: ViewSettings,
    /// What goes out.
    pub output: Output,
    /// Threads for conversion, 0 for as many as there are cores.
    pub threads: u32,
}

impl From<&Wanted> for Kind {
    /// A mask is one of the whole frame.
    fn from(wanted: &Wanted) -> Self {
        let Wanted { mut view, output, threads, .. } = *wanted;
        if output != Output::Video {
            view.regions = Regions::Frame;
        }
        Self { view, output, threads }
    }
}

/// Translates frames of one kind with one generator. Nothing that a whole frame needs is made
/// later, but for the tensors of each further frame that is in flight at once.
///
/// Each stage locks its own part and no other, so each may have a thread of its own, which never
/// waits for that of another stage.
pub struct Translator {
    generator: Arc<Generator>,
    info: VideoInfo,
    /// What goes out for them.
    output_info: VideoInfo,
    tensor: Size,
    preprocess: Mutex<Preprocess>,
    /// Those that no frame has.
    requests: Mutex<Vec<Request>>,
    last_seen: Mutex<LastSeen>,
    postprocess: Mutex<Postprocess>,
}

impl Translator {
    /// Prepares for frames of `info`, translated as `kind` says.
    pub fn new(
        generator: Arc<Generator>,
        info: &FrameInfo,
        kind: Kind,
    ) -> Result<Self, TranslateError> {
        if kind.output != Output::Video && generator.contract().mask.is_none() {
            return Err(TranslateError::NoMask(generator.path().to_path_buf()));
        }
        let view = View::new(&generator, info, kind.view);
        let tensor = view.tensor();
        Ok(Self {
            tensor,
            requests: Mutex::new(vec![Request::new(generator.clone(), tensor)?]),
            last_seen: Mutex::default(),
            postprocess: Mutex::new(Postprocess::new(info, &view, kind)?),
            preprocess: Mutex::new(match kind.is_on_gpu(info.memory) {
                false => Preprocess::new(&generator, info, view, kind.threads)?,
                true => Preprocess::on_gpu(&generator, info, view, kind.threads)?,
            }),
            output_info: output_info(info, kind.output)?,
            generator,
            info: info.video.clone(),
        })
    }

    /// What goes out for them.
    pub fn output_info(&self) -> &VideoInfo {
        &self.output_info
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

    /// What the generator saw last, for the stage of [`Request::infer`].
    pub fn last_seen(&self) -> &Mutex<LastSeen> {
        &self.last_seen
    }

    /// The stage after [`Request::infer`].
    pub fn postprocess(&self) -> &Mutex<Postprocess> {
        &self.postprocess
    }
}
