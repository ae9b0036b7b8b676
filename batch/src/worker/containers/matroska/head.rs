// SPDX-License-Identifier: MIT OR Apache-2.0

//! Corrects the head of a file that `matroskamux` of GStreamer 1.22 has written: what it says about the tracks, duration,
//! date, attachments and tags.
//!
//! The muxer writes a long name of itself just before the tracks, which makes room for them to grow, so nothing else in
//! the file moves.

use std::{fs::OpenOptions, io::Write, path::Path};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use super::{
    ebml::{Element, VOID, elements, nested, wrapped},
    entry::{
        CODEC_ELEMENTS, Codec, FLAG_DEFAULT, FLAG_FORCED, LANGUAGE, NAME, PIXEL_HEIGHT,
        PIXEL_WIDTH, TRACK_ENTRY, TRACKS, VIDEO,
    },
    segment::{ATTACHMENTS, INFO, Part, Segment, TIMESTAMP_SCALE},
    tags::{self, FileTags, TAGS},
};
use crate::worker::containers::{
    bytes::big_endian,
    track_info::{Flags, ROLES},
};

const DURATION: u32 = 0x4489;
const WRITING_APP: u32 = 0x5741;
const DATE: u32 = 0x4461;
const TITLE: u32 = 0x7BA9;
const STEREO_MODE: u32 = 0x53B8;
const DISPLAY_WIDTH: u32 = 0x54B0;
const DISPLAY_HEIGHT: u32 = 0x54BA;
const COLOUR: u32 = 0x55B0;
const MASTERING_METADATA: u32 = 0x55D0;
const LUMINANCE_MAX: u32 = 0x55D9;
const LUMINANCE_MIN: u32 = 0x55DA;

/// The name of this program in a file.
const PROGRAM: &str = "cyclegan-batch";
/// Room for the properties of a track besides its name and codec.
const ROOM_PER_TRACK: usize = 256;
/// Seconds from 1970 to 2001, the epoch of Matroska.
const FROM_1970: i64 = 978_307_200;

/// The properties of a track.
#[derive(Clone, Debug)]
pub struct Properties {
    pub flags: Flags,
    /// Its language in ISO 639-2, if it is not in its tags.
    pub language: Option<String>,
    pub name: Option<String>,
    /// Its codec in the input, if its packets are copied.
    pub codec: Option<Codec>,
    /// More elements that are copied from the input.
    pub kept: Vec<u8>,
}

/// What to correct in a file.
#[derive(Debug, Default)]
pub struct Head {
    /// The title of the film; the muxer writes it as a tag only, which some players do not show.
    pub title: Option<String>,
    /// Its tracks in their order.
    pub tracks: Vec<Properties>,
    /// The element with all attachments.
    pub attachments: Option<Vec<u8>>,
    /// The tags of the whole file.
    pub file_tags: Option<FileTags>,
    /// When it was made, seconds since 1970 in UTC.
    pub date: Option<i64>,
    /// Maximum and minimum luminance of the mastering display, cd/m²: GStreamer 1.22 writes a fifth of it.
    pub luminance: Option<[f64; 2]>,
    /// The end of its tracks as far as it is known.
    pub end: gst::ClockTime,
    /// The first time of its tracks, if the end of one is unknown. The muxer's duration then counts from there: it is that of
    /// the longest track, with the gaps of subtitles since GStreamer 1.26.
    pub start: Option<gst::ClockTime>,
}

/// Makes room in the output of `mux` for a title and for tracks with names and codecs of these lengths.
pub fn make_room(mux: &gst::Element, title: Option<&str>, lengths: impl Iterator<Item = usize>) {
    let title = title.map_or(0, |title| wrapped(TITLE, title.as_bytes()).len());
    let room = title + lengths.map(|length| ROOM_PER_TRACK + length).sum::<usize>();
    mux.set_property("writing-app", PROGRAM.to_owned() + &" ".repeat(room));
}

