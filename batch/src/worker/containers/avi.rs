// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVI files: their length, since `avidemux` does not report a truncated file, and their number of frames.

use std::{fs::File, io::Read, path::Path};

/// The minimum length of a RIFF file by its header; `None` if it is not RIFF, or was written as a stream.
pub fn whole_length(file: &Path) -> Option<u64> {
    let mut head = [0; 8];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    (head.starts_with(b"RIFF") && size < u32::MAX - 8).then_some(u64::from(size) + 8)
}

/// The minimum number of frames by the header of an AVI.
pub fn frames(file: &Path) -> Option<u64> {
    let mut head = [0; 52];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    // The lists `AVI ` and `hdrl`, and `avih` with eleven numbers, of which this is the fifth.
    let is_avi = &head[8..12] == b"AVI " && &head[24..28] == b"avih";
    is_avi.then(|| u64::from(u32::from_le_bytes([head[48], head[49], head[50], head[51]])))
}
