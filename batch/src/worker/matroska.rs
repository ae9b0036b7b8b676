// SPDX-License-Identifier: MIT OR Apache-2.0

//! Data of Matroska files (RFC 9559) that `matroskademux` and `matroskamux` of GStreamer 1.22 ignore: default and
//! forced flags, rotation, attachments and the date. The muxer also puts tags in quotes.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Result, ensure};

use super::ebml::{Element, Segment, children, float, nested, number};

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
const CODEC_ID: u32 = 0x86;
const CODEC_DELAY: u32 = 0x56AA;
const NAME: u32 = 0x536E;
const FLAG_DEFAULT: u32 = 0x88;
const FLAG_FORCED: u32 = 0x55AA;
const VIDEO: u32 = 0xE0;
const PROJECTION: u32 = 0x7670;
const PROJECTION_TYPE: u32 = 0x7671;
const PROJECTION_POSE_ROLL: u32 = 0x7675;
const COLOUR: u32 = 0x55B0;
const MASTERING_METADATA: u32 = 0x55D0;
const LUMINANCE_MAX: u32 = 0x55D9;
const LUMINANCE_MIN: u32 = 0x55DA;
const TAGS: u32 = 0x1254_C367;
const TAG: u32 = 0x7373;
const SIMPLE_TAG: u32 = 0x67C8;
const TAG_NAME: u32 = 0x45A3;
const TAG_STRING: u32 = 0x4487;
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

/// Data of a file besides those of its tracks.
#[derive(Debug, Default)]
pub struct Extras {
    /// The flags of the tracks, by track number.
    pub flags: Vec<(u64, Flags)>,
    /// Counterclockwise rotation in degrees, by track number.
    pub rolls: Vec<(u64, f64)>,
    /// Whether a track is WebVTT.
    pub has_webvtt: bool,
    /// The element with all attachments.
    pub attachments: Option<Vec<u8>>,
    /// The names of the attached files.
    pub attached: Vec<String>,
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
            extras.has_webvtt |= children(&bytes, track, CODEC_ID).any(|codec| {
                let codec = &bytes[codec.data..codec.end];
                codec.starts_with(b"S_TEXT/WEBVTT") || codec.starts_with(b"D_WEBVTT/")
            });
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

/// What to correct in a file that `matroskamux` has written.
#[derive(Debug, Default)]
pub struct Corrections {
    /// The flags of its tracks in their order, and whether their language is known.
    pub flags: Vec<(Flags, bool)>,
    /// The element with all attachments.
    pub attachments: Option<Vec<u8>>,
    /// When it was made, seconds since 1970 in UTC.
    pub date: Option<i64>,
    /// Maximum and minimum luminance of the mastering display, cd/m²: GStreamer 1.22 writes a fifth of it.
    pub luminance: Option<[f64; 2]>,
}

/// Corrects what `matroskamux` has written: in place, except the attachments, which are appended.
pub fn correct(file: &Path, corrections: &Corrections) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let mut segment = Segment::open(file)?;
    correct_tracks(&mut segment, corrections)?;
    correct_tags(&mut segment)?;
    if let Some(date) = corrections.date {
        correct_date(&mut segment, date)?;
    }
    if let Some(attachments) = &corrections.attachments {
        segment.append(ATTACHMENTS, attachments, INFO)?;
    }
    segment.file.flush()?;
    Ok(())
}

