// SPDX-License-Identifier: MIT OR Apache-2.0

//! The index of a file, `moov`, and its other top-level boxes.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    boxes::{boxes, find, plain},
    trak::{Trak, tracks},
};
use crate::worker::{
    containers::bytes::{place, read_at},
    pads::probes::Replacement,
};

/// Largest size of an index in bytes.
const LARGEST_INDEX: u64 = 1 << 30;
/// Largest size in bytes of metadata beside it.
const LARGEST_METADATA: u64 = 1 << 24;

/// The types of top-level boxes.
const TOP_KINDS: [&[u8; 4]; 18] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"junk",
    b"uuid", b"meta", b"udta", b"sidx", b"ssix", b"prft", b"emsg", b"pdin",
];

/// A top-level box of a file: its type, and the offsets of its content and its end.
struct TopBox {
    kind: [u8; 4],
    content: u64,
    end: u64,
}

impl TopBox {
    /// Its content in `file`; fails if that has more than `most` bytes, or is not whole.
    fn read(&self, mut file: &File, most: u64) -> Result<Vec<u8>> {
        let size = self.end - self.content;
        ensure!(size <= most, "a box of {size} bytes");
        let mut content = vec![0; size as usize];
        file.seek(SeekFrom::Start(self.content))?;
        file.read_exact(&mut content)?;
        Ok(content)
    }
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

/// What a file has beside its index.
#[derive(Debug, Default)]
pub struct OutsideIndex {
    /// The length that the file would have with its last box complete.
    pub stated_length: u64,
    /// Whether it has a complete box with data.
    pub has_data: bool,
    /// Whether there are metadata in XML, such as those of Sony's cameras.
    pub has_xml: bool,
}

impl Index {
    /// Reads the index of a file; fails if it has none.
    pub fn read(file: &Path) -> Result<Self> {
        Ok(Self::read_all(file)?.0)
    }

    /// The same, with what is beside it.
    pub fn read_all(path: &Path) -> Result<(Self, OutsideIndex)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let (mut index, mut beside) = (None, OutsideIndex::default());
        let mut is_garbage = false;
        for found in top_boxes(path)? {
            let is_whole = found.end <= length;
            match &found.kind {
                b"moov" if index.is_none() => {
                    let moov = found.read(&file, LARGEST_INDEX)?;
                    index = Some(Self { start: found.content, moov });
                }
                b"mdat" => beside.has_data |= is_whole,
                b"meta" => {
                    let meta = found.read(&file, LARGEST_METADATA).unwrap_or_default();
                    beside.has_xml |= find(plain(&meta), &[b"xml "]).is_some();
                }
                _ => {}
            }
            // Some programs write data at the end that are not a box, or text, which looks like one.
            is_garbage |= !found.kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xA9));
            let has_all = index.is_some() && beside.has_data;
            if !is_garbage && (is_whole || !has_all || TOP_KINDS.contains(&&found.kind)) {
                beside.stated_length = found.end;
            }
        }
        Ok((index.context("no index")?, beside))
    }

    pub fn tracks(&self) -> impl Iterator<Item = Trak<'_>> {
        tracks(&self.moov)
    }

    /// Replaces the first bytes of `part` of the index.
    pub fn replacement(&self, part: &[u8], new: [u8; 4]) -> Replacement {
        (self.start + place(&self.moov, part).start as u64, new)
    }

    /// Whether it describes a track, or is compressed, so that this is unknown.
    pub fn has_track(&self) -> bool {
        [b"trak", b"cmov"].iter().any(|kind| find(&self.moov, &[*kind]).is_some())
    }

    /// Whether its frames are listed in fragments after it.
    pub fn is_fragmented(&self) -> bool {
        find(&self.moov, &[b"mvex"]).is_some()
    }

    /// Whether it only refers to other movies.
    pub fn is_reference(&self) -> bool {
        find(&self.moov, &[b"rmra"]).is_some()
    }

    /// Whether the data of a track are in another file: a flag of its data reference says whether they are in this one.
    pub fn is_elsewhere(&self) -> bool {
        self.tracks().any(|track| {
            let list = track.find(&[b"mdia", b"minf", b"dinf", b"dref"]).unwrap_or_default();
            let mut references = boxes(list.get(8..).unwrap_or_default());
            references.any(|(_, reference)| reference.get(3).is_some_and(|flags| flags & 1 == 0))
        })
    }
}

/// The brand of a file that starts with `head`, if it starts like MP4 and QuickTime files.
pub(super) fn brand(head: &[u8]) -> Option<&[u8]> {
    head.get(8..12).filter(|_| &head[4..8] == b"ftyp")
}

/// Whether a file starts like MP4 and QuickTime files.
pub fn is_isobmff(head: &[u8]) -> bool {
    brand(head).is_some()
}

/// Whether a file starts like a media segment of a stream (ISO/IEC 14496-12, section 8.16), whose index is elsewhere.
pub fn is_media_segment(head: &[u8]) -> bool {
    matches!(head.get(4..8), Some(b"styp" | b"moof" | b"sidx"))
}

/// Whether a file has the brand of QuickTime, or none.
pub fn is_quicktime(head: &[u8]) -> bool {
    brand(head).is_none_or(|brand| brand == b"qt  ")
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};

    #[test]
    fn only_boxes_count_for_the_length_of_a_file() {
        let stated_length = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            Index::read_all(file.path()).unwrap().1.stated_length
        };
        let [head, data] = [boxed(b"moov", b""), boxed(b"mdat", b"data")];
        let file = [&head[..], &data].concat();
        let text = b"HELLO WORLD, some text of a program";
        assert_eq!(stated_length(&[&file[..], text].concat()), 20);
        assert_eq!(stated_length(&[&head[..], text].concat()), 8 + 0x4845_4C4C);
        let cut = &boxed(b"moof", b"packets")[..9];
        assert_eq!(stated_length(&[&file[..], cut].concat()), 35);
    }

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
