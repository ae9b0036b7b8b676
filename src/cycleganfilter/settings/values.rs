// SPDX-License-Identifier: MIT OR Apache-2.0

//! The enums of the element's properties.
//!
//! Their counterparts in `contract`, `frame` and `runtime` do not depend on GLib, and most differ: `auto`
//! is neither a provider nor a precision, and [`cyclegan_frame::Upscale`] carries the strength. GLib's
//! traits cannot be implemented for another crate's enums, so they are converted here.

use cyclegan_contract as contract;
use cyclegan_runtime::Provider;
use gst::glib;

/// Which generator of the pair translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterDirection")]
pub enum Direction {
    /// G, from domain A to domain B.
    #[default]
    #[enum_value(name = "G: from domain A to B, for example horse to zebra", nick = "forward")]
    Forward,
    /// F, from domain B to domain A.
    #[enum_value(name = "F: from domain B to A, for example zebra to horse", nick = "reverse")]
    Reverse,
}

impl Direction {
    /// The direction in the model contract.
    pub fn to_contract(self) -> contract::Direction {
        match self {
            Self::Forward => contract::Direction::AToB,
            Self::Reverse => contract::Direction::BToA,
        }
    }

    /// The direction of the model contract as a property.
    pub fn from_contract(direction: contract::Direction) -> Self {
        match direction {
            contract::Direction::AToB => Self::Forward,
            contract::Direction::BToA => Self::Reverse,
        }
    }
}

/// The execution provider of ONNX Runtime that runs the generators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterExecutionProvider")]
pub enum ExecutionProvider {
    /// The first of cuda, migraphx, directml, coreml, openvino and cpu that works.
    #[default]
    #[enum_value(
        name = "The first of cuda, migraphx, directml, coreml, openvino and cpu that works",
        nick = "auto"
    )]
    Auto,
    /// Any CPU.
    #[enum_value(name = "Any CPU", nick = "cpu")]
    Cpu,
    /// NVIDIA GPUs.
    #[enum_value(name = "NVIDIA GPUs, through cuDNN", nick = "cuda")]
    Cuda,
    /// NVIDIA GPUs, with TensorRT engines built for the model.
    #[enum_value(name = "NVIDIA GPUs, through TensorRT", nick = "tensorrt")]
    TensorRt,
    /// Intel GPUs, NPUs and CPUs.
    #[enum_value(name = "Intel GPUs, NPUs and CPUs, through OpenVINO", nick = "openvino")]
    OpenVino,
    /// Any GPU.
    #[enum_value(name = "Any GPU, through WebGPU", nick = "webgpu")]
    WebGpu,
    /// AMD GPUs.
    #[enum_value(name = "AMD GPUs, through MIGraphX", nick = "migraphx")]
    MiGraphX,
    /// GPUs on Windows.
    #[enum_value(name = "GPUs on Windows, through DirectML", nick = "directml")]
    DirectMl,
    /// Apple processors.
    #[enum_value(name = "Apple processors, through Core ML", nick = "coreml")]
    CoreMl,
}

impl ExecutionProvider {
    /// The runtime's provider; `None` for `auto`.
    pub(super) fn to_provider(self) -> Option<Provider> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some(Provider::Cpu),
            Self::Cuda => Some(Provider::Cuda),
            Self::TensorRt => Some(Provider::TensorRt),
            Self::OpenVino => Some(Provider::OpenVino),
            Self::WebGpu => Some(Provider::WebGpu),
            Self::MiGraphX => Some(Provider::MiGraphX),
            Self::DirectMl => Some(Provider::DirectMl),
            Self::CoreMl => Some(Provider::CoreMl),
        }
    }
}

/// Which variant of a pair to load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterPrecision")]
pub enum Precision {
    /// int8 on CPUs, fp16 on GPUs, and fp32 if the pair has no such variant.
    #[default]
    #[enum_value(
        name = "int8 on CPUs, fp16 on GPUs, fp32 if the pair does not have that variant",
        nick = "auto"
    )]
    Auto,
    /// G.onnx, F.onnx.
    #[enum_value(name = "32-bit floats: G.onnx, F.onnx", nick = "fp32")]
    Fp32,
    /// G.fp16.onnx, F.fp16.onnx.
    #[enum_value(name = "16-bit floats: G.fp16.onnx, F.fp16.onnx", nick = "fp16")]
    Fp16,
    /// G.int8.onnx, F.int8.onnx.
    #[enum_value(name = "8-bit integers: G.int8.onnx, F.int8.onnx", nick = "int8")]
    Int8,
}

impl Precision {
    /// The precision of a model's file; `None` for `auto`.
    pub(super) fn to_precision(self) -> Option<contract::Precision> {
        match self {
            Self::Auto => None,
            Self::Fp32 => Some(contract::Precision::Fp32),
            Self::Fp16 => Some(contract::Precision::Fp16),
            Self::Int8 => Some(contract::Precision::Int8),
        }
    }
}

/// How to bring the generator's output to the size of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterUpscale")]
pub enum Upscale {
    /// Upscale the residual and add it to the frame.
    #[default]
    #[enum_value(
        name = "Upscale the residual, output minus input, and add it to the frame, which stays sharp",
        nick = "residual"
    )]
    Residual,
    /// Upscale the translated picture.
    #[enum_value(name = "Upscale the translated picture", nick = "plain")]
    Plain,
}

/// Which part of a frame to translate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterRegions")]
pub enum Regions {
    /// The whole frame.
    #[default]
    #[enum_value(name = "The whole frame", nick = "frame")]
    Frame,
    /// Each box in the buffer's metadata.
    #[enum_value(name = "Each box in the buffer's metadata", nick = "meta")]
    Meta,
}

/// What to output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterOutput")]
pub enum Output {
    /// The translated frame.
    #[default]
    #[enum_value(name = "The translated frame", nick = "video")]
    Video,
    /// The generator's mask, as GRAY8.
    #[enum_value(name = "The generator's mask, as GRAY8", nick = "mask")]
    Mask,
    /// The translated frame, with the mask as its alpha.
    #[enum_value(name = "The translated frame with the mask as its alpha", nick = "alpha")]
    Alpha,
}

/// What to do with a frame that is already late when it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterLateFrames")]
pub enum LateFrames {
    /// Translate it anyway.
    #[default]
    #[enum_value(name = "Translate anyway", nick = "translate")]
    Translate,
    /// Pass it through unchanged.
    #[enum_value(name = "Pass through unchanged", nick = "pass")]
    Pass,
    /// Apply the residual of the last translated frame.
    #[enum_value(name = "Apply the residual of the last translated frame", nick = "hold")]
    Hold,
    /// Drop it.
    #[enum_value(name = "Drop", nick = "drop")]
    Drop,
}
