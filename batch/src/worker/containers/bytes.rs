// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bytes: numbers, fields that follow each other, and where a part is.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

/// The bytes that are left.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The bytes of `bytes` from `offset` on.
    pub fn at(bytes: &'a [u8], offset: usize) -> Self {
        Self(bytes.get(offset..).unwrap_or_default())
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next number of `size` bytes, the most significant first.
    pub fn big(&mut self, size: u64) -> Option<u64> {
        Some(big_endian(self.take(size)?))
    }

    /// The next number of `size` bytes, the least significant first.
    pub fn little(&mut self, size: u64) -> Option<u64> {
        Some(self.take(size)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

/// The number in these bytes, the most significant first.
pub fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The bytes at `offset` in `file`.
pub fn read_at<const SIZE: usize>(mut file: &File, offset: u64) -> io::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The range of `part` in `bytes`, of which it is a part.
pub fn place(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - bytes.as_ptr().addr();
    start..start + part.len()
}