impl Head {
    /// Writes it into `file`, which has the room; attachments and further tags are appended.
    pub fn write(&self, file: &Path) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(file)?;
        let mut segment = Segment::open(file)?;
        self.write_tracks(&mut segment)?;
        tags::correct(&mut segment, self.file_tags.as_ref())?;
        if let Some(attachments) = &self.attachments {
            segment.append(ATTACHMENTS, attachments, INFO)?;
        }
        if let Some(tags) = &self.file_tags {
            segment.append(TAGS, &tags.element, TRACKS)?;
        }
        segment.file.flush()?;
        Ok(())
    }

    /// Writes the information of the segment and, after it, that of the tracks.
    fn write_tracks(&self, segment: &mut Segment) -> Result<()> {
        let info = segment.read(INFO)?.context("no information")?;
        let mut tracks = segment.read(TRACKS)?.context("no tracks")?;
        let (at, room) = (info.at, info.bytes.len() + tracks.bytes.len());
        let is_next = tracks.at == at + info.bytes.len() as u64;
        ensure!(is_next, "the tracks do not follow the information");
        self.correct_luminance(&mut tracks);
        let (info, tracks) = (self.info(info.data()), self.tracks(tracks.data()));
        let (void, fixed) = (wrapped(VOID, &[]).len(), info.len() + tracks.len());
        let left =
            room.checked_sub(fixed + void).context("no room for the properties of tracks")?;
        segment.write(at, &[&info[..], &tracks, &wrapped(VOID, &vec![0; left])].concat())?;
        segment.set_position(TRACKS, TRACKS, at + info.len() as u64)
    }

    /// The information of the segment with the duration, the title and the date, and without the room.
    fn info(&self, info: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        if let Some(title) = &self.title {
            content.extend(wrapped(TITLE, title.as_bytes()));
        }
        let scale = elements(info).find(|element| element.id == TIMESTAMP_SCALE);
        let unit = scale.map_or(1_000_000, |scale| big_endian(scale.data));
        for element in elements(info) {
            match (element.id, self.date) {
                (DURATION, _) => content.extend(self.duration(element, unit)),
                (WRITING_APP, _) => content.extend(wrapped(WRITING_APP, PROGRAM.as_bytes())),
                (DATE, Some(date)) => {
                    // Nanoseconds since 2001.
                    let date = (date - FROM_1970).saturating_mul(1_000_000_000);
                    content.extend(wrapped(DATE, &date.to_be_bytes()));
                }
                (TITLE, _) => {}
                _ => content.extend_from_slice(element.bytes),
            }
        }
        wrapped(INFO, &content)
    }

    /// The duration of the file by that of the muxer, in units of this many nanoseconds.
    fn duration(&self, muxer: Element<'_>, unit: u64) -> Vec<u8> {
        let Ok(duration) = muxer.data.try_into().map(f64::from_be_bytes) else {
            return muxer.bytes.to_vec();
        };
        let units = |time: gst::ClockTime| time.nseconds() as f64 / unit as f64;
        let end = units(self.end);
        let end = self.start.map_or(end, |start| end.max(units(start) + duration));
        wrapped(DURATION, &end.to_be_bytes())
    }

    fn correct_luminance(&self, tracks: &mut Part) {
        let light = self.luminance.into_iter().flatten();
        for (id, light) in [LUMINANCE_MAX, LUMINANCE_MIN].into_iter().zip(light) {
            for field in tracks.places(&[TRACK_ENTRY, VIDEO, COLOUR, MASTERING_METADATA, id]) {
                if let Some(field) = tracks.bytes[field].first_chunk_mut() {
                    *field = light.to_be_bytes();
                }
            }
        }
    }

    fn tracks(&self, tracks: &[u8]) -> Vec<u8> {
        let entries = nested(tracks, &[TRACK_ENTRY]).into_iter().zip(&self.tracks);
        let entries = entries.map(|(entry, properties)| properties.complete(entry));
        wrapped(TRACKS, &entries.collect::<Vec<_>>().concat())
    }
}

impl Properties {
    /// The `entry` of a track with these properties.
    fn complete(&self, entry: Element<'_>) -> Vec<u8> {
        let mut content = Vec::new();
        let mut has_language = false;
        for element in elements(entry.data) {
            has_language |= element.id == LANGUAGE;
            // The muxer gives each track a generic name.
            let is_codec = CODEC_ELEMENTS.contains(&element.id);
            if element.id == VIDEO {
                content.extend(with_display_of_one_eye(element));
            } else if element.id != NAME && !(is_codec && self.codec.is_some()) {
                content.extend_from_slice(element.bytes);
            }
        }
        if let Some(codec) = &self.codec {
            content.extend_from_slice(&codec.elements);
        }
        content.extend_from_slice(&self.kept);
        if let Some(name) = &self.name {
            content.extend(wrapped(NAME, name.as_bytes()));
        }
        if !self.flags.default {
            content.extend(wrapped(FLAG_DEFAULT, &[0]));
        }
        if self.flags.forced {
            content.extend(wrapped(FLAG_FORCED, &[1]));
        }
        for ((flag, _), _) in ROLES.into_iter().zip(self.flags.roles).filter(|(_, has)| *has) {
            content.extend(wrapped(flag, &[1]));
        }
        if let Some(language) = self.language.as_ref().filter(|_| !has_language) {
            content.extend(wrapped(LANGUAGE, language.as_bytes()));
        }
        wrapped(TRACK_ENTRY, &content)
    }
}

/// The properties of a video with the display size of one eye, if the images of both are beside or above each other. The
/// muxer writes that of both.
fn with_display_of_one_eye(video: Element<'_>) -> Vec<u8> {
    let (columns, rows) = match video.field(STEREO_MODE) {
        Some(1 | 11) => (2, 1),
        Some(2 | 3) => (1, 2),
        _ => return video.bytes.to_vec(),
    };
    let mut content = Vec::new();
    for element in elements(video.data) {
        if ![DISPLAY_WIDTH, DISPLAY_HEIGHT].contains(&element.id) {
            content.extend_from_slice(element.bytes);
        }
    }
    for (display, pixels, eyes) in
        [(DISPLAY_WIDTH, PIXEL_WIDTH, columns), (DISPLAY_HEIGHT, PIXEL_HEIGHT, rows)]
    {
        if let Some(size) = video.field(display).or(video.field(pixels)) {
            content.extend(wrapped(display, &(size / eyes).to_be_bytes()));
        }
    }
    wrapped(VIDEO, &content)
}
