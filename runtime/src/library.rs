// SPDX-License-Identifier: MIT OR Apache-2.0

//! What ONNX Runtime's library is called, and where it may be.

use std::{
    cmp::Reverse,
    env, fs,
    path::{Path, PathBuf},
};

/// How an operating system names libraries.
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
    /// The one that this is built for.
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

    /// What the system's loader is asked for, best first.
    fn on_search_path(self) -> &'static [&'static str] {
        match self {
            Self::Linux => &["libonnxruntime.so.1", "libonnxruntime.so"],
            Self::MacOs => &["libonnxruntime.1.dylib", "libonnxruntime.dylib"],
            Self::Windows => &["onnxruntime.dll"],
        }
    }

    /// Whether a file of that name is the library, in any version. Its providers' libraries are not.
    fn is_library(self, name: &str) -> bool {
        match self {
            Self::Linux => name == self.library() || name.starts_with("libonnxruntime.so."),
            Self::MacOs => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
            Self::Windows => name.eq_ignore_ascii_case(self.library()),
        }
    }
}

/// Where the library may be, best first. `ORT_DYLIB_PATH`, where it is set, is the only place.
pub fn candidates(plugin_folder: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let system = System::HERE;
    let mut found = plugin_folder.map(|folder| libraries_in(folder, system)).unwrap_or_default();
    found.extend(system.on_search_path().iter().map(PathBuf::from));
    found
}

/// The libraries in `folder`, the longest version first.
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
    fn each_system_has_its_own_names() {
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
