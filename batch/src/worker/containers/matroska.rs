// SPDX-License-Identifier: MIT OR Apache-2.0

//! Data of Matroska files (RFC 9559) that `matroskademux` and `matroskamux` of GStreamer 1.22 ignore: default and
//! forced flags, rotation, attachments and the date.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    ebml::{Element, Segment, children, elements, float, nested, number, text},
    matroska_tags::{self, OtherTags, TAGS},
};
use crate::worker::elements::caps::WEBVTT;

const INFO: u32 = 0x1549_A966;
const DATE: u32 = 0x4461;
const TIMESTAMP_SCALE: u32 = 0x2AD7B1;
const PREVIOUS_SEGMENT: u32 = 0x3C_B923;
const NEXT_SEGMENT: u32 = 0x3E_B923;
const CHAPTERS: u32 = 0x1043_A770;
const EDITION: u32 = 0x45B9;
const EDITION_FLAG_ORDERED: u32 = 0x45DD;
const CHAPTER: u32 = 0xB6;
const CHAPTER_SEGMENT: u32 = 0x6E67;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const TRACK_NUMBER: u32 = 0xD7;
const TRACK_TYPE: u32 = 0x83;
/// A track type.
const SUBTITLES: u64 = 0x11;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63A2;
const TRACK_UID: u32 = 0x73C5;
const LANGUAGE: u32 = 0x22_B59C;
const CODEC_DELAY: u32 = 0x56AA;
const NAME: u32 = 0x536E;
const FLAG_DEFAULT: u32 = 0x88;
const FLAG_FORCED: u32 = 0x55AA;
const FLAG_LACING: u32 = 0x9C;
const DEFAULT_DURATION: u32 = 0x23_E383;
const VIDEO: u32 = 0xE0;
const PROJECTION: u32 = 0x7670;
const PROJECTION_TYPE: u32 = 0x7671;
const PROJECTION_POSE_ROLL: u32 = 0x7675;
const COLOUR: u32 = 0x55B0;
const MASTERING_METADATA: u32 = 0x55D0;
const LUMINANCE_MAX: u32 = 0x55D9;
const LUMINANCE_MIN: u32 = 0x55DA;
const ATTACHMENTS: u32 = 0x1941_A469;
const ATTACHED_FILE: u32 = 0x61A7;
const FILE_NAME: u32 = 0x466E;

/// Seconds from 1970 to 2001, the epoch of Matroska.
const FROM_1970: i64 = 978_307_200;

/// How a player treats a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// It plays if the user does not choose another track.
    pub default: bool,
    /// It always plays, such as subtitles for foreign speech.
    pub forced: bool,
}

/// What a track is encoded in.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Its name in Matroska.
    pub id: String,
    /// What its decoder needs; may be empty.
    pub private: Vec<u8>,
}

impl Codec {
    /// Whether `matroskademux` gives these caps to a track in it.
    pub fn is_of(&self, kind: &str) -> bool {
        match self.id.as_str() {
            "S_HDMV/PGS" => kind == "subpicture/x-pgs",
            "S_VOBSUB" => kind == "subpicture/x-dvd",
            id if id.starts_with("S_") => kind == WEBVTT,
            _ => false,
        }
    }

    /// Whether `matroskamux` does not write its subtitles, or not as they are.
    fn needs_help(&self) -> bool {
        let own = ["S_TEXT/", "S_ASS", "S_SSA", "S_KATE", "D_WEBVTT"];
        self.id.starts_with("S_") && !own.iter().any(|own| self.id.starts_with(own))
    }
}

/// Data of a file besides those of its tracks.
#[derive(Debug, Default)]
pub struct Extras {
    /// The codecs of the subtitles that `matroskamux` does not write, by stream id.
    pub codecs: Vec<(String, Codec)>,
    /// The flags of the tracks, by track number.
    pub flags: Vec<(u64, Flags)>,
    /// The languages of the tracks, by track number.
    pub languages: Vec<(u64, String)>,
    /// The numbers of the tracks in which only the first of several packets may have a timestamp.
    pub laced: Vec<u64>,
    /// Counterclockwise rotation in degrees, by track number.
    pub rolls: Vec<(u64, f64)>,
    /// The numbers of the tracks with subtitles, and whether they are WebVTT.
    pub subtitles: Vec<(u64, bool)>,
    /// The element with all attachments.
    pub attachments: Option<Vec<u8>>,
    /// The names of the attached files.
    pub attached: Vec<String>,
    /// The tags that GStreamer does not read.
    pub other_tags: Option<OtherTags>,
    /// The length of the file by its header.
    pub whole_length: Option<u64>,
    /// Whether its chapters define the order in which it plays.
    pub is_ordered: bool,
    /// Whether it continues in another file.
    pub is_linked: bool,
}

