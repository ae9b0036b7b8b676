// SPDX-License-Identifier: MIT OR Apache-2.0

//! ONNX Runtime's execution providers.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use cyclegan_contract::Precision;
use ort::ep::{self, ExecutionProvider};

use super::library::System;

/// An execution provider of ONNX Runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Any CPU.
    Cpu,
    /// NVIDIA GPUs with cuDNN.
    Cuda,
    /// NVIDIA GPUs with TensorRT.
    TensorRt,
    /// Intel GPUs, NPUs and CPUs.
    OpenVino,
    /// Any GPU with Vulkan, Metal or Direct3D 12.
    WebGpu,
    /// AMD GPUs.
    MiGraphX,
    /// GPUs on Windows.
    DirectMl,
    /// Apple processors.
    CoreMl,
}

/// Options of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderOptions {
    /// Number of the device, if there are several.
    pub device_id: i32,
    /// CPU threads, 0 for one per core.
    pub threads: u32,
    /// Where compiled engines are kept between runs.
    pub cache_dir: PathBuf,
}

/// What is known about a provider.
struct Facts {
    /// Its name in properties and messages.
    name: &'static str,
    /// Its name in ONNX Runtime.
    onnxruntime_name: &'static str,
    is_built_in: fn() -> ort::Result<bool>,
    /// The PyPI wheel that contains it.
    wheel: &'static str,
    /// The systems for which ONNX Runtime is built with it.
    systems: &'static [System],
    /// What the machine needs, in addition to a runtime that has it built in.
    needs: &'static str,
    /// The arithmetic that this kind of processor is fastest in.
    precision: Precision,
    /// Whether it compiles engines that are kept between runs.
    compiles_engines: bool,
    /// Whether it compiles the model for each shape of its input.
    is_per_shape: bool,
    /// On Linux, files of which at least one exists if the machine has such a device. Empty if there
    /// are no such files.
    device_files: &'static [&'static str],
}

const ALL: &[System] = &[System::Linux, System::MacOs, System::Windows];
const NOT_APPLE: &[System] = &[System::Linux, System::Windows];

const NVIDIA: &[&str] =
    &["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg"];

impl Provider {
    /// The providers that `auto` tries, in this order. It leaves out two: TensorRT builds an engine for
    /// minutes at every new size, and WebGPU aborts the process if Vulkan has drivers but no suitable
    /// device (seen with ONNX Runtime 1.27 and Mesa's software driver).
    pub const AUTO: [Self; 6] =
        [Self::Cuda, Self::MiGraphX, Self::DirectMl, Self::CoreMl, Self::OpenVino, Self::Cpu];

