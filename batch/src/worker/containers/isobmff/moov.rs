// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds to the index of MP4 and QuickTime files what `qtmux` of GStreamer 1.22 does not write: chapters, location, date,
//! the names and flags of tracks, and the edit lists of tracks that do not begin at 0.
//!
//! The muxer writes a placeholder tag of the right length, so nothing else in the file moves.

use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{
    boxes::{Change, boxed, boxes, change, find},
    details::{FORCED, FORCED_ROLE, ROLE_SCHEME},
    edits::{self, hide_lead},
    index::Index,
    nero, sound,
    trak::{Header, tracks},
    user_data::{DAY, UserData},
};
use crate::worker::containers::{
    chapters::Chapter,
    track_info::{Flags, ROLES},
};

/// The start of the placeholder tag.
const PLACEHOLDER: &str = "cyclegan-batch-placeholder";
/// Seconds from 1904, the epoch of these files, to 1970.
const FROM_1904: i64 = 2_082_844_800;

#[derive(Debug, Default)]
pub struct Additions {
    /// The date of the input, seconds since 1970 in UTC.
    pub date: Option<i64>,
    /// The date as text, unless it is in the user data: the muxer writes 2021 as 2021-1-1, or not at all.
    pub day: Option<String>,
    /// The user data of the input, in place of that of the muxer.
    pub user_data: Option<UserData>,
    /// The location in ISO 6709, unless it is in the user data.
    pub location: Option<String>,
    pub chapters: Vec<Chapter>,
    /// How much of the presentation lies before its start.
    pub lead: gst::ClockTime,
    /// How long after its start the first track begins.
    pub delay: gst::ClockTime,
    /// Of the tracks in their order.
    pub tracks: Vec<TrackAdditions>,
}

/// What is added to a track.
#[derive(Debug)]
pub struct TrackAdditions {
    pub flags: Flags,
    pub name: Option<String>,
}

impl TrackAdditions {
    /// The new boxes in its `udta`: its name and its roles.
    fn boxes(&self) -> Vec<u8> {
        let mut added = Vec::new();
        if let Some(name) = &self.name {
            added.extend(boxed(b"name", name.as_bytes()));
        }
        let roles = ROLES.into_iter().zip(self.flags.roles).filter(|(_, has)| *has);
        let roles = roles.map(|((_, role), _)| role);
        for role in roles.chain(self.flags.forced.then_some(FORCED_ROLE)) {
            added.extend(boxed(b"kind", &[&[0; 4], ROLE_SCHEME, role, b"\0"].concat()));
        }
        added
    }
}

impl Additions {
    /// Adds the placeholder to the tags of a muxer.
    pub fn make_room(&self, tags: &gst::TagSetter) {
        // Besides, each track may get a `udta` and edits, also that of time codes.
        let of_tracks = self.tracks.iter().map(|track| boxed(b"udta", &track.boxes()).len());
        let of_edits = (self.tracks.len() + 1) * edits::ROOM;
        let room = self.boxes().len() + self.beside().len() + of_tracks.sum::<usize>() + of_edits;
        let text = PLACEHOLDER.to_owned() + &"-".repeat(room);
        tags.add_tag::<gst::tags::ShowSortname>(&text.as_str(), gst::TagMergeMode::Replace);
    }

    /// The new boxes beside `udta`.
    fn beside(&self) -> &[u8] {
        self.user_data.as_ref().map_or(&[], |data| &data.beside)
    }

    /// The new boxes in `udta`: those of the input, Nero's `chpl` and QuickTime's `©xyz`.
    fn boxes(&self) -> Vec<u8> {
        let mut added = self.user_data.as_ref().map_or(Vec::new(), |data| data.inside.clone());
        if !self.chapters.is_empty() {
            added.extend(boxed(b"chpl", &nero::list(&self.chapters)));
        }
        for (kind, text) in [(b"\xA9xyz", &self.location), (DAY, &self.day)] {
            if let Some(text) = text {
                // The length, and an unspecified language.
                let head = [&(text.len() as u16).to_be_bytes()[..], &[0x55, 0xC4]].concat();
                added.extend(boxed(kind, &[&head, text.as_bytes()].concat()));
            }
        }
        added
    }

    /// The changes of the index `moov` that mark the tracks that do not play by default (ISO/IEC 14496-12, section 8.3.2)
    /// and the subtitles that always do.
    fn flags(&self, moov: &[u8]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (track, TrackAdditions { flags, .. }) in tracks(moov).zip(&self.tracks) {
            // After the version and two bytes of other flags.
            let header = track.find(&[b"tkhd"]).and_then(|header| header.get(3..4));
            if let Some(enabled) = header.filter(|_| !flags.default) {
                changes.push(change(moov, enabled, &[enabled[0] & !1]));
            }
            let display = track.entry().and_then(|entry| entry.display_flags());
            if let Some(display) = display.filter(|_| flags.forced) {
                changes.push(change(moov, display, &[display[0] | FORCED]));
            }
        }
        changes
    }

