// SPDX-License-Identifier: MIT OR Apache-2.0

//! A GPU provider without a GPU: ONNX Runtime's WebGPU provider on a software Vulkan driver. The test runs in a
//! separate process, because it loads another ONNX Runtime library.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cyclegan_contract::Metadata;

use crate::{
    generators::{self, Models},
    rig::say_skipped,
    runtime::{Plugins, text},
};

/// The SwiftShader driver in Debian's chromium.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// A runtime with the provider and a driver for it; reports the test as skipped if one is missing.
fn webgpu() -> Option<(PathBuf, PathBuf)> {
    let Some(runtime) = env::var_os("CYCLEGAN_TEST_WEBGPU").map(PathBuf::from) else {
        say_skipped(
            "SKIP: WebGPU is not tried; ./dev test sets CYCLEGAN_TEST_WEBGPU to the \
             libonnxruntime.so of onnxruntime-webgpu",
        );
        return None;
    };
    let driver = env::var_os("VK_DRIVER_FILES").map_or_else(|| SWIFTSHADER.into(), PathBuf::from);
    if !driver.is_file() {
        say_skipped(&format!(
            "SKIP: WebGPU is not tried, there is no Vulkan driver at {}; install Debian's chromium",
            driver.display()
        ));
        return None;
    }
    Some((runtime, driver))
}

/// `gst-launch-1.0` with that runtime and driver.
fn launch(plugins: &Plugins, (runtime, driver): &(PathBuf, PathBuf)) -> Command {
    let mut command = plugins.command("gst-launch-1.0");
    command.env("ORT_DYLIB_PATH", runtime).env("VK_DRIVER_FILES", driver);
    command
}

/// A small convolution, because a software driver is slow.
fn small(models: &Models, name: &str) -> PathBuf {
    let size = Metadata { size: Some(32), ..Default::default() };
    models.add(name, &generators::with_metadata(generators::blurred_invert(), &size))
}

/// Translates two frames with a convolution on `provider`; returns the messages and the frames.
fn translated(
    plugins: &Plugins,
    model: &Path,
    provider: &str,
    webgpu: &(PathBuf, PathBuf),
) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames.rgb");
    let mut command = launch(plugins, webgpu);
    command.args(["-v", "videotestsrc", "num-buffers=2", "!"]);
    command.args(["video/x-raw,format=RGB,width=96,height=64", "!", "cycleganfilter"]);
    command.arg(format!("model={}", model.display()));
    command.arg(format!("execution-provider={provider}"));
    command.args(["!", "filesink"]).arg(format!("location={}", frames.display()));
    let output = command.output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{provider}: {:?} {said}", output.status);
    (said, fs::read(&frames).unwrap())
}

#[test]
fn webgpu_gives_the_same_result_as_the_cpu() {
    let Some(webgpu) = webgpu() else { return };
    let models = Models::new();
    let model = small(&models, "G.onnx");
    let plugins = Plugins::new();
    let (said, on_gpu) = translated(&plugins, &model, "webgpu", &webgpu);
    assert!(said.contains("active-provider = webgpu"), "{said}");
    let (said, on_cpu) = translated(&plugins, &model, "cpu", &webgpu);
    assert!(said.contains("active-provider = cpu"), "{said}");
    assert_eq!((on_gpu.len(), on_cpu.len()), (2 * 96 * 64 * 3, 2 * 96 * 64 * 3));
    let off = on_gpu.iter().zip(&on_cpu).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off <= Some(1), "{off:?} grey levels apart");
    assert!(on_gpu.windows(2).any(|pair| pair[0] != pair[1]), "a picture of nothing");
}

/// The sessions of a process share one WebGPU context, which crashes if two threads use it at once.
#[test]
fn filters_take_turns_on_webgpu() {
    let Some(webgpu) = webgpu() else { return };
    let models = Models::new();
    let plugins = Plugins::new();
    let mut command = launch(&plugins, &webgpu);
    for name in ["first", "second", "third", "fourth"] {
        let model = small(&models, &format!("{name}.onnx"));
        command.args(["videotestsrc", "num-buffers=20", "!"]);
        command.args(["video/x-raw,format=RGB,width=32,height=32", "!", "cycleganfilter"]);
        command.arg(format!("model={}", model.display()));
        command.args(["execution-provider=webgpu", "!", "fakesink"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{:?} {}", output.status, text(&output));
}
