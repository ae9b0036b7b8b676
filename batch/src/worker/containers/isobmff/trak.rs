// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tracks of an index: their headers, and their tables of samples.

use super::boxes::{boxes, find, number};
use crate::worker::containers::bytes::Reader;

/// Length of the fields of a video sample entry, which precede its boxes.
const VIDEO_FIELDS: usize = 78;

/// The content of a `trak`.
#[derive(Clone, Copy)]
pub struct Trak<'a>(pub &'a [u8]);

/// The tracks in an index.
pub fn tracks(moov: &[u8]) -> impl Iterator<Item = Trak<'_>> {
    boxes(moov).filter(|(kind, _)| *kind == b"trak").map(|(_, track)| Trak(track))
}

impl<'a> Trak<'a> {
    /// The content of the box at `path`.
    pub fn find(self, path: &[&[u8]]) -> Option<&'a [u8]> {
        find(self.0, path)
    }

    /// Its header; the number in it is the id of the track.
    pub fn header(self) -> Option<Header<'a>> {
        Header::read(self.find(&[b"tkhd"])?, 4)
    }

    /// The header of its media.
    pub fn media(self) -> Option<Header<'a>> {
        Header::read(self.find(&[b"mdia", b"mdhd"])?, 0)
    }

    pub fn id(self) -> Option<u32> {
        Some(self.header()?.number)
    }

    /// The type of its handler, such as `vide`.
    pub fn handler(self) -> Option<&'a [u8]> {
        self.find(&[b"mdia", b"hdlr"])?.get(8..12)
    }

    pub fn is_video(self) -> bool {
        self.handler() == Some(b"vide")
    }

    /// A table of its samples.
    pub fn table(self, kind: &[u8; 4]) -> Option<&'a [u8]> {
        self.find(&[b"mdia", b"minf", b"stbl", kind])
    }

    /// The first description of its samples.
    pub fn entry(self) -> Option<SampleEntry<'a>> {
        // After version, flags and the number of entries.
        let (code, content) = boxes(self.table(b"stsd")?.get(8..)?).next()?;
        Some(SampleEntry { code, content })
    }

    /// The size of all its samples, 0 if it varies, and their number.
    pub fn sizes(self) -> Option<(u32, u32)> {
        let table = self.table(b"stsz")?;
        Some((number(table, 4)?, number(table, 8)?))
    }

    /// The offsets of its chunks in the file.
    pub fn chunks(self) -> Option<Vec<u64>> {
        if let Some(table) = self.table(b"stco") {
            let offsets = table.get(8..)?.as_chunks::<4>().0.iter();
            return Some(offsets.map(|bytes| u32::from_be_bytes(*bytes).into()).collect());
        }
        let offsets = self.table(b"co64")?.get(8..)?.as_chunks::<8>().0.iter();
        Some(offsets.map(|bytes| u64::from_be_bytes(*bytes)).collect())
    }
}

/// A description of samples.
#[derive(Clone, Copy, Default)]
pub struct SampleEntry<'a> {
    /// The code of the codec.
    pub code: &'a [u8],
    /// Its fields and boxes.
    pub content: &'a [u8],
}

impl<'a> SampleEntry<'a> {
    /// The content of the box `kind` of a description of video.
    pub fn of_video(self, kind: &[u8; 4]) -> Option<&'a [u8]> {
        find(self.content.get(VIDEO_FIELDS..)?, &[kind])
    }

    /// The display flags of 3GPP timed text.
    pub fn display_flags(self) -> Option<&'a [u8]> {
        // After six zeros and a reference.
        self.content.get(8..12).filter(|_| self.code == b"tx3g")
    }
}

/// The fields that `mvhd`, `tkhd` and `mdhd` have in common. Times have four or eight bytes.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    /// When it was made, seconds since 1904.
    pub created: &'a [u8],
    /// The number of time units per second; in `tkhd`, the id of the track.
    pub number: u32,
    pub duration: &'a [u8],
}

impl<'a> Header<'a> {
    /// The header of the presentation.
    pub fn of_movie(moov: &'a [u8]) -> Option<Self> {
        Self::read(find(moov, &[b"mvhd"])?, 0)
    }

    /// A header with `gap` bytes before its duration.
    fn read(content: &'a [u8], gap: u64) -> Option<Self> {
        let mut rest = Reader(content);
        let version = rest.take(4)?[0];
        let size = if version == 1 { 8 } else { 4 };
        let created = rest.take(size)?;
        let _changed = rest.take(size)?;
        let number = rest.big(4)? as u32;
        let _gap = rest.take(gap)?;
        Some(Self { created, number, duration: rest.take(size)? })
    }
}
