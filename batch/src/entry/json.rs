// SPDX-License-Identifier: MIT OR Apache-2.0

//! The JSON files of an entry.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

/// The content of a JSON file, if it exists and is complete.
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// A path that a JSON file can hold; `None` if it is not UTF-8.
pub fn json_path(path: &Path) -> Option<PathBuf> {
    path.to_str().map(PathBuf::from)
}
