// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a file has besides its packets.

use std::{fs::File, path::Path};

use anyhow::Result;

use super::{
    ebml::nested,
    entry::{Entry, TRACK_ENTRY, TRACKS},
    segment::{ATTACHMENTS, INFO, Segment, TIMESTAMP_SCALE},
    tags::{FileTags, TAGS, unread_of_parts},
};

const PREVIOUS_SEGMENT: u32 = 0x3C_B923;
const NEXT_SEGMENT: u32 = 0x3E_B923;
const CHAPTERS: u32 = 0x1043_A770;
const EDITION: u32 = 0x45B9;
const EDITION_FLAG_ORDERED: u32 = 0x45DD;
const CHAPTER: u32 = 0xB6;
const CHAPTER_SEGMENT: u32 = 0x6E67;

/// What GStreamer does not report of a file.
#[derive(Debug, Default)]
pub struct Extras {
    /// The unit of the timestamps, nanoseconds.
    pub unit: i64,
    pub tracks: Vec<Entry>,
    /// The names of the attached files.
    pub attached: Vec<String>,
    /// The tags that GStreamer does not read.
    pub file_tags: Option<FileTags>,
    /// The names of the tags of tracks and chapters that GStreamer does not read.
    pub tags_of_parts: Vec<String>,
    /// The length of the file by its header.
    pub stated_length: Option<u64>,
    /// Whether its chapters define the order in which it plays.
    pub is_ordered: bool,
    /// Whether it continues in another file.
    pub is_linked: bool,
}

impl Extras {
    /// Reads the extras of `file`, without the parts that are missing or damaged; fails if it is not Matroska.
    pub fn read(file: &Path) -> Result<Self> {
        let mut segment = Segment::open(File::open(file)?)?;
        let mut part = |id| segment.read(id).ok().flatten();
        let [info, tracks, chapters, tags] =
            [INFO, TRACKS, CHAPTERS, TAGS].map(|id| part(id).unwrap_or_default());
        let has = |data, path: &[u32]| !nested(data, path).is_empty();
        let unit = nested(info.data(), &[TIMESTAMP_SCALE]).first().map(|unit| unit.number());
        let ordered = nested(chapters.data(), &[EDITION, EDITION_FLAG_ORDERED]);
        Ok(Self {
            unit: unit.and_then(|unit| i64::try_from(unit).ok()).unwrap_or(1_000_000),
            tracks: nested(tracks.data(), &[TRACK_ENTRY]).into_iter().map(Entry::read).collect(),
            attached: segment.attached().unwrap_or_default(),
            file_tags: FileTags::read(tags.data()),
            tags_of_parts: unread_of_parts(tags.data()),
            stated_length: segment.end,
            is_ordered: ordered.iter().any(|flag| flag.number() != 0),
            is_linked: has(info.data(), &[PREVIOUS_SEGMENT])
                || has(info.data(), &[NEXT_SEGMENT])
                || has(chapters.data(), &[EDITION, CHAPTER, CHAPTER_SEGMENT]),
        })
    }

    /// Whether a track is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tracks.iter().any(|track| track.is_encrypted)
    }
}

/// The element of `file` with all attachments.
pub fn attachments(file: &Path) -> Result<Option<Vec<u8>>> {
    let mut segment = Segment::open(File::open(file)?)?;
    Ok(segment.read(ATTACHMENTS)?.map(|part| part.bytes))
}

#[cfg(test)]
mod tests {
    use super::{super::ebml::wrapped, *};

    /// Its index is at the start, and the tags at its end are missing.
    #[test]
    fn a_truncated_file_has_its_other_parts() {
        let seek = [wrapped(0x53AB, &TAGS.to_be_bytes()), wrapped(0x53AC, &[1, 0])].concat();
        let index = wrapped(0x114D_9B74, &wrapped(0x4DBB, &seek));
        let info = wrapped(INFO, &wrapped(NEXT_SEGMENT, &[1]));
        let segment = wrapped(0x1853_8067, &[index, info, vec![0xEC; 256]].concat());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.mkv");
        std::fs::write(&file, &segment[..segment.len() - 256]).unwrap();
        let extras = Extras::read(&file).unwrap();
        assert_eq!(extras.stated_length, Some(segment.len() as u64));
        assert!(extras.is_linked);
    }
}