/// Reads what a Matroska file has besides the data of its tracks.
pub fn read(file: &Path) -> Result<Extras> {
    let mut segment = Segment::open(File::open(file)?)?;
    let mut extras = Extras { whole_length: segment.end, ..Extras::default() };
    if let Some(at) = segment.find(TRACKS)? {
        let (bytes, tracks) = segment.read(at)?;
        for track in children(&bytes, tracks, TRACK_ENTRY) {
            let field = |id| children(&bytes, track, id).next().map(|field| number(&bytes, field));
            let flags = Flags {
                default: field(FLAG_DEFAULT).unwrap_or(1) != 0,
                forced: field(FLAG_FORCED).unwrap_or(0) != 0,
            };
            let track_number = field(TRACK_NUMBER).unwrap_or(0);
            extras.flags.push((track_number, flags));
            if field(FLAG_LACING) != Some(0) && field(DEFAULT_DURATION).is_none() {
                extras.laced.push(track_number);
            }
            let uid = field(TRACK_UID).unwrap_or(0);
            let data = |id| children(&bytes, track, id).next();
            let codec = Codec {
                id: data(CODEC_ID).map_or(String::new(), |id| text(&bytes, id).into_owned()),
                private: data(CODEC_PRIVATE)
                    .map_or(Vec::new(), |private| bytes[private.data..private.end].to_vec()),
            };
            if codec.needs_help() {
                // As `matroskademux` writes it.
                extras.codecs.push((format!("{track_number:03}:{uid:03}"), codec));
            }
            let language = children(&bytes, track, LANGUAGE).next();
            let language = language.map_or("eng".into(), |language| text(&bytes, language));
            extras.languages.push((track_number, language.into_owned()));
            let is_webvtt = children(&bytes, track, CODEC_ID).any(|codec| {
                let codec = &bytes[codec.data..codec.end];
                codec.starts_with(b"S_TEXT/WEBVTT") || codec.starts_with(b"D_WEBVTT/")
            });
            if field(TRACK_TYPE) == Some(SUBTITLES) {
                extras.subtitles.push((track_number, is_webvtt));
            }
            // The other types are spherical video.
            let is_flat = |projection: &Element| {
                children(&bytes, *projection, PROJECTION_TYPE).all(|kind| number(&bytes, kind) == 0)
            };
            let projections =
                nested(&bytes, track, &[VIDEO, PROJECTION]).into_iter().filter(is_flat);
            let rolls = projections
                .flat_map(|projection| children(&bytes, projection, PROJECTION_POSE_ROLL));
            let rolls = rolls.filter_map(|roll| float(&bytes, roll));
            extras.rolls.extend(rolls.map(|roll| (track_number, roll)));
        }
    }
    if let Some(at) = segment.find(INFO)? {
        let (bytes, info) = segment.read(at)?;
        let has = |id| children(&bytes, info, id).next().is_some();
        extras.is_linked = has(PREVIOUS_SEGMENT) || has(NEXT_SEGMENT);
    }
    if let Some(at) = segment.find(CHAPTERS)? {
        let (bytes, chapters) = segment.read(at)?;
        let flags = nested(&bytes, chapters, &[EDITION, EDITION_FLAG_ORDERED]);
        extras.is_ordered = flags.into_iter().any(|flag| number(&bytes, flag) != 0);
        let others = nested(&bytes, chapters, &[EDITION, CHAPTER, CHAPTER_SEGMENT]);
        extras.is_linked |= !others.is_empty();
    }
    if let Some(at) = segment.find(TAGS)? {
        let (bytes, tags) = segment.read(at)?;
        extras.other_tags = OtherTags::read(&bytes, tags);
    }
    if let Some(at) = segment.find(ATTACHMENTS)? {
        let (bytes, attachments) = segment.read(at)?;
        ensure!(attachments.id == ATTACHMENTS, "a damaged index");
        let files = children(&bytes, attachments, ATTACHED_FILE);
        let names = files.filter_map(|file| children(&bytes, file, FILE_NAME).next());
        extras.attached = names
            .map(|name| String::from_utf8_lossy(&bytes[name.data..name.end]).into_owned())
            .collect();
        extras.attachments = Some(bytes);
    }
    Ok(extras)
}