/// Writes the flags and the language of the tracks, and the luminance of the mastering display.
fn correct_tracks(segment: &mut Segment, corrections: &Corrections) -> Result<()> {
    let Some(at) = segment.find(TRACKS)? else { return Ok(()) };
    let (mut bytes, tracks) = segment.read(at)?;
    let entries: Vec<_> = children(&bytes, tracks, TRACK_ENTRY).collect();
    for (entry, (flags, has_language)) in entries.into_iter().zip(&corrections.flags) {
        let name = children(&bytes, entry, NAME).next();
        if let Some(name) = name {
            let field = &mut bytes[name.start..name.end];
            flag(field, name.data - name.start, *flags, *has_language);
        }
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
    segment.write(at, &bytes)
}

/// Removes the quotes around tags.
fn correct_tags(segment: &mut Segment) -> Result<()> {
    let Some(at) = segment.find(TAGS)? else { return Ok(()) };
    let (mut bytes, tags) = segment.read(at)?;
    let strings = nested(&bytes, tags, &[TAG, SIMPLE_TAG, TAG_STRING]);
    strings.into_iter().for_each(|string| unquote(&mut bytes[string.data..string.end]));
    for name in nested(&bytes, tags, &[TAG, SIMPLE_TAG, TAG_NAME]) {
        // The Matroska tag is `COMMENT`; a string ends at a zero.
        if bytes[name.data..name.end].starts_with(b"COMMENTS") {
            bytes[name.data + 7] = 0;
        }
    }
    segment.write(at, &bytes)
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

/// Replaces the generic name that the muxer gives each track with flags or the language `und`: a track without a
/// language would be English. There is no room for both.
fn flag(field: &mut [u8], header: usize, flags: Flags, has_language: bool) {
    let text = String::from_utf8_lossy(&field[header..]).trim_end_matches('\0').to_owned();
    if !["Video", "Audio", "Subtitle"].contains(&text.as_str()) {
        return;
    }
    let mut new = Vec::new();
    if !flags.default {
        new.extend_from_slice(&[0x88, 0x81, 0]);
    }
    if flags.forced {
        new.extend_from_slice(&[0x55, 0xAA, 0x81, 1]);
    }
    if !has_language && new.is_empty() {
        new.extend_from_slice(b"\x22\xB5\x9C\x83und");
    }
    // A void element, at least two bytes long, fills the rest.
    if let Some(left) = field.len().checked_sub(new.len() + 2) {
        new.extend_from_slice(&[0xEC, 0x80 | left as u8]);
        new.resize(field.len(), 0);
        field.copy_from_slice(&new);
    }
}

/// Removes the quotes that `gst_value_serialize` puts around a string with spaces. Zeros fill the rest.
fn unquote(field: &mut [u8]) {
    let end = field.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let Some(inner) = field[..end].strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""))
    else {
        return;
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        // Three octal digits for a byte that is not ASCII, else the byte itself.
        let digits = rest.get(..3).filter(|d| d.iter().all(|digit| (b'0'..b'8').contains(digit)));
        if let Some(digits) = digits {
            let value =
                digits.iter().fold(0_u16, |value, digit| value * 8 + u16::from(digit - b'0'));
            text.push(value as u8);
            rest = &rest[3..];
        } else if let Some((&escaped, after)) = rest.split_first() {
            text.push(escaped);
            rest = after;
        }
    }
    field.fill(0);
    field[..text.len()].copy_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_undone() {
        let undone = |text: &str| {
            let mut field = text.as_bytes().to_vec();
            unquote(&mut field);
            String::from_utf8(field).unwrap().trim_end_matches('\0').to_owned()
        };
        assert_eq!(undone("\"My\\ Film\"\0"), "My Film");
        assert_eq!(undone("\"a\\\"b\\\\c\""), "a\"b\\c");
        assert_eq!(undone("\"\\303\\251\""), "é");
        assert_eq!(undone("plain"), "plain");
    }

    #[test]
    fn flags_take_the_place_of_a_name() {
        let flagged = |name: &[u8], flags| {
            let mut field = [&[0x53, 0x6E, 0x80 | name.len() as u8], name].concat();
            flag(&mut field, 3, flags, false);
            field
        };
        let both = Flags { default: false, forced: true };
        assert_eq!(flagged(b"Audio\0", both), [0x88, 0x81, 0, 0x55, 0xAA, 0x81, 1, 0xEC, 0x80]);
        assert_eq!(flagged(b"Dub\0", both)[3..], *b"Dub\0");
        let usual = Flags { default: true, forced: false };
        assert_eq!(flagged(b"Video\0", usual), *b"\x22\xB5\x9C\x83und\xEC\x80");
    }
}
