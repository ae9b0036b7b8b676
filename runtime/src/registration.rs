// SPDX-License-Identifier: MIT OR Apache-2.0

//! Options of the providers for video.

use std::path::Path;

use cyclegan_contract::Precision;
use ort::ep::{self, ExecutionProviderDispatch};

use super::{
    provider::{Provider, ProviderOptions},
    target::{OpenVinoDevice, Target},
    threads,
};

/// The registrations for a session. They fail instead of silently falling back. Compiled engines
/// are kept in the folder `engines`, if there is one. `precision` is that of the model.
pub fn registrations(
    target: Target,
    options: &ProviderOptions,
    precision: Precision,
    engines: Option<&Path>,
) -> Vec<ExecutionProviderDispatch> {
    let device = options.device_id;
    let provider = match target.provider {
        // Without an arena the CPU maps and unmaps memory in every run.
        Provider::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
        Provider::Cuda => cuda(device).build(),
        Provider::TensorRt => tensorrt(device, precision, engines).build(),
        Provider::OpenVino => {
            let device = target.device.unwrap_or(OpenVinoDevice::Cpu);
            openvino(device, options.threads, precision, engines).build()
        }
        // It cannot select a GPU by number, see `availability::require`.
        Provider::WebGpu => ep::WebGPU::default().build(),
        Provider::MiGraphX => {
            let fp16 = precision == Precision::Fp16;
            ep::MIGraphX::default().with_device_id(device).with_fp16(fp16).build()
        }
        Provider::DirectMl => ep::DirectML::default().with_device_id(device).build(),
        Provider::CoreMl => match engines {
            Some(folder) => ep::CoreML::default().with_model_cache_dir(folder.display()).build(),
            None => ep::CoreML::default().build(),
        },
    };
    let mut registrations = vec![provider.error_on_failure()];
    if target.provider == Provider::TensorRt {
        // CUDA runs what TensorRT cannot.
        registrations.push(cuda(device).build().error_on_failure());
    }
    registrations
}

/// CUDA for single images.
fn cuda(device: i32) -> ep::CUDA {
    ep::CUDA::default()
        .with_device_id(device)
        // An exhaustive search benchmarks every algorithm again at each new size.
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        // All runs need the same memory: doubling it would leave half unused.
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
}

fn tensorrt(device: i32, precision: Precision, engines: Option<&Path>) -> ep::TensorRT {
    let provider = ep::TensorRT::default()
        .with_device_id(device)
        .with_fp16(precision == Precision::Fp16)
        // Otherwise its builder refuses quantised layers (microsoft/onnxruntime#13381).
        .with_int8(precision == Precision::Int8)
        // Sums of squares over an image exceed float16's range.
        .with_layer_norm_fp32_fallback(true);
    match engines {
        Some(folder) => provider
            .with_engine_cache(true)
            .with_engine_cache_path(folder.display())
            .with_timing_cache(true)
            .with_timing_cache_path(folder.display()),
        None => provider,
    }
}

fn openvino(
    device: OpenVinoDevice,
    threads: u32,
    precision: Precision,
    engines: Option<&Path>,
) -> ep::OpenVINO {
    let provider = ep::OpenVINO::default().with_device_type(device);
    let provider = match device {
        // A GPU would run everything in float16 by default.
        OpenVinoDevice::Gpu(_) if precision == Precision::Fp32 => provider.with_precision("FP32"),
        OpenVinoDevice::Gpu(_) | OpenVinoDevice::Npu => provider,
        OpenVinoDevice::Cpu => provider.
            // Its default is eight, regardless of the number of cores.
            with_num_threads(threads::count(threads)),
    };
    match engines {
        Some(folder) => provider.with_cache_dir(folder.display()),
        None => provider,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options as ONNX Runtime gets them.
    #[track_caller]
    fn assert_has(options: &dyn std::fmt::Debug, key: &str, value: Option<&str>) {
        let text = format!("{options:?}");
        match value {
            Some(value) => {
                let entry = format!("\"{key}\": \"{value}\"");
                assert!(text.contains(&entry), "{text} lacks {entry}");
            }
            None => assert!(!text.contains(key), "{text} has {key}"),
        }
    }

    #[test]
    fn tensorrt_computes_in_the_models_precision() {
        for (precision, fp16, int8) in [
            (Precision::Fp32, "false", "false"),
            (Precision::Fp16, "true", "false"),
            (Precision::Int8, "false", "true"),
        ] {
            let options = tensorrt(1, precision, Some(Path::new("/engines")));
            assert_has(&options, "trt_fp16_enable", Some(fp16));
            assert_has(&options, "trt_int8_enable", Some(int8));
            assert_has(&options, "device_id", Some("1"));
            assert_has(&options, "trt_engine_cache_path", Some("/engines"));
        }
        let options = tensorrt(0, Precision::Fp32, None);
        assert_has(&options, "trt_engine_cache_path", None);
    }

    #[test]
    fn openvino_gets_device_threads_and_precision() {
        let gpu = openvino(OpenVinoDevice::Gpu(1), 3, Precision::Fp32, None);
        assert_has(&gpu, "device_type", Some("GPU.1"));
        assert_has(&gpu, "precision", Some("FP32"));
        assert_has(&gpu, "num_of_threads", None);
        assert_has(&gpu, "cache_dir", None);
        let gpu = openvino(OpenVinoDevice::Gpu(0), 0, Precision::Fp16, Some(Path::new("/engines")));
        assert_has(&gpu, "precision", None);
        assert_has(&gpu, "cache_dir", Some("/engines"));
        let cpu = openvino(OpenVinoDevice::Cpu, 3, Precision::Int8, None);
        assert_has(&cpu, "device_type", Some("CPU"));
        assert_has(&cpu, "num_of_threads", Some("3"));
        let cpu = openvino(OpenVinoDevice::Cpu, 0, Precision::Int8, None);
        assert_has(&cpu, "num_of_threads", Some(&threads::count(0).to_string()));
        assert_has(
            &openvino(OpenVinoDevice::Npu, 1, Precision::Fp16, None),
            "device_type",
            Some("NPU"),
        );
    }
}
