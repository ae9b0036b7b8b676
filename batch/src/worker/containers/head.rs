// SPDX-License-Identifier: MIT OR Apache-2.0

//! The start of a file, where most containers describe themselves.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// How much of a file is read, bytes.
const LENGTH: u64 = 1 << 20;

/// The first MiB of `file`, or all of it.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)?.take(LENGTH).read_to_end(&mut head)?;
    Ok(head)
}
