// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds to the index of MP4 and QuickTime files what `qtmux` of GStreamer 1.22 does not write: chapters, location, date
//! and the edit lists of sound that begins before 0.
//!
//! The muxer writes a placeholder tag of the right length, so nothing else in the file moves.

use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use super::{
    chapters::Chapter,
    edits::hide_lead,
    isobmff::{Index, boxes, find, index, nero_list, place},
    rates,
};

/// The start of the placeholder tag.
const PLACEHOLDER: &str = "cyclegan-batch-placeholder";
/// Seconds from 1904, the epoch of these files, to 1970.
const FROM_1904: i64 = 2_082_844_800;

#[derive(Debug, Default)]
pub struct Additions {
    /// The date of the input, seconds since 1970 in UTC.
    pub date: Option<i64>,
    /// The location in ISO 6709.
    pub location: Option<String>,
    pub chapters: Vec<Chapter>,
    /// How much of the presentation lies before its start, nanoseconds.
    pub lead: u64,
}

impl Additions {
    /// Adds the placeholder to the tags of a muxer.
    pub fn make_room(&self, tags: &gst::TagSetter) {
        let added = self.boxes();
        if !added.is_empty() {
            let text = PLACEHOLDER.to_owned() + &"-".repeat(added.len());
            tags.add_tag::<gst::tags::ShowSortname>(&text.as_str(), gst::TagMergeMode::Replace);
        }
    }

    /// The new boxes in `udta`: Nero's `chpl` and QuickTime's `©xyz`.
    fn boxes(&self) -> Vec<u8> {
        let mut added = Vec::new();
        if !self.chapters.is_empty() {
            added.extend(boxed(b"chpl", &nero_list(&self.chapters)));
        }
        if let Some(location) = &self.location {
            // The length, and an unspecified language.
            let head = [&(location.len() as u16).to_be_bytes()[..], &[0x55, 0xC4]].concat();
            added.extend(boxed(b"\xA9xyz", &[&head, location.as_bytes()].concat()));
        }
        added
    }

    /// Writes them into the index of `file`, which has the placeholder.
    pub fn complete(&self, file: &Path) -> Result<()> {
        let Index { start, mut moov } = index(file)?;
        rates::remove_wrong(&mut moov);
        if let Some(date) = self.date.and_then(|date| u64::try_from(date + FROM_1904).ok()) {
            set_dates(&mut moov, date);
        }
        let added = self.boxes();
        if !added.is_empty() {
            replace_placeholder(&mut moov, &added)?;
        }
        if self.lead > 0 {
            hide_lead(&mut moov, self.lead)?;
        }
        let mut file = OpenOptions::new().write(true).open(file)?;
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&moov)?;
        Ok(file.flush()?)
    }
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes(), &kind[..], content].concat()
}

/// Sets the dates of the presentation, its tracks and their media, in seconds since 1904.
fn set_dates(moov: &mut [u8], date: u64) {
    let tracks = || boxes(moov).filter(|(kind, _)| *kind == b"trak").map(|(_, track)| track);
    let of_tracks = tracks().flat_map(|track| {
        [find(track, &[b"tkhd"]), find(track, &[b"mdia", b"mdhd"])].into_iter().flatten()
    });
    let headers = find(moov, &[b"mvhd"]).into_iter().chain(of_tracks);
    let places: Vec<_> = headers.map(|header| place(moov, header)).collect();
    for header in places {
        // After version and flags.
        match moov[header].split_at_mut_checked(4) {
            Some(([1, ..], [a, b, c, d, e, f, g, h, ..])) => {
                [*a, *b, *c, *d, *e, *f, *g, *h] = date.to_be_bytes();
            }
            Some((_, [a, b, c, d, ..])) => [*a, *b, *c, *d] = (date as u32).to_be_bytes(),
            _ => {}
        }
    }
}

/// Replaces the placeholder tag with `added`, stored next to the tags in `udta`.
fn replace_placeholder(moov: &mut [u8], added: &[u8]) -> Result<()> {
    let missing = "the muxer made no room for chapters and location";
    let udta = place(moov, find(moov, &[b"udta"]).context(missing)?);
    let content = &moov[udta.clone()];
    let meta = place(content, find(content, &[b"meta"]).context(missing)?);
    let ilst = find(&content[meta.start + 4..meta.end], &[b"ilst"]).context(missing)?;
    let mark = PLACEHOLDER.as_bytes();
    let (_, tag) = boxes(ilst)
        .find(|(_, tag)| tag.windows(mark.len()).any(|text| text == mark))
        .context(missing)?;
    let (ilst, tag) = (place(content, ilst), place(content, tag));
    let room = tag.len() + 8;
    let mut new = [&content[..tag.start - 8], &content[tag.end..]].concat();
    for outer in [meta, ilst] {
        let size = (outer.len() + 8 - room) as u32;
        new[outer.start - 8..outer.start - 4].copy_from_slice(&size.to_be_bytes());
    }
    ensure!(room >= added.len() + 8, missing);
    new.extend_from_slice(added);
    new.extend(boxed(b"free", &vec![0; room - added.len() - 8]));
    moov[udta].copy_from_slice(&new);
    Ok(())
}
