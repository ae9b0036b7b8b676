// SPDX-License-Identifier: MIT OR Apache-2.0

//! The index of a file, `moov`, and its other top-level boxes.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    boxes::{boxes, find},
    trak::{Trak, tracks},
};
use crate::worker::{
    containers::bytes::{place, read_at},
    pads::probes::Replacement,
};

/// Largest size of an index in bytes.
const LARGEST_INDEX: u64 = 1 << 30;

/// A top-level box of a file: its type, and the offsets of its content and its end.
struct TopBox {
    kind: [u8; 4],
    content: u64,
    end: u64,
}

/// The top-level boxes of a file.
fn top_boxes(file: &Path) -> Result<impl Iterator<Item = TopBox>> {
    let file = File::open(file)?;
    let (length, mut at) = (file.metadata()?.len(), 0);
    Ok(std::iter::from_fn(move || {
        let [a, b, c, d, kind @ ..] = read_at::<8>(&file, at).ok()?;
        let (size, content) = match u32::from_be_bytes([a, b, c, d]) {
            // It extends to the end of the file.
            0 => (length - at, at + 8),
            1 => (u64::from_be_bytes(read_at(&file, at + 8).ok()?), at + 16),
            size => (size.into(), at + 8),
        };
        at = at.checked_add(size).filter(|end| *end >= content)?;
        Some(TopBox { kind, content, end: at })
    }))
}

/// The index of a file.
pub struct Index {
    /// Offset of the content of `moov` in the file.
    pub start: u64,
    /// The content of `moov`.
    pub moov: Vec<u8>,
}

impl Index {
    /// Reads the index of a file; fails if it has none.
    pub fn read(file: &Path) -> Result<Self> {
        let moov = top_boxes(file)?.find(|found| &found.kind == b"moov").context("no index")?;
        let size = moov.end - moov.content;
        ensure!(size <= LARGEST_INDEX, "an index of {size} bytes");
        let mut content = vec![0; size as usize];
        let mut file = File::open(file)?;
        file.seek(SeekFrom::Start(moov.content))?;
        file.read_exact(&mut content)?;
        Ok(Self { start: moov.content, moov: content })
    }

    pub fn tracks(&self) -> impl Iterator<Item = Trak<'_>> {
        tracks(&self.moov)
    }

    /// Replaces the first bytes of `part` of the index.
    pub fn replacement(&self, part: &[u8], new: [u8; 4]) -> Replacement {
        (self.start + place(&self.moov, part).start as u64, new)
    }

    /// Whether it describes a track, or is compressed and cannot tell.
    pub fn has_track(&self) -> bool {
        [b"trak", b"cmov"].iter().any(|kind| find(&self.moov, &[*kind]).is_some())
    }

    /// Whether it only refers to other movies.
    pub fn is_reference(&self) -> bool {
        find(&self.moov, &[b"rmra"]).is_some()
    }

    /// Whether the data of a track are in another file: a flag of its data reference tells if they are in this one.
    pub fn is_elsewhere(&self) -> bool {
        self.tracks().any(|track| {
            let list = track.find(&[b"mdia", b"minf", b"dinf", b"dref"]).unwrap_or_default();
            let mut references = boxes(list.get(8..).unwrap_or_default());
            references.any(|(_, reference)| reference.get(3).is_some_and(|flags| flags & 1 == 0))
        })
    }
}

/// The length that a file would have with its last box complete. Data at the end that are not a box, as some programs
/// write, do not count.
pub fn stated_length(file: &Path) -> Option<u64> {
    let is_box = |found: &TopBox| found.kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xA9));
    top_boxes(file).ok()?.take_while(is_box).last().map(|last| last.end)
}

/// The brand of a file that starts with `head`, if it starts like MP4 and QuickTime files.
pub(super) fn brand(head: &[u8]) -> Option<&[u8]> {
    head.get(8..12).filter(|_| &head[4..8] == b"ftyp")
}

/// Whether a file starts like MP4 and QuickTime files.
pub fn is_isobmff(head: &[u8]) -> bool {
    brand(head).is_some()
}

/// Whether a file has the brand of QuickTime, or none.
pub fn is_quicktime(head: &[u8]) -> bool {
    brand(head).is_none_or(|brand| brand == b"qt  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_index_may_have_tracks_and_an_empty_one_has_none() {
        let index = |kind: &[u8; 4]| {
            let moov = [8u32.to_be_bytes(), *kind].concat();
            Index { start: 0, moov }.has_track()
        };
        assert!(index(b"trak") && index(b"cmov"));
        assert!(!index(b"udta"));
    }
}