/// A note about wrong checksums, if there are any.
pub fn damage(file: &Path) -> Option<String> {
    let clusters = Segment::open(File::open(file).ok()?).ok()?.damaged_clusters();
    let (s, have) = if clusters == 1 { ("", "has") } else { ("s", "have") };
    (clusters > 0).then(|| {
        format!("is damaged: {clusters} cluster{s} of its data {have} a wrong checksum, so picture or sound may be wrong")
    })
}

/// The track number in a stream id.
pub fn track_number(id: &str) -> Option<u64> {
    id.split(':').next()?.parse().ok()
}

/// The unit of the timestamps of a file, and the codec delay of each track by its number; nanoseconds.
pub fn clock(segment: &mut Segment) -> Option<(i64, HashMap<u64, i64>)> {
    let mut read = |id| {
        let at = segment.find(id).ok()??;
        segment.read(at).ok()
    };
    let field = |bytes: &[u8], of, id| {
        let number = children(bytes, of, id).next().map(|field| number(bytes, field));
        number.and_then(|number| i64::try_from(number).ok())
    };
    let (bytes, info) = read(INFO)?;
    let unit = field(&bytes, info, TIMESTAMP_SCALE).unwrap_or(1_000_000);
    let (bytes, tracks) = read(TRACKS)?;
    let delay = |track| {
        let number = field(&bytes, track, TRACK_NUMBER)?;
        Some((number as u64, field(&bytes, track, CODEC_DELAY).unwrap_or(0)))
    };
    Some((unit, children(&bytes, tracks, TRACK_ENTRY).filter_map(delay).collect()))
}

/// What to correct in a track.
#[derive(Debug)]
pub struct Correction {
    pub flags: Flags,
    pub language: String,
    /// The codec of a track that was written as another one.
    pub codec: Option<String>,
}

/// What to correct in a file that `matroskamux` has written.
#[derive(Debug, Default)]
pub struct Corrections {
    /// Its tracks in their order.
    pub tracks: Vec<Correction>,
    /// The element with all attachments.
    pub attachments: Option<Vec<u8>>,
    /// The tags that GStreamer does not write.
    pub other_tags: Option<OtherTags>,
    /// When it was made, seconds since 1970 in UTC.
    pub date: Option<i64>,
    /// Maximum and minimum luminance of the mastering display, cd/m²: GStreamer 1.22 writes a fifth of it.
    pub luminance: Option<[f64; 2]>,
}

/// Corrects what `matroskamux` has written: in place, except attachments and further tags, which are appended.
pub fn correct(file: &Path, corrections: &Corrections) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let mut segment = Segment::open(file)?;
    let uids = correct_tracks(&mut segment, corrections)?;
    matroska_tags::correct(&mut segment, &uids)?;
    if let Some(date) = corrections.date {
        correct_date(&mut segment, date)?;
    }
    if let Some(attachments) = &corrections.attachments {
        segment.append(ATTACHMENTS, attachments, INFO)?;
    }
    if let Some(tags) = &corrections.other_tags {
        segment.append(TAGS, &tags.element, TRACKS)?;
    }
    segment.file.flush()?;
    Ok(())
}

/// Writes the flags and the languages of the tracks, and the luminance of the mastering display. Returns the ids that
/// were shortened; see [`short_uids`].
fn correct_tracks(segment: &mut Segment, corrections: &Corrections) -> Result<Vec<(u64, u8)>> {
    let Some(at) = segment.find(TRACKS)? else { return Ok(Vec::new()) };
    let (mut bytes, tracks) = segment.read(at)?;
    let uids = short_uids(&bytes, tracks);
    let entries: Vec<_> = children(&bytes, tracks, TRACK_ENTRY).collect();
    for (entry, correction) in entries.into_iter().zip(&corrections.tracks) {
        let completed = completed(&bytes, entry, correction).context("no room for a codec")?;
        bytes[entry.data..entry.end].copy_from_slice(&completed);
    }
    let display = [TRACK_ENTRY, VIDEO, COLOUR, MASTERING_METADATA];
    for (id, light) in
        [LUMINANCE_MAX, LUMINANCE_MIN].into_iter().zip(corrections.luminance.into_iter().flatten())
    {
        for field in nested(&bytes, tracks, &[&display[..], &[id]].concat()) {
            if let Some(field) = bytes[field.data..field.end].first_chunk_mut() {
                *field = light.to_be_bytes();
            }
        }
    }
    segment.write(at, &bytes)?;
    Ok(uids)
}