    /// The index `moov` in `length` bytes, with the new boxes in place of the placeholder.
    fn with_boxes(&self, moov: &[u8], length: usize) -> Result<Vec<u8>> {
        let mut new = Vec::new();
        let mut tracks = self.tracks.iter();
        for (kind, content) in boxes(moov) {
            let content = match kind {
                b"trak" => {
                    let added = tracks.next().map(TrackAdditions::boxes).unwrap_or_default();
                    with_user_data(content, &added)
                }
                b"udta" if self.user_data.is_some() => self.boxes(),
                b"udta" => [self.without_replaced(content), self.boxes()].concat(),
                _ => content.to_vec(),
            };
            new.extend(boxed(kind, &content));
        }
        new.extend(self.beside());
        let left = length.checked_sub(new.len()).context("the muxer made no room")?;
        if left > 0 {
            let left = left.checked_sub(8).context("the muxer made too little room")?;
            new.extend(boxed(b"free", &vec![0; left]));
        }
        Ok(new)
    }

    /// The content of the muxer's `udta` without the placeholder, and without the date if there is another.
    fn without_replaced(&self, user_data: &[u8]) -> Vec<u8> {
        let mark = PLACEHOLDER.as_bytes();
        let is_kept = |kind: &[u8], tag: &[u8]| {
            let is_replaced = kind == DAY && self.day.is_some();
            !is_replaced && !tag.windows(mark.len()).any(|text| text == mark)
        };
        let kept = |tags| -> Vec<u8> {
            let tags = boxes(tags).filter(|(kind, tag)| is_kept(kind, tag));
            tags.flat_map(|(kind, tag)| boxed(kind, tag)).collect()
        };
        let mut new = Vec::new();
        for (kind, content) in boxes(user_data) {
            let meta = content.split_at_checked(4).filter(|_| kind == b"meta");
            let Some((version, inside)) = meta else {
                if kind != DAY || self.day.is_none() {
                    new.extend(boxed(kind, content));
                }
                continue;
            };
            let mut meta = version.to_vec();
            for (kind, content) in boxes(inside) {
                let list = (kind == b"ilst").then(|| kept(content));
                meta.extend(boxed(kind, list.as_deref().unwrap_or(content)));
            }
            new.extend(boxed(kind, &meta));
        }
        new
    }

    /// Writes them into the index of `file`, which has the placeholder.
    pub fn complete(&self, file: &Path) -> Result<()> {
        let Index { start, mut moov } = Index::read(file)?;
        let mut changes = self.flags(&moov);
        changes.extend(sound::corrections(&moov));
        if let Some(date) = self.date.and_then(|date| u64::try_from(date + FROM_1904).ok()) {
            changes.extend(dates(&moov, date));
        }
        if !self.lead.is_zero() {
            changes.extend(hide_lead(&moov, self.lead)?);
        }
        for (at, new) in changes {
            moov[at..at + new.len()].copy_from_slice(&new);
        }
        let length = moov.len();
        if !self.delay.is_zero() {
            moov = edits::delayed(&moov, self.delay).unwrap_or(moov);
        }
        let moov = self.with_boxes(&moov, length)?;
        let mut file = OpenOptions::new().write(true).open(file)?;
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&moov)?;
        Ok(file.flush()?)
    }
}

/// The changes of the dates of the presentation, its tracks and their media, in seconds since 1904.
fn dates(moov: &[u8], date: u64) -> impl Iterator<Item = Change> {
    let of_tracks = tracks(moov).flat_map(|track| [track.header(), track.media()]);
    let created = of_tracks.chain([Header::of_movie(moov)]).flatten().map(|header| header.created);
    created.map(move |old| change(moov, old, &date.to_be_bytes()[8 - old.len()..]))
}

/// A `trak` with more boxes in its `udta`.
fn with_user_data(track: &[u8], added: &[u8]) -> Vec<u8> {
    if added.is_empty() {
        return track.to_vec();
    }
    let mut new = Vec::new();
    for (kind, content) in boxes(track).filter(|(kind, _)| *kind != b"udta") {
        new.extend(boxed(kind, content));
    }
    let old = find(track, &[b"udta"]).unwrap_or_default();
    new.extend(boxed(b"udta", &[old, added].concat()));
    new
}
