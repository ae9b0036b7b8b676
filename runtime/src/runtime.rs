// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading ONNX Runtime, once for the whole process.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use once_cell::sync::OnceCell;
use ort::{environment::Environment, logging::LogLevel};

use super::{
    error::RuntimeError,
    exit,
    library::candidates,
    message::{CAT, reason},
};

/// The folder that the plugin was loaded from, which may contain a runtime.
static PLUGIN_FOLDER: OnceCell<PathBuf> = OnceCell::new();
/// The library that `ort` has loaded and keeps for the life of the process.
static LIBRARY: OnceCell<PathBuf> = OnceCell::new();
static ENVIRONMENT: OnceCell<Environment> = OnceCell::new();

/// Sets the folder of the plugin's library.
pub fn set_plugin_folder(folder: &Path) {
    // Only the first call has an effect: a plugin is loaded from one place.
    let _ = PLUGIN_FOLDER.set(folder.to_path_buf());
}

/// The folder of the plugin's library, if it is loaded as a plugin.
pub fn plugin_folder() -> Option<&'static Path> {
    PLUGIN_FOLDER.get().map(PathBuf::as_path)
}

/// ONNX Runtime's environment; loads the library at the first call, and again after a failure.
pub fn environment() -> Result<&'static Environment, RuntimeError> {
    ENVIRONMENT.get_or_try_init(|| {
        let candidates = match LIBRARY.get() {
            Some(library) => vec![library.clone()],
            None => candidates(plugin_folder()),
        };
        let environment = first_that_loads(candidates, load, start)?;
        exit::close_first();
        Ok(environment)
    })
}

/// The library that was loaded.
pub fn library() -> Option<&'static Path> {
    LIBRARY.get().map(PathBuf::as_path)
}

/// Loads and starts the first library that can be loaded.
fn first_that_loads<L, E>(
    candidates: Vec<PathBuf>,
    load: impl Fn(&Path) -> Result<L, String>,
    start: impl FnOnce(L) -> Result<E, String>,
) -> Result<E, RuntimeError> {
    let mut tried = Vec::new();
    for library in candidates {
        match load(&library) {
            // ort keeps the first library that loads, so there is no second try.
            Ok(loaded) => {
                return start(loaded).map_err(|reason| RuntimeError::Start { library, reason });
            }
            Err(reason) => tried.push(reason),
        }
    }
    Err(RuntimeError::NotFound { tried })
}

fn load(library: &Path) -> Result<ort::environment::EnvironmentBuilder, String> {
    let builder = ort::init_from(library).map_err(|error| load_reason(&error))?;
    let library = LIBRARY.get_or_init(|| library.to_path_buf());
    gst::info!(CAT, "loaded {}: {}", library.display(), ort::info());
    Ok(builder)
}

/// The error with the message of the system's loader, such as the name of a missing library. ort's message leaves them out.
fn load_reason(error: &ort::LoadDynamicError) -> String {
    let source = match error {
        ort::LoadDynamicError::Dlopen { error, .. } => error.source(),
        _ => None,
    };
    source.map_or_else(|| error.to_string(), |words| format!("{error}: {words}"))
}

fn start(builder: ort::environment::EnvironmentBuilder) -> Result<Environment, String> {
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
        .map_err(|error| reason(&error))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<PathBuf> {
        ["missing.so", "broken.so", "good.so"].map(PathBuf::from).to_vec()
    }

    fn load(library: &Path) -> Result<PathBuf, String> {
        match library.to_str() {
            Some("missing.so") => Err("missing.so: no such file".to_owned()),
            _ => Ok(library.to_path_buf()),
        }
    }

    #[test]
    fn the_first_library_that_loads_is_started() {
        let started = first_that_loads(candidates(), load, Ok::<_, String>);
        assert_eq!(started.unwrap(), Path::new("broken.so"));
    }

    /// `ort` would hand out the first library again under the second one's name.
    #[test]
    fn after_a_library_that_does_not_start_no_other_is_tried() {
        let failed = first_that_loads(candidates(), load, |_| Err::<(), _>("no API".to_owned()));
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("broken.so") && message.contains("no API"), "{message}");
        assert!(!message.contains("good.so"), "{message}");
    }

    #[test]
    fn if_no_library_loads_the_error_lists_each_place() {
        let failed = first_that_loads(candidates()[..1].to_vec(), load, Ok::<_, String>);
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("missing.so: no such file"), "{message}");
    }

    /// `load` of this module takes the place of the real one.
    #[test]
    fn the_error_for_a_library_gives_the_loader_s_reason() {
        let message = super::load(Path::new("/nowhere/libonnxruntime.so")).err().unwrap();
        assert!(message.contains("No such file"), "{message}");
    }
}
