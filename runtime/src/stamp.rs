// SPDX-License-Identifier: MIT OR Apache-2.0

//! Detects whether a file has changed.

use std::{fs, io, path::Path, time::SystemTime};

/// A file's modification time and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl Stamp {
    /// The stamp of the file at `path`; follows links.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified()?, length: metadata.len() })
    }
}
