// SPDX-License-Identifier: MIT OR Apache-2.0

//! ONNX Runtime's execution providers and the options that suit video.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use cyclegan_contract::Precision;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use super::{error::reason, runtime, vulkan};

/// A processor, and the library that ONNX Runtime drives it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Any processor.
    Cpu,
    /// NVIDIA GPUs, through cuDNN.
    Cuda,
    /// NVIDIA GPUs, through TensorRT.
    TensorRt,
    /// Intel processors and GPUs.
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

/// What a provider is opened with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProviderOptions {
    /// Which device, where there are several.
    pub device_id: i32,
    /// Threads of the CPU, 0 for as many as there are cores.
    pub threads: u32,
    /// Where compiled engines are kept between runs.
    pub cache_dir: PathBuf,
}

impl Provider {
    /// What `auto` tries, in this order. Two are left to those who name them: TensorRT builds an
    /// engine for minutes at every new size, and WebGPU aborts the process where Vulkan has drivers
    /// but no device that it likes (seen with ONNX Runtime 1.27 and Mesa's software driver).
    pub const AUTO: [Self; 6] =
        [Self::Cuda, Self::MiGraphX, Self::DirectMl, Self::CoreMl, Self::OpenVino, Self::Cpu];

    /// The provider's name as properties and messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::WebGpu => "webgpu",
            Self::MiGraphX => "migraphx",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
        }
    }

    /// ONNX Runtime's own name for it.
    pub fn onnxruntime_name(self) -> &'static str {
        match self {
            Self::Cpu => ep::CPU::NAME,
            Self::Cuda => ep::CUDA::NAME,
            Self::TensorRt => ep::TensorRT::NAME,
            Self::OpenVino => ep::OpenVINO::NAME,
            Self::WebGpu => ep::WebGPU::NAME,
            Self::MiGraphX => ep::MIGraphX::NAME,
            Self::DirectMl => ep::DirectML::NAME,
            Self::CoreMl => ep::CoreML::NAME,
        }
    }

    /// The PyPI wheel whose library has this provider built in.
    fn wheel(self) -> &'static str {
        match self {
            Self::Cpu | Self::CoreMl => "onnxruntime",
            Self::Cuda | Self::TensorRt => "onnxruntime-gpu",
            Self::OpenVino => "onnxruntime-openvino",
            Self::WebGpu => "onnxruntime-webgpu",
            Self::MiGraphX => "onnxruntime-migraphx",
            Self::DirectMl => "onnxruntime-directml",
        }
    }

    /// What it needs of the machine, beside a runtime that has it built in.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Cpu => "a processor that this runtime was built for",
            Self::Cuda => "an NVIDIA driver, and CUDA and cuDNN on LD_LIBRARY_PATH",
            Self::TensorRt => "an NVIDIA driver, and CUDA, cuDNN and TensorRT on LD_LIBRARY_PATH",
            Self::OpenVino => "OpenVINO's libraries beside it",
            Self::WebGpu => "a GPU with a Vulkan driver",
            Self::MiGraphX => "an AMD GPU with ROCm",
            Self::DirectMl => "Windows with a DirectX 12 GPU",
            Self::CoreMl => "macOS",
        }
    }

    /// The arithmetic that this kind of processor is fastest in.
    pub fn preferred_precision(self) -> Precision {
        match self {
            Self::Cpu | Self::OpenVino => Precision::Int8,
            _ => Precision::Fp16,
        }
    }

    /// Fails, with what to do, if it is known beforehand that it cannot run here; whether it works
    /// is seen by using it.
    pub fn require(self) -> Result<(), String> {
        if !self.is_built_in().map_err(|error| reason(&error))? {
            let library = runtime::library().unwrap_or(Path::new("ONNX Runtime"));
            return Err(format!(
                "{} is built without it; install the wheel {} and set ORT_DYLIB_PATH to its \
                 libonnxruntime.so",
                library.display(),
                self.wheel()
            ));
        }
        match self {
            Self::WebGpu => vulkan::require_driver(),
            _ => Ok(()),
        }
    }

    /// Whether the loaded runtime was built with it.
    fn is_built_in(self) -> ort::Result<bool> {
        match self {
            Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::WebGpu => ep::WebGPU::is_available(),
            Self::MiGraphX => ep::MIGraphX::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
        }
    }

    /// Whether it compiles engines that are kept between runs.
    pub fn compiles_engines(self) -> bool {
        matches!(self, Self::TensorRt | Self::OpenVino | Self::CoreMl)
    }

    /// The registrations for a session, which fail rather than fall back in silence. Compiled
    /// engines are kept in the folder `engines`.
    pub fn registrations(
        self,
        options: &ProviderOptions,
        precision: Precision,
        engines: &Path,
    ) -> Vec<ExecutionProviderDispatch> {
        let device = options.device_id;
        let fp16 = precision == Precision::Fp16;
        let engines = engines.display();
        let provider = match self {
            // Without its arena the CPU maps and unmaps the memory of every run.
            Self::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
            Self::Cuda => cuda(device).build(),
            Self::TensorRt => ep::TensorRT::default()
                .with_device_id(device)
                .with_fp16(fp16)
                // Sums of squares over a picture leave float16's range.
                .with_layer_norm_fp32_fallback(true)
                .with_engine_cache(true)
                .with_engine_cache_path(&engines)
                .with_timing_cache(true)
                .with_timing_cache_path(&engines)
                .build(),
            Self::OpenVino => ep::OpenVINO::default().with_cache_dir(&engines).build(),
            Self::WebGpu => ep::WebGPU::default().with_device_id(device).build(),
            Self::MiGraphX => {
                ep::MIGraphX::default().with_device_id(device).with_fp16(fp16).build()
            }
            Self::DirectMl => ep::DirectML::default().with_device_id(device).build(),
            Self::CoreMl => ep::CoreML::default().with_model_cache_dir(&engines).build(),
        };
        let mut registrations = vec![provider.error_on_failure()];
        if self == Self::TensorRt {
            // What TensorRT cannot run stays on the GPU.
            registrations.push(cuda(device).build().error_on_failure());
        }
        registrations
    }
}

/// CUDA for pictures that come one by one.
fn cuda(device: i32) -> ep::CUDA {
    ep::CUDA::default()
        .with_device_id(device)
        // An exhaustive search benchmarks every algorithm again at each new size.
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        // All runs are alike: doubling the memory each time would leave half of it unused.
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
