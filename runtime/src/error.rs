// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong between a model's name and a working generator.

use std::{path::PathBuf, sync::Arc};

use cyclegan_contract::{ContractError, Direction, Precision, Size, file_name, size_hint};

use super::{library::System, target::Target};

/// ONNX Runtime could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No library was found that is new enough.
    #[error(
        "ONNX Runtime 1.{minimum} or later is required but was not found: {tried}. Install it \
         (`./dev setup`, or `pip install onnxruntime`; onnxruntime-gpu for CUDA and TensorRT) and \
         set ORT_DYLIB_PATH to its {library}",
        minimum = ort::MINOR_VERSION,
        tried = .tried.join("; "),
        library = System::HERE.library()
    )]
    NotFound {
        /// Each place that was tried, and its error.
        tried: Vec<String>,
    },
    /// The library loads but does not start, and no other can replace it.
    #[error(
        "ONNX Runtime was loaded from {} and does not start: {reason}. Set ORT_DYLIB_PATH to the \
         {} of another one, and start again",
        library.display(),
        System::HERE.library()
    )]
    Start {
        /// The library.
        library: PathBuf,
        /// ONNX Runtime's error message.
        reason: String,
    },
}

/// A model could not be loaded. Each message names the file, what was found and what was expected.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The name is empty.
    #[error(
        "`model` is empty. Set `model` to an ONNX file, to a folder with G.onnx and F.onnx, or to the name of such a \
         folder in CYCLEGAN_MODEL_PATH"
    )]
    NoName,
    /// There is no file, folder or pair of that name.
    #[error(
        "model `{model}` not found: it is neither a file nor a folder{}. Set `model` to an ONNX file, to \
         a folder with G.onnx and F.onnx, or to the name of such a folder in CYCLEGAN_MODEL_PATH",
        if searched.is_empty() { String::new() } else { format!(", nor a folder in {}", searched.join(", ")) }
    )]
    NotFound {
        /// The model that the user named.
        model: String,
        /// The folders of the search path, if it was a name.
        searched: Vec<String>,
    },
    /// The folder has no generator.
    #[error(
        "{} holds neither G.onnx nor F.onnx; set `model` to a folder that holds one or both",
        folder.display()
    )]
    NoPair {
        /// The folder.
        folder: PathBuf,
    },
    /// The model has no generator for the requested direction.
    #[error(
        "model `{model}` has no generator {}; set `direction` to {}, or `model` to a folder that holds {}",
        direction.letter(),
        direction.other().name(),
        file_name(*direction, Precision::Fp32)
    )]
    NoDirection {
        /// The model.
        model: String,
        /// Which generator is missing.
        direction: Direction,
    },
    /// The pair lacks the requested precision.
    #[error(
        "{} holds no {}; set `precision` to auto, or export that variant",
        folder.display(),
        file_name(*direction, *precision)
    )]
    NoVariant {
        /// The folder.
        folder: PathBuf,
        /// Which generator is missing.
        direction: Direction,
        /// What was asked for.
        precision: Precision,
    },
    /// ONNX Runtime is missing or too old.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The file does not follow the model contract.
    #[error("{}: {source}", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        source: Arc<ContractError>,
    },
    /// The provider that was named cannot run.
    #[error("execution provider `{target}` cannot run here: {reason}")]
    Provider {
        /// The provider.
        target: Target,
        /// Whether the runtime has it built in and the machine seems to have its device.
        is_present: bool,
        /// Why not, and what to do.
        reason: String,
    },
    /// ONNX Runtime refuses the model.
    #[error("{}: ONNX Runtime cannot load it: {reason}", path.display())]
    Session {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's error message.
        reason: String,
    },
    /// The generator failed on its first image.
    #[error("{}: {source}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: RunError,
    },
}

impl LoadError {
    /// Whether another provider might work.
    pub fn may_be_the_providers(&self) -> bool {
        matches!(self, Self::Provider { .. } | Self::Session { .. })
    }

    /// Whether it leaves a device of this machine unused.
    pub(super) fn loses_device(&self) -> bool {
        !matches!(self, Self::Provider { is_present: false, .. })
    }
}

/// A generator failed on an image.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    /// ONNX Runtime reports an error.
    #[error("the generator failed on an image of {}×{} pixels: {reason}", size.width, size.height)]
    Failed {
        /// The size of the input tensor.
        size: Size,
        /// ONNX Runtime's error message.
        reason: String,
    },
    /// ONNX Runtime reports an error, at another size than the generator's own.
    #[error(
        "the generator failed on an image of {}×{} pixels: {reason}. {}",
        size.width,
        size.height,
        size_hint(*multiple_of)
    )]
    FailedAtSize {
        /// The size of the input tensor.
        size: Size,
        /// What the metadata say, or the default.
        multiple_of: u32,
        /// ONNX Runtime's error message.
        reason: String,
    },
    /// Another thread ended the run, see [`Interrupt`](crate::Interrupt).
    #[error("the run was interrupted")]
    Interrupted,
    /// The output has another shape than the input.
    #[error("its output is {found:?} for an input of {expected:?}, expected the same shape")]
    Shape {
        /// The output's shape, N×C×H×W.
        found: Vec<i64>,
        /// The input's shape, N×C×H×W.
        expected: Vec<i64>,
    },
    /// The mask has another shape than the input.
    #[error("its output `mask` is {found:?}, expected {expected:?}")]
    Mask {
        /// The mask's shape, N×C×H×W.
        found: Vec<i64>,
        /// The shape that fits the input, N×C×H×W.
        expected: Vec<i64>,
    },
    /// The generator accepts only a batch of one.
    #[error("the generator takes one image at a time, not {batch}: its batch axis is fixed")]
    Batch {
        /// The requested batch size.
        batch: u32,
    },
    /// The batch has fewer images.
    #[error("there is no image {index} in a batch of {batch}")]
    Picture {
        /// The image, counted from 0.
        index: u32,
        /// The size of the batch.
        batch: u32,
    },
    /// The output is not an image.
    #[error("its output has values that are not finite, expected numbers within its range")]
    NotFinite,
}
