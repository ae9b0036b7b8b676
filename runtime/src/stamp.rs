// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a file has been written since.

use std::{fs, io, path::Path, time::SystemTime};

/// A file's time and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl Stamp {
    /// That of the file at `path`, links followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified()?, length: metadata.len() })
    }
}
