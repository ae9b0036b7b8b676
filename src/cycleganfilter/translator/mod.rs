// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates frames in three stages, which may run on three threads: frame to tensor
//! ([`Preprocess`]), tensor to tensor ([`Request`]), tensor to frame ([`Postprocess`]).

mod boxes;
mod on_gpu;
mod outlier;
mod output;
mod postprocess;
mod preprocess;
mod regions;
mod request;
mod similar;
mod translators;
mod view;
mod warm_up;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use gst_video::VideoInfo;

use output::output_info;
pub use postprocess::{Continuity, Postprocess};
pub use preprocess::Preprocess;
pub use request::Request;
use request::largest_batch;
pub use similar::LastSeen;
pub use translators::{Progress, Translators};
pub use view::View;
pub use warm_up::Cost;

use super::{
    gl, lock,
    memory::{FrameInfo, Memory},
    settings::{Output, ViewSettings, Wanted},
};
use cyclegan_frame::{NotFinite, Size};
use cyclegan_runtime::{Generator, LoadError, RunError};

/// A frame could not be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// A generator could not be opened.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The generator failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The generator's output is not an image.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The generator has no mask.
    #[error(
        "{} has no output `mask`, which output=mask and output=alpha need; set output=video, or train \
         the pair with --mask-head",
        .0.display()
    )]
    NoMask(PathBuf),
    /// GStreamer cannot convert this kind of frame.
    #[error("cannot convert the frame: {0}")]
    Frame(#[from] gst::glib::BoolError),
    /// The frame could not be processed in OpenGL.
    #[error("cannot process the frame in OpenGL: {0}")]
    Gl(#[from] gl::Error),
}

impl TranslateError {
    /// Whether the element ended the run itself, to stop or to flush.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Run(RunError::Interrupted))
    }
}

/// What to make of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Which part of a frame the generator sees.
    pub view: ViewSettings,
    /// What to output.
    pub output: Output,
    /// Threads for conversion, 0 for one per core.
    pub threads: u32,
}

impl From<&Wanted> for Kind {
    fn from(wanted: &Wanted) -> Self {
        let Wanted { view, output, threads, .. } = *wanted;
        Self { view, output, threads }
    }
}

/// Translates frames of one format and size with one generator. Allocates everything in advance,
/// except for the tensors of further frames in flight.
///
/// Each stage locks only its own part, so the stages can run on different threads and never wait
/// for each other.
pub struct Translator {
    generator: Arc<Generator>,
    info: VideoInfo,
    /// The info of output frames.
    output_info: VideoInfo,
    tensor: Size,
    preprocess: Mutex<Preprocess>,
    largest_batch: u32,
    /// Requests that no frame is using.
    requests: Mutex<Vec<Request>>,
    last_seen: Mutex<LastSeen>,
    postprocess: Mutex<Postprocess>,
}

impl Translator {
    /// Prepares to translate frames of `info`.
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
        let largest_batch = largest_batch(&generator, kind.threads);
        Ok(Self {
            tensor,
            requests: Mutex::new(vec![Request::new(generator.clone(), tensor, largest_batch)?]),
            largest_batch,
            last_seen: Mutex::default(),
            postprocess: Mutex::new(Postprocess::new(info, &view, kind)?),
            preprocess: Mutex::new(match info.memory {
                Memory::System => Preprocess::new(&generator, info, view, kind.threads)?,
                Memory::Gl => Preprocess::on_gpu(&generator, info, view, kind.threads)?,
            }),
            output_info: output_info(info, kind.output)?,
            generator,
            info: info.video.clone(),
        })
    }

    /// The info of output frames.
    pub fn output_info(&self) -> &VideoInfo {
        &self.output_info
    }

    /// Size of the generator's tensors.
    pub fn size(&self) -> Size {
        self.tensor
    }

    /// Tensors for the next frame: free ones, or new ones if all are in use.
    pub fn request(&self) -> Result<Request, TranslateError> {
        let free = lock(&self.requests).pop();
        free.map_or_else(
            || Request::new(self.generator.clone(), self.tensor, self.largest_batch),
            Ok,
        )
    }

    /// Takes back the tensors of a frame for reuse.
    pub fn give_back(&self, request: Request) {
        lock(&self.requests).push(request);
    }

    /// The state of the first stage.
    pub fn preprocess(&self) -> &Mutex<Preprocess> {
        &self.preprocess
    }

    /// What the generator saw last; the state of the second stage.
    pub fn last_seen(&self) -> &Mutex<LastSeen> {
        &self.last_seen
    }

    /// The state of the third stage.
    pub fn postprocess(&self) -> &Mutex<Postprocess> {
        &self.postprocess
    }
}
