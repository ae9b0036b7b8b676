// SPDX-License-Identifier: MIT OR Apache-2.0

//! The folders of outputs, their names and their files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The program's own folder within the output folder.
pub const OWN_FOLDER: &str = ".cyclegan-batch";

/// The folder with the records of `output`, a path below the output folder `out`.
pub fn folder_of(out: &Path, output: &Path) -> PathBuf {
    out.join(OWN_FOLDER).join(short_hash(output.as_os_str().as_encoded_bytes()))
}

/// The first half of the SHA-256 of `bytes` in hexadecimal: collisions are negligible.
pub fn short_hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes)[..16])
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The content of a JSON file, if it exists and is complete.
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Size of a file in bytes; `None` if there is none.
pub fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(|file| file.is_file()).map(|file| file.len())
}
