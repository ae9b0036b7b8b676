// SPDX-License-Identifier: MIT OR Apache-2.0

//! What properties choose among.

use cyclegan_contract as contract;
use cyclegan_runtime::Provider;
use gst::glib;

/// Which of the two generators translates.
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
    /// The direction as the model contract has it.
    pub fn to_contract(self) -> contract::Direction {
        match self {
            Self::Forward => contract::Direction::AToB,
            Self::Reverse => contract::Direction::BToA,
        }
    }

    /// The value's nick.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        }
    }
}

/// What ONNX Runtime runs the generators on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterExecutionProvider")]
pub enum ExecutionProvider {
    /// The first that works of cuda, migraphx, directml, coreml, openvino, cpu.
    #[default]
    #[enum_value(name = "The first that really works here", nick = "auto")]
    Auto,
    /// Any processor.
    #[enum_value(name = "Any processor", nick = "cpu")]
    Cpu,
    /// NVIDIA GPUs.
    #[enum_value(name = "NVIDIA GPUs, through cuDNN", nick = "cuda")]
    Cuda,
    /// NVIDIA GPUs, with engines built for the model.
    #[enum_value(name = "NVIDIA GPUs, through TensorRT", nick = "tensorrt")]
    TensorRt,
    /// Intel processors and GPUs.
    #[enum_value(name = "Intel processors and GPUs, through OpenVINO", nick = "openvino")]
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
    /// What it names; none for `auto`.
    pub(super) fn named(self) -> Option<Provider> {
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

/// Which variant of a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterPrecision")]
pub enum Precision {
    /// int8 on the CPU, fp16 on a GPU, fp32 where the model has no such variant.
    #[default]
    #[enum_value(name = "The variant that suits the provider, where there is one", nick = "auto")]
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
    /// What it names; none for `auto`.
    pub(super) fn named(self) -> Option<contract::Precision> {
        match self {
            Self::Auto => None,
            Self::Fp32 => Some(contract::Precision::Fp32),
            Self::Fp16 => Some(contract::Precision::Fp16),
            Self::Int8 => Some(contract::Precision::Int8),
        }
    }
}

/// How the generator's picture is brought to the frame's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterUpscale")]
pub enum Upscale {
    /// The change is enlarged and added to the frame.
    #[default]
    #[enum_value(name = "Enlarge the change and add it to the sharp frame", nick = "residual")]
    Residual,
    /// The translated picture is enlarged.
    #[enum_value(name = "Enlarge the translated picture", nick = "plain")]
    Plain,
}

/// What of a frame is translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterRegions")]
pub enum Regions {
    /// The whole frame at once.
    #[default]
    #[enum_value(name = "The whole frame", nick = "frame")]
    Frame,
    /// Each box that the buffer's metadata name.
    #[enum_value(name = "Each box that the buffer's metadata name", nick = "meta")]
    Meta,
}

/// What goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterOutput")]
pub enum Output {
    /// The translated frame.
    #[default]
    #[enum_value(name = "The translated frame", nick = "video")]
    Video,
    /// The generator's mask as a GRAY8 frame.
    #[enum_value(name = "The generator's mask, as GRAY8", nick = "mask")]
    Mask,
    /// The translated frame, with the mask as its alpha.
    #[enum_value(name = "The translated frame with the mask as its alpha", nick = "alpha")]
    Alpha,
}

/// What happens to a frame that is late already when it comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterLateFrames")]
pub enum LateFrames {
    /// It is translated all the same.
    #[default]
    #[enum_value(name = "Translate all the same", nick = "translate")]
    Translate,
    /// It goes out as it came in.
    #[enum_value(name = "Pass the original", nick = "pass")]
    Pass,
    /// It gets the change of the frame that was translated last.
    #[enum_value(name = "Apply the change of the last translated frame", nick = "hold")]
    Hold,
    /// It is dropped.
    #[enum_value(name = "Drop", nick = "drop")]
    Drop,
}
