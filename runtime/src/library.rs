// SPDX-License-Identifier: MIT OR Apache-2.0

//! The name of ONNX Runtime's library, and where to find it.

use std::{
    cmp::Reverse,
    env, fs,
    path::{Path, PathBuf},
};

/// An operating system, which decides how libraries are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Linux and others with ELF libraries.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl System {
    /// The system that this is built for.
    pub const HERE: Self = if cfg!(target_os = "windows") {
        Self::Windows
    } else if cfg!(target_vendor = "apple") {
        Self::MacOs
    } else {
        Self::Linux
    };

    /// The library's name without a version.
    pub fn library(self) -> &'static str {
        match self {
            Self::Linux => "libonnxruntime.so",
            Self::MacOs => "libonnxruntime.dylib",
            Self::Windows => "onnxruntime.dll",
        }
    }

    /// The names for the system's loader, best first.
    fn on_search_path(self) -> &'static [&'static str] {
        match self {
            Self::Linux => &["libonnxruntime.so.1", "libonnxruntime.so"],
            Self::MacOs => &["libonnxruntime.1.dylib", "libonnxruntime.dylib"],
            Self::Windows => &["onnxruntime.dll"],
        }
    }

    /// Whether a file of that name is the library, in any version, and not a library of a provider.
    fn is_library(self, name: &str) -> bool {
        match self {
            Self::Linux => name == self.library() || name.starts_with("libonnxruntime.so."),
            Self::MacOs => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
            Self::Windows => name.eq_ignore_ascii_case(self.library()),
        }
    }
}

/// The folder beside GStreamer's plugin folder where packages install the library. In the plugin folder itself,
/// GStreamer would try to load it as a plugin.
const PRIVATE_FOLDER: &str = "../cyclegan";

/// Where the library may be, best first. If `ORT_DYLIB_PATH` is set, it is the only place.
pub fn candidates(plugin_folder: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let system = System::HERE;
    let mut found = plugin_folder.map(|plugin| near(plugin, system)).unwrap_or_default();
    found.extend(system.on_search_path().iter().map(PathBuf::from));
    found
}

/// The libraries in the plugin's folder, then those beside it.
fn near(plugin: &Path, system: System) -> Vec<PathBuf> {
    let folders = [plugin.to_path_buf(), plugin.join(PRIVATE_FOLDER)];
    folders.iter().flat_map(|folder| libraries_in(folder, system)).collect()
}

/// The libraries in `folder`, the longest version number first.
fn libraries_in(folder: &Path, system: System) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_library = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| system.is_library(name))
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(is_library).collect();
    found.sort_by_key(|path| Reverse(path.as_os_str().len()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_install_the_library_beside_the_plugin_folder() {
        let lib = tempfile::tempdir().unwrap();
        for folder in ["gstreamer-1.0", "cyclegan"] {
            fs::create_dir(lib.path().join(folder)).unwrap();
        }
        let plugins = lib.path().join("gstreamer-1.0");
        let packaged = plugins.join(PRIVATE_FOLDER).join(System::HERE.on_search_path()[0]);
        fs::write(&packaged, "").unwrap();
        assert_eq!(near(&plugins, System::HERE), [packaged]);
    }

    #[test]
    fn library_names_depend_on_the_system() {
        let files = [
            "libonnxruntime.so",
            "libonnxruntime.so.1.32.0",
            "libonnxruntime_providers_cuda.so",
            "libonnxruntime.1.32.0.dylib",
            "libonnxruntime_providers_shared.dylib",
            "onnxruntime.dll",
            "onnxruntime_providers_cuda.dll",
        ];
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let found = |system| -> Vec<_> {
            let found = libraries_in(folder.path(), system);
            found.iter().map(|path| path.file_name().unwrap().to_owned()).collect()
        };
        assert_eq!(found(System::Linux), ["libonnxruntime.so.1.32.0", "libonnxruntime.so"]);
        assert_eq!(found(System::MacOs), ["libonnxruntime.1.32.0.dylib"]);
        assert_eq!(found(System::Windows), ["onnxruntime.dll"]);
        for system in [System::Linux, System::MacOs, System::Windows] {
            assert!(system.on_search_path().contains(&system.library()));
            assert!(system.is_library(system.library()));
        }
    }
}