fn correct_date(segment: &mut Segment, date: i64) -> Result<()> {
    let Some(at) = segment.find(INFO)? else { return Ok(()) };
    let (bytes, info) = segment.read(at)?;
    if let Some(field) = children(&bytes, info, DATE).find(|field| field.end - field.data == 8) {
        // Nanoseconds since 2001.
        let date = (date - FROM_1970).saturating_mul(1_000_000_000);
        segment.write(at + field.data as u64, &date.to_be_bytes())?;
    }
    Ok(())
}

/// The unique ids of tracks, and the byte that replaces each: the number of its track.
fn short_uids(bytes: &[u8], tracks: Element) -> Vec<(u64, u8)> {
    let uid = |entry: Element| {
        let field = |id| Some(number(bytes, children(bytes, entry, id).next()?));
        Some((field(TRACK_UID)?, u8::try_from(field(TRACK_NUMBER)?).ok()?))
    };
    children(bytes, tracks, TRACK_ENTRY).filter_map(uid).collect()
}

/// The content of a track's `entry` with its codec, flags and language, in the same number of bytes: a short unique id,
/// and the removal of the generic name that the muxer gives each track, make room for them. `None` if there is no room
/// for the codec.
fn completed(bytes: &[u8], entry: Element, correction: &Correction) -> Option<Vec<u8>> {
    let Correction { flags, language, codec } = correction;
    let mut new = Vec::new();
    let mut has_language = false;
    let track_number = children(bytes, entry, TRACK_NUMBER).next();
    let short = track_number.and_then(|field| u8::try_from(number(bytes, field)).ok());
    for element in elements(bytes, entry.data, entry.end) {
        has_language |= element.id == LANGUAGE;
        match (element.id, short) {
            (NAME, _) if ["Video", "Audio", "Subtitle"].contains(&&*text(bytes, element)) => {}
            (CODEC_ID, _) if let Some(codec) = codec => {
                new.extend_from_slice(&[0x86, 0x80 | codec.len() as u8]);
                new.extend_from_slice(codec.as_bytes());
            }
            (TRACK_UID, Some(short)) => new.extend_from_slice(&[0x73, 0xC5, 0x81, short]),
            _ => new.extend_from_slice(&bytes[element.start..element.end]),
        }
    }
    let size = entry.end - entry.data;
    let mut add = |is_wanted: bool, element: &[u8]| {
        // A void element, at least two bytes long, fills the rest.
        let left = size.checked_sub(new.len() + element.len());
        if is_wanted && left.is_some_and(|left| left != 1) {
            new.extend_from_slice(element);
        }
    };
    add(!flags.default, &[0x88, 0x81, 0]);
    add(flags.forced, &[0x55, 0xAA, 0x81, 1]);
    // Without a language it would be English.
    let is_code = language.len() == 3 && language != "eng" && !has_language;
    add(is_code, &[b"\x22\xB5\x9C\x83", language.as_bytes()].concat());
    if let Some(left @ 0..127) = size.checked_sub(new.len() + 2) {
        new.extend_from_slice(&[0xEC, 0x80 | left as u8]);
        new.resize(size, 0);
    }
    match new.len() == size {
        true => Some(new),
        false => codec.is_none().then(|| bytes[entry.data..entry.end].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_languages_find_room() {
        let completed = |name: &[u8], flags, language: &str| {
            let correction = Correction { flags, language: language.to_owned(), codec: None };
            let uid = b"\xD7\x81\x02\x73\xC5\x88\x01\x02\x03\x04\x05\x06\x07\x08\x53\x6E";
            let content = [&uid[..], &[0x80 | name.len() as u8], name].concat();
            let entry = Element { id: TRACK_ENTRY, start: 0, data: 0, end: content.len() };
            let completed = completed(&content, entry, &correction).unwrap();
            assert_eq!(completed.len(), content.len());
            completed[7..].to_vec()
        };
        let both = Flags { default: false, forced: true };
        let flags = [0x88, 0x81, 0, 0x55, 0xAA, 0x81, 1];
        let named = [&b"\x53\x6E\x84Dub\0"[..], &flags].concat();
        assert_eq!(completed(b"Dub\0", both, "ger"), named);
        let all = [&flags[..], b"\x22\xB5\x9C\x83ger\xEC\x80"].concat();
        assert_eq!(completed(b"Audio\0", both, "ger"), all);
        let usual = Flags { default: true, forced: false };
        let named = b"\x53\x6E\x84Dub\0\x22\xB5\x9C\x83und";
        assert_eq!(completed(b"Dub\0", usual, "und"), named);
    }
}
