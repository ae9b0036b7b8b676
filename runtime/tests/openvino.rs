// SPDX-License-Identifier: MIT OR Apache-2.0

//! OpenVINO's devices. The tests run in separate processes, because they load another ONNX Runtime library.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{env, path::Path, process::Command};

use cyclegan_contract::{Direction, Metadata, Size};
use cyclegan_runtime::{
    LoadError, LoadOptions, OpenVinoDevice, Pair, Provider, ProviderOptions, RunError, Target,
    Warning,
};
use cyclegan_test_support::{
    generators::{self, Models},
    skip,
};

/// The variable that marks a child process.
const CHILD: &str = "CYCLEGAN_TEST_OPENVINO_CHILD";

/// Runs `test` again in a child process with OpenVINO's runtime, or reports it as skipped without one. True in
/// the child process.
fn is_child(test: &str) -> bool {
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let Some(runtime) = env::var_os("CYCLEGAN_TEST_OPENVINO") else {
        skip::say_skipped(
            "SKIP: OpenVINO is not tried; set CYCLEGAN_TEST_OPENVINO to the libonnxruntime.so of \
             onnxruntime-openvino",
        );
        return false;
    };
    let libraries = Path::new(&runtime).parent().unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs([(CHILD, "1".as_ref()), ("ORT_DYLIB_PATH", runtime.as_os_str())])
        .env("LD_LIBRARY_PATH", libraries)
        .status();
    assert!(status.unwrap().success());
    false
}

fn load(model: &Path, provider: Option<Provider>, device_id: i32) -> Result<Pair, LoadError> {
    let cache_dir = model.parent().unwrap().join("cache");
    let provider_options = ProviderOptions { device_id, threads: 1, cache_dir };
    let options =
        LoadOptions { provider, allow_fallback: false, precision: None, provider_options };
    Pair::load(model.to_str().unwrap(), &options)
}

fn model(models: &Models) -> std::path::PathBuf {
    let small = Metadata { size: Some(32), ..Default::default() };
    models.add("G.onnx", &generators::with_metadata(generators::blurred_invert(), &small))
}

#[test]
fn openvino_runs_on_the_first_device_present() {
    if !is_child("openvino_runs_on_the_first_device_present") {
        return;
    }
    let models = Models::new();
    let pair = load(&model(&models), Some(Provider::OpenVino), 0).unwrap();
    assert_eq!(pair.provider(), Provider::OpenVino);
    if !Path::new("/dev/dri").exists() && !Path::new("/dev/accel").exists() {
        assert_eq!(pair.target(), Target::from(OpenVinoDevice::Cpu));
        let warnings = pair.take_warnings();
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    pair.generator(Direction::AToB).unwrap();
}

#[test]
fn a_missing_device_is_an_error() {
    if !is_child("a_missing_device_is_an_error") {
        return;
    }
    let models = Models::new();
    let error = load(&model(&models), Some(Provider::OpenVino), 7).err().unwrap();
    let LoadError::Provider { target, .. } = &error else { panic!("{error}") };
    assert_eq!(*target, Target::from(OpenVinoDevice::Gpu(7)), "{error}");
    eprintln!("{error}");
}

#[test]
fn auto_does_not_warn_about_missing_devices() {
    if !is_child("auto_does_not_warn_about_missing_devices") {
        return;
    }
    let models = Models::new();
    let pair = load(&model(&models), None, 0).unwrap();
    eprintln!("auto: {}", pair.target());
    assert!(matches!(pair.provider(), Provider::OpenVino | Provider::Cpu));
    let warnings = pair.take_warnings();
    assert!(warnings.is_empty() || Path::new("/dev/dri").exists(), "{warnings:?}");
}

#[test]
fn openvino_runs_without_a_writable_folder() {
    if !is_child("openvino_runs_without_a_writable_folder") {
        return;
    }
    let models = Models::new();
    let model = model(&models);
    // A file in place of the folder.
    std::fs::write(models.folder().join("cache"), "").unwrap();
    // SAFETY: the process runs only this test, and no other thread reads the environment.
    unsafe { env::set_var("TMPDIR", "/nowhere") };
    let pair = load(&model, Some(Provider::OpenVino), 0).unwrap();
    assert_eq!(pair.provider(), Provider::OpenVino);
    let warnings = pair.take_warnings();
    let [Warning::NoCache { .. }, Warning::NotVerified { .. }] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    for warning in warnings {
        eprintln!("{warning}");
    }
}

/// Reopens the pair as the element does if a generator fails on frames of the negotiated size.
#[test]
fn a_failing_pair_reopens_on_the_cpu_if_fallback_is_allowed() {
    if !is_child("a_failing_pair_reopens_on_the_cpu_if_fallback_is_allowed") {
        return;
    }
    let models = Models::new();
    let model = model(&models);
    let pair = load(&model, Some(Provider::OpenVino), 0).unwrap();
    let size = Size { width: 4096, height: 2160 };
    let oom = || RunError::Failed { size, reason: "out of memory".to_owned() };
    if pair.target() == Target::from(OpenVinoDevice::Cpu) {
        let error = pair.reopen(oom()).err().unwrap().to_string();
        assert!(error.contains("4096×2160") && error.contains("out of memory"), "{error}");
    }

    let options = LoadOptions { allow_fallback: true, ..pair.options().clone() };
    let pair = Pair::load(model.to_str().unwrap(), &options).unwrap();
    assert_eq!(pair.provider(), Provider::OpenVino);
    let pair = pair.reopen(oom()).unwrap();
    if !Path::new("/dev/dri").exists() {
        assert_eq!(pair.provider(), Provider::Cpu);
    }
    assert!(pair.generator(Direction::AToB).is_some() && pair.generator(Direction::BToA).is_none());
    let warnings = pair.take_warnings();
    let [Warning::Reopened { .. }] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warnings[0].to_string().contains("out of memory"), "{}", warnings[0]);
}
