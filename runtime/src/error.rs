// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong between a model's name and a working generator.

use std::path::PathBuf;

use cyclegan_contract::{ContractError, Direction, Precision, file_name};

use super::{provider::Provider, runtime::RuntimeError};
use cyclegan_contract::Size;

/// A model could not be loaded. Each message names the file, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file, folder or name.
    #[error(
        "model `{model}` not found: it is no file and no folder{}. Set `model` to an ONNX file, to \
         a folder with G.onnx and F.onnx, or to the name of such a folder in CYCLEGAN_MODEL_PATH",
        if searched.is_empty() { String::new() } else { format!(", nor a folder in {}", searched.join(", ")) }
    )]
    NotFound {
        /// What the user asked for.
        model: String,
        /// The folders of the search path, if it was a name.
        searched: Vec<String>,
    },
    /// The folder holds no generator.
    #[error("{} holds neither G.onnx nor F.onnx, expected a folder with one or both", folder.display())]
    NoPair {
        /// The folder.
        folder: PathBuf,
    },
    /// The model has no generator for the direction that is wanted.
    #[error(
        "model `{model}` has no generator {}, expected a folder that holds {} as well",
        direction.letter(),
        file_name(*direction, Precision::Fp32)
    )]
    NoDirection {
        /// The model.
        model: String,
        /// Which generator is missing.
        direction: Direction,
    },
    /// The pair lacks the precision that was named.
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
    /// The file does not fit the model contract.
    #[error("{}: {source}", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        source: ContractError,
    },
    /// The provider that was named cannot run.
    #[error("execution provider `{provider}` cannot run here: {reason}")]
    Provider {
        /// The provider.
        provider: Provider,
        /// Why not, and what to do.
        reason: String,
    },
    /// ONNX Runtime refuses the model.
    #[error("{}: ONNX Runtime cannot load it: {reason}", path.display())]
    Session {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// The generator failed on its first picture.
    #[error("{}: {source}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: RunError,
    },
}

impl LoadError {
    /// Whether another provider might do better.
    pub fn may_be_the_providers(&self) -> bool {
        matches!(self, Self::Provider { .. } | Self::Session { .. })
    }
}

/// A generator failed on a picture.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// ONNX Runtime reports an error.
    #[error("the generator failed on a picture of {}×{} pixels: {reason}", size.width, size.height)]
    Failed {
        /// The size of the input tensor.
        size: Size,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// The output has another shape than the input.
    #[error("its output is {found:?} for an input of {expected:?}, expected the same shape")]
    Shape {
        /// The output's shape, N×C×H×W.
        found: Vec<i64>,
        /// The input's shape, N×C×H×W.
        expected: Vec<i64>,
    },
    /// The output is no picture.
    #[error("its output holds values that are not finite, expected numbers within its range")]
    NotFinite,
}

/// ONNX Runtime's words, without the place in its source that some of them begin with.
pub fn reason<R>(error: &ort::Error<R>) -> String {
    words(error.message()).to_owned()
}

fn words(message: &str) -> &str {
    let words = message.rsplit_once("[ONNXRuntimeError]").map(|(_, words)| words);
    words.and_then(|words| words.splitn(4, " : ").nth(3)).unwrap_or(message).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_onnx_runtimes_source_is_left_out() {
        let message = "/src/provider_bridge_ort.cc:2043 onnxruntime::Provider& Get() \
                       [ONNXRuntimeError] : 1 : FAIL : Failed to load library x.so\n";
        assert_eq!(words(message), "Failed to load library x.so");
        assert_eq!(words("Unexpected input"), "Unexpected input");
    }
}
