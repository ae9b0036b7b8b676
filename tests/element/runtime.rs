// SPDX-License-Identifier: MIT OR Apache-2.0

//! The plugin as GStreamer loads it, with and without ONNX Runtime, in child processes.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use gst::prelude::*;
use tempfile::TempDir;

use crate::{
    generators::{self, Models},
    plugin,
    rig::{self, Rig},
};

/// A folder with only the plugins that these tests need, including ours.
pub struct Plugins(TempDir);

impl Plugins {
    /// The folder, with links to the plugins.
    pub fn new() -> Self {
        rig::init();
        let folder = tempfile::tempdir().unwrap();
        for name in ["coreelements", "videotestsrc"] {
            let plugin = gst::Registry::get().find_plugin(name).unwrap();
            let library = plugin.filename().unwrap();
            symlink(&library, folder.path().join(library.file_name().unwrap())).unwrap();
        }
        symlink(our_library(), folder.path().join(plugin::file_name())).unwrap();
        Self(folder)
    }

    /// One of GStreamer's tools, with only these plugins.
    pub fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        command
            .env("GST_PLUGIN_SYSTEM_PATH_1_0", self.0.path())
            .env("GST_REGISTRY_1_0", self.0.path().join("registry.bin"))
            .env("LC_ALL", "C")
            .env_remove("GST_PLUGIN_PATH_1_0")
            .env_remove("GST_PLUGIN_PATH");
        command
    }

    /// Plays a short video through the element with `model`.
    fn launch(&self, model: impl AsRef<OsStr>, environment: &[(&str, &Path)]) -> Output {
        let mut property = std::ffi::OsString::from("model=");
        property.push(model);
        let mut command = self.command("gst-launch-1.0");
        command.args(["videotestsrc", "num-buffers=3", "!"]);
        command.args(["video/x-raw,format=I420,width=32,height=32", "!", "cycleganfilter"]);
        command.arg(property).args(["!", "fakesink"]);
        command.envs(environment.iter().copied());
        command.output().unwrap()
    }
}

/// The plugin that cargo built beside this test.
pub fn our_library() -> PathBuf {
    let library = plugin::beside_test();
    library.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", library.display()))
}

