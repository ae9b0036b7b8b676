// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why a file is not a generator.

use crate::MetadataError;

/// Why a file is not a generator: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file could not be read.
    #[error(transparent)]
    Unreadable(#[from] std::io::Error),
    /// The file has no bytes.
    #[error("the file is empty, expected an ONNX model")]
    Empty,
    /// The bytes do not decode.
    #[error("not an ONNX model, or truncated; download or export it again")]
    NotOnnx(#[from] prost::DecodeError),
    /// The file is of another kind.
    #[error("not an ONNX model but {kind}")]
    OtherKind {
        /// What it is, and what to do.
        kind: &'static str,
    },
    /// The bytes decode, but have no graph.
    #[error("not an ONNX model: it holds no graph with nodes")]
    NoGraph,
    /// The input is not an image.
    #[error("its {found}, expected one image input, float32 or float16, 1×3×H×W{remedy}")]
    Input {
        /// What the model declares, from "input is" or "inputs are".
        found: String,
        /// What to do, or empty.
        remedy: String,
    },
    /// The output is not an image of the input's size.
    #[error(
        "its {found}, expected exactly one image output of the input's size {expected}, and optionally \
         `mask`{remedy}"
    )]
    Output {
        /// What the model declares, from "output is" or "outputs are".
        found: String,
        /// Type and shape of the input.
        expected: String,
        /// What to do, or empty.
        remedy: String,
    },
    /// The mask output is not a mask.
    #[error("its output {found} is not a mask; expected float32 or float16, 1×1×H×W")]
    Mask {
        /// What the model declares.
        found: String,
    },
    /// A fixed size is 0 or too large.
    #[error("its input is {found}, expected sides from 1 to {max} pixels", max = Self::MAX_SIDE)]
    Size {
        /// What the model declares.
        found: String,
    },
    /// Weights are in another file that is missing, too short or outside the model's folder.
    #[error("the data of tensor `{tensor}` are in `{location}`, {problem}")]
    ExternalData {
        /// Name of the tensor.
        tensor: String,
        /// The file that the model names.
        location: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// Control flow nests too deeply.
    #[error("its graphs nest more than {max} deep, expected a plain generator", max = Self::MAX_GRAPH_DEPTH)]
    TooDeep,
    /// A `cyclegan.*` entry is wrong.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl ContractError {
    /// The longest fixed side that is accepted, in pixels.
    pub(crate) const MAX_SIDE: u32 = 8192;

    /// The maximum depth of nested graphs. Only control flow nests graphs, and no generator nests deeper.
    pub(crate) const MAX_GRAPH_DEPTH: usize = 8;
}
