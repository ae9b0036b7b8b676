// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finding and loading ONNX Runtime, once for the whole process.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use once_cell::sync::OnceCell;
use ort::{environment::Environment, logging::LogLevel};

/// What ONNX Runtime has to say, and what is found out about it.
pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("onnxruntime", gst::DebugColorFlags::empty(), Some("ONNX Runtime"))
});

/// The folder that the plugin was loaded from, where a runtime may stand beside it.
static PLUGIN_FOLDER: OnceCell<PathBuf> = OnceCell::new();
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

struct Runtime {
    environment: Environment,
    library: PathBuf,
}

/// ONNX Runtime could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error(
    "ONNX Runtime 1.{minimum} or newer is needed and was not found: {tried}. Install it \
     (`./dev setup`, or `pip install onnxruntime`; onnxruntime-gpu for CUDA and TensorRT) and set \
     ORT_DYLIB_PATH to its libonnxruntime.so",
    minimum = ort::MINOR_VERSION,
    tried = .tried.join("; ")
)]
pub struct RuntimeError {
    /// Each place that was tried, and what was wrong there.
    tried: Vec<String>,
}

/// Remembers where the plugin's library stands.
pub fn set_plugin_folder(folder: &Path) {
    // Only the first call counts: a plugin is loaded from one place.
    let _ = PLUGIN_FOLDER.set(folder.to_path_buf());
}

/// The folder that the plugin's library stands in, if a plugin it is.
pub fn plugin_folder() -> Option<&'static Path> {
    PLUGIN_FOLDER.get().map(PathBuf::as_path)
}

/// ONNX Runtime's environment; loads the library at the first call, and again after a failure.
pub fn environment() -> Result<&'static Environment, RuntimeError> {
    Ok(&RUNTIME.get_or_try_init(load)?.environment)
}

/// The library that was loaded.
pub fn library() -> Option<&'static Path> {
    RUNTIME.get().map(|runtime| runtime.library.as_path())
}

fn load() -> Result<Runtime, RuntimeError> {
    let mut tried = Vec::new();
    for library in candidates() {
        match open(&library) {
            Ok(environment) => {
                gst::info!(CAT, "loaded {}: {}", library.display(), ort::info());
                return Ok(Runtime { environment, library });
            }
            Err(reason) => tried.push(reason),
        }
    }
    Err(RuntimeError { tried })
}

/// Where the library may be, best first. `ORT_DYLIB_PATH`, where it is set, is the only place.
fn candidates() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let mut beside = plugin_folder().map(libraries_in).unwrap_or_default();
    // Bare names are looked up by the system's loader.
    beside.extend(["libonnxruntime.so.1", "libonnxruntime.so"].map(PathBuf::from));
    beside
}

/// `libonnxruntime.so*` in `folder`, the longest version name first.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_runtime = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libonnxruntime.so"))
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(is_runtime).collect();
    found.sort_by_key(|path| std::cmp::Reverse(path.as_os_str().len()));
    found
}

fn open(library: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    let log: ort::logging::LoggerFunction = Arc::new(|level, category, _, location, message| {
        let level = match level {
            LogLevel::Fatal | LogLevel::Error => gst::DebugLevel::Error,
            LogLevel::Warning => gst::DebugLevel::Warning,
            LogLevel::Info => gst::DebugLevel::Debug,
            LogLevel::Verbose => gst::DebugLevel::Log,
        };
        gst::log_with_level!(CAT, level, "{category}: {message} ({location})");
    });
    let environment = builder
        .with_name("cycleganfilter")
        .with_telemetry(false)
        .with_logger(log)
        .build()
        .map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}