    /// The provider's name in properties and messages.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// ONNX Runtime's own name for it.
    pub fn onnxruntime_name(self) -> &'static str {
        self.facts().onnxruntime_name
    }

    /// Whether there is an ONNX Runtime with this provider for `system`.
    pub(super) fn exists_on(self, system: System) -> bool {
        self.facts().systems.contains(&system)
    }

    /// The PyPI wheel whose library has this provider built in.
    pub(super) fn wheel(self) -> &'static str {
        self.facts().wheel
    }

    /// What the machine needs, in addition to a runtime that has it built in.
    pub fn needs(self) -> &'static str {
        self.facts().needs
    }

    /// The arithmetic that this kind of processor is fastest in.
    pub fn preferred_precision(self) -> Precision {
        self.facts().precision
    }

    /// Whether the loaded runtime was built with it.
    pub(super) fn is_built_in(self) -> ort::Result<bool> {
        (self.facts().is_built_in)()
    }

    /// Whether it compiles engines that are kept between runs.
    pub(super) fn compiles_engines(self) -> bool {
        self.facts().compiles_engines
    }

    /// Whether it compiles the model for each shape of its input, which may take minutes.
    pub fn is_per_shape(self) -> bool {
        self.facts().is_per_shape
    }

    /// Whether the machine seems to have a device for it; true if that is unknown.
    pub(super) fn may_have_device(self) -> bool {
        let files = self.facts().device_files;
        !cfg!(target_os = "linux")
            || files.is_empty()
            || files.iter().any(|file| Path::new(file).exists())
    }

    fn facts(self) -> Facts {
        match self {
            Self::Cpu => Facts {
                name: "cpu",
                onnxruntime_name: ep::CPU::NAME,
                is_built_in: || Ok(true),
                wheel: "onnxruntime",
                systems: ALL,
                needs: "a CPU that this runtime was built for",
                precision: Precision::Int8,
                compiles_engines: false,
                is_per_shape: false,
                device_files: &[],
            },
            Self::Cuda => Facts {
                name: "cuda",
                onnxruntime_name: ep::CUDA::NAME,
                is_built_in: ep::CUDA::is_available,
                wheel: "onnxruntime-gpu",
                systems: NOT_APPLE,
                needs: "an NVIDIA driver, and CUDA and cuDNN on LD_LIBRARY_PATH",
                precision: Precision::Fp16,
                compiles_engines: false,
                is_per_shape: false,
                device_files: NVIDIA,
            },
            Self::TensorRt => Facts {
                name: "tensorrt",
                onnxruntime_name: ep::TensorRT::NAME,
                is_built_in: ep::TensorRT::is_available,
                wheel: "onnxruntime-gpu",
                systems: NOT_APPLE,
                needs: "an NVIDIA driver, and CUDA, cuDNN and TensorRT on LD_LIBRARY_PATH",
                precision: Precision::Fp16,
                compiles_engines: true,
                is_per_shape: true,
                device_files: NVIDIA,
            },
            Self::OpenVino => Facts {
                name: "openvino",
                onnxruntime_name: ep::OpenVINO::NAME,
                is_built_in: ep::OpenVINO::is_available,
                wheel: "onnxruntime-openvino",
                systems: NOT_APPLE,
                needs: "OpenVINO's libraries beside it, and for a GPU or NPU Intel's driver",
                precision: Precision::Fp16,
                compiles_engines: true,
                is_per_shape: true,
                device_files: &[],
            },
            Self::WebGpu => Facts {
                name: "webgpu",
                onnxruntime_name: ep::WebGPU::NAME,
                is_built_in: ep::WebGPU::is_available,
                wheel: "onnxruntime-webgpu",
                systems: ALL,
                needs: "a GPU with a Vulkan driver",
                precision: Precision::Fp16,
                compiles_engines: false,
                is_per_shape: false,
                device_files: &[],
            },
            Self::MiGraphX => Facts {
                name: "migraphx",
                onnxruntime_name: ep::MIGraphX::NAME,
                is_built_in: ep::MIGraphX::is_available,
                wheel: "onnxruntime-migraphx",
                systems: NOT_APPLE,
                needs: "an AMD GPU with ROCm",
                precision: Precision::Fp16,
                compiles_engines: false,
                is_per_shape: true,
                device_files: &["/dev/kfd"],
            },
            Self::DirectMl => Facts {
                name: "directml",
                onnxruntime_name: ep::DirectML::NAME,
                is_built_in: ep::DirectML::is_available,
                wheel: "onnxruntime-directml",
                systems: &[System::Windows],
                needs: "Windows with a DirectX 12 GPU",
                precision: Precision::Fp16,
                compiles_engines: false,
                is_per_shape: true,
                device_files: &[],
            },
            Self::CoreMl => Facts {
                name: "coreml",
                onnxruntime_name: ep::CoreML::NAME,
                is_built_in: ep::CoreML::is_available,
                wheel: "onnxruntime",
                systems: &[System::MacOs],
                needs: "macOS",
                precision: Precision::Fp16,
                compiles_engines: true,
                is_per_shape: true,
                device_files: &[],
            },
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_ends_with_the_cpu() {
        assert_eq!(Provider::AUTO.last(), Some(&Provider::Cpu));
    }
}