/// The standard output and error of a process.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asserts that the element reported an error and did not crash: a signal leaves no exit code.
#[track_caller]
fn assert_error(output: &Output, says: &[&str]) {
    let text = text(output);
    assert!(output.status.code().is_some_and(|code| code != 0), "{:?}: {text}", output.status);
    let from_filter = text.matches("ERROR: from element").count();
    assert_eq!(from_filter, 1, "{text}");
    for words in says {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

fn invert() -> (Models, PathBuf) {
    let models = Models::new();
    let path = models.add("G.onnx", &generators::invert());
    (models, path)
}

#[test]
fn gst_launch_runs_the_plugin() {
    let (_models, model) = invert();
    let output = Plugins::new().launch(&model, &[]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn gst_inspect_works_without_onnxruntime() {
    let plugins = Plugins::new();
    let mut inspect = plugins.command("gst-inspect-1.0");
    inspect.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    let output = inspect.arg("cycleganfilter").output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for property in ["model ", "direction ", "execution-provider ", "strength ", "stats-interval "]
    {
        assert!(text.contains(property), "no `{property}` in {text}");
    }
    assert!(text.contains("Filter/Effect/Video"), "{text}");
}

#[test]
fn a_missing_onnxruntime_is_an_error_that_says_what_to_install() {
    let (_models, model) = invert();
    let nowhere = Path::new("/nowhere/libonnxruntime.so");
    let output = Plugins::new().launch(&model, &[("ORT_DYLIB_PATH", nowhere)]);
    assert_error(
        &output,
        &["/nowhere/libonnxruntime.so", "pip install onnxruntime", "ORT_DYLIB_PATH"],
    );
}

#[test]
fn a_library_other_than_onnxruntime_is_an_error() {
    let (models, model) = invert();
    let text_file = models.add_bytes("libonnxruntime.so", b"no library at all");
    let plugins = Plugins::new();
    for library in [Path::new("libc.so.6"), &our_library(), &text_file, models.folder()] {
        let output = plugins.launch(&model, &[("ORT_DYLIB_PATH", library)]);
        let name = library.to_str().unwrap();
        assert_error(&output, &["ONNX Runtime", name, "pip install onnxruntime"]);
    }
}

#[test]
fn a_name_is_found_on_the_search_path() {
    let models = Models::new();
    models.add_pair("second/horse2unicorn", &generators::invert(), &generators::identity());
    let empty = models.folder().join("first");
    fs::create_dir(&empty).unwrap();
    let path = std::env::join_paths([&empty, &models.folder().join("second")]).unwrap();
    let plugins = Plugins::new();
    let output = plugins.launch("horse2unicorn", &[("CYCLEGAN_MODEL_PATH", Path::new(&path))]);
    assert!(output.status.success(), "{}", text(&output));

    let output = plugins.launch("horse2unicorn", &[("CYCLEGAN_MODEL_PATH", &empty)]);
    let empty = empty.to_str().unwrap();
    assert_error(&output, &["horse2unicorn", "not found", empty, "CYCLEGAN_MODEL_PATH"]);
}

#[test]
fn a_name_is_found_in_the_users_data_folder() {
    let models = Models::new();
    let (forward, reverse) = (generators::invert(), generators::identity());
    models.add_pair("gstreamer-1.0/cyclegan/models/horse2unicorn", &forward, &reverse);
    let output = Plugins::new().launch("horse2unicorn", &[("XDG_DATA_HOME", models.folder())]);
    assert!(output.status.success(), "{}", text(&output));
}

/// Sets `provider`; returns the messages on the way to READY.
fn ready_on(provider: &str, allow_fallback: bool) -> (gst::Element, bool, Vec<gst::Message>) {
    let (models, model) = invert();
    let filter = rig::new_filter();
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    filter.set_property("cache-dir", models.folder().to_str().unwrap());
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property_from_str("execution-provider", provider);
    filter.set_property("allow-fallback", allow_fallback);
    let is_ready = filter.set_state(gst::State::Ready).is_ok();
    (filter, is_ready, rig::said(&bus))
}

/// Providers for other systems, which no runtime for this one has built in, and what they need.
const ABSENT: [(&str, &str); 2] = [("directml", "it needs Windows"), ("coreml", "it needs macOS")];

#[test]
fn a_named_provider_that_cannot_run_is_an_error() {
    for (provider, system) in ABSENT {
        let (filter, is_ready, messages) = ready_on(provider, false);
        assert!(!is_ready);
        let errors = rig::errors_in(&messages);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(&format!("`{provider}`")), "{}", errors[0]);
        assert!(errors[0].contains(system), "{}", errors[0]);
        // No wheel that one could install here has them.
        assert!(!errors[0].contains("wheel"), "{}", errors[0]);
        assert_eq!(filter.property::<Option<String>>("active-provider"), None);
    }
}

#[test]
fn a_fallback_is_a_warning_and_shows_in_active_provider() {
    for (provider, _) in ABSENT {
        let (filter, is_ready, messages) = ready_on(provider, true);
        assert!(is_ready, "{:?}", rig::errors_in(&messages));
        let warnings = rig::warnings_in(&messages);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("`{provider}`")), "{}", warnings[0]);
        assert_eq!(filter.property::<String>("active-provider"), "cpu");
        filter.set_state(gst::State::Null).unwrap();
        assert_eq!(filter.property::<Option<String>>("active-provider"), None);
    }
}

/// The CPU wheel lacks NVIDIA's providers; the CUDA wheel has them, perhaps on a machine without a GPU. Run it with
/// `ONNXRUNTIME=cuda ./dev test nvidia`.
#[test]
fn nvidia_providers_run_or_say_why_not() {
    for provider in ["cuda", "tensorrt"] {
        let (filter, is_ready, messages) = ready_on(provider, false);
        let errors = rig::errors_in(&messages);
        if is_ready {
            assert_eq!(filter.property::<String>("active-provider"), provider);
            filter.set_state(gst::State::Null).unwrap();
            continue;
        }
        assert_eq!(errors.len(), 1, "{errors:?}");
        let cannot_run = format!("execution provider `{provider}` cannot run here: ");
        let reason = errors[0].strip_prefix(&cannot_run).unwrap_or_else(|| panic!("{}", errors[0]));
        // The error names the wheel to install, or what the machine lacks.
        let says_why = ["onnxruntime-gpu", "It needs an NVIDIA driver"]
            .iter()
            .any(|part| reason.contains(part));
        assert!(says_why, "{reason}");
        assert_eq!(filter.property::<Option<String>>("active-provider"), None);
    }
}

#[test]
fn active_provider_notifies() {
    let (_models, model) = invert();
    let filter = rig::new_filter();
    filter.set_property_from_str("execution-provider", "cpu");
    filter.set_property("model", model.to_str().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    filter.connect_notify(Some("active-provider"), move |filter, _| {
        sender.send(filter.property::<Option<String>>("active-provider")).unwrap();
    });
    let rig = Rig::with_filter(filter);
    assert_eq!(receiver.try_recv().unwrap().as_deref(), Some("cpu"));
    drop(rig);
}

#[test]
fn active_model_is_the_file_that_runs() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    models.add("pair/G.int8.onnx", &generators::invert());
    let filter = rig::new_filter();
    filter.set_property_from_str("execution-provider", "cpu");
    filter.set_property("model", pair.to_str().unwrap());
    let active = |filter: &gst::Element| filter.property::<Option<String>>("active-model");
    assert_eq!(active(&filter), None);
    let rig = Rig::with_filter(filter);
    assert_eq!(active(&rig.filter).as_deref(), pair.join("G.int8.onnx").to_str());
    rig.filter.set_property_from_str("direction", "reverse");
    rig::wait_until("F is loaded", || {
        active(&rig.filter).as_deref() == pair.join("F.onnx").to_str()
    });
}
