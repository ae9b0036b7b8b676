// SPDX-License-Identifier: MIT OR Apache-2.0

//! Data of Matroska files (RFC 9559) that `matroskademux` of GStreamer 1.22 does not report: default and forced flags,
//! rotation, attachments and more.

use std::{collections::HashMap, fs::File, path::Path};

use anyhow::{Result, ensure};

use super::{
    ebml::{Element, Segment, children, elements, float, nested, number, text},
    flags::{Flags, ROLES},
    matroska_tags::{FileTags, TAGS},
    stated::{DOLBY_VISION, SPHERE, Stated, cropped, dolby_vision},
};
use crate::worker::elements::caps::WEBVTT;

pub const INFO: u32 = 0x1549_A966;
const TIMESTAMP_SCALE: u32 = 0x2AD7B1;
const PREVIOUS_SEGMENT: u32 = 0x3C_B923;
const NEXT_SEGMENT: u32 = 0x3E_B923;
const CHAPTERS: u32 = 0x1043_A770;
const EDITION: u32 = 0x45B9;
const EDITION_FLAG_ORDERED: u32 = 0x45DD;
const CHAPTER: u32 = 0xB6;
const CHAPTER_SEGMENT: u32 = 0x6E67;
pub const TRACKS: u32 = 0x1654_AE6B;
pub const TRACK_ENTRY: u32 = 0xAE;
const TRACK_NUMBER: u32 = 0xD7;
const TRACK_TYPE: u32 = 0x83;
/// Track types.
const AUDIO: u64 = 2;
const SUBTITLES: u64 = 0x11;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63A2;
const SEEK_PRE_ROLL: u32 = 0x56BB;
const SOUND: u32 = 0xE1;
const TRACK_UID: u32 = 0x73C5;
pub const LANGUAGE: u32 = 0x22_B59C;
const CODEC_DELAY: u32 = 0x56AA;
pub const NAME: u32 = 0x536E;
pub const FLAG_DEFAULT: u32 = 0x88;
pub const FLAG_FORCED: u32 = 0x55AA;
const FLAG_LACING: u32 = 0x9C;
const DEFAULT_DURATION: u32 = 0x23_E383;
pub const VIDEO: u32 = 0xE0;
pub const PIXEL_WIDTH: u32 = 0xB0;
pub const PIXEL_HEIGHT: u32 = 0xBA;
const CROPPED_COLUMNS: [u32; 2] = [0x54CC, 0x54DD];
const CROPPED_ROWS: [u32; 2] = [0x54AA, 0x54BB];
const PROJECTION: u32 = 0x7670;
const PROJECTION_TYPE: u32 = 0x7671;
const PROJECTION_POSE_ROLL: u32 = 0x7675;
const BLOCK_ADDITION_MAPPING: u32 = 0x41E4;
const BLOCK_ADDITION_TYPE: u32 = 0x41E7;
const BLOCK_ADDITION_DATA: u32 = 0x41ED;
pub const ATTACHMENTS: u32 = 0x1941_A469;
const ATTACHED_FILE: u32 = 0x61A7;
const FILE_NAME: u32 = 0x466E;

/// The elements of a track that describe its codec. The delay of the codec is not one: the demuxer subtracts it.
pub const CODEC_ELEMENTS: [u32; 5] =
    [CODEC_ID, CODEC_PRIVATE, SEEK_PRE_ROLL, DEFAULT_DURATION, SOUND];

/// The elements of a track that no demuxer or muxer knows: its language by BCP 47, and the flags of tracks in the original
/// language and of descriptions that can be spoken.
const KEPT_ELEMENTS: [u32; 3] = [0x22_B59D, 0x55AE, 0x55AD];

/// What a track is encoded in.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Its name in Matroska.
    id: String,
    /// The elements in [`CODEC_ELEMENTS`].
    pub elements: Vec<u8>,
}

impl Codec {
    /// Whether `matroskademux` gives these caps to a track in it.
    fn is_of(&self, kind: &str) -> bool {
        match self.id.as_str() {
            "S_HDMV/PGS" => kind == "subpicture/x-pgs",
            "S_VOBSUB" => kind == "subpicture/x-dvd",
            _ => kind == WEBVTT && (self.is_webvtt() || self.is_rewritten()),
        }
    }

    fn is_webvtt(&self) -> bool {
        ["S_TEXT/WEBVTT", "D_WEBVTT/"].iter().any(|webvtt| self.id.starts_with(webvtt))
    }

    /// Whether `matroskademux` outputs its packets as they are in the file.
    pub fn keeps_packets(&self) -> bool {
        self.id != "A_WAVPACK4"
    }

    /// Whether it is of subtitles that `matroskamux` does not write, or not as they are.
    pub fn is_rewritten(&self) -> bool {
        let own = ["S_TEXT/", "S_ASS", "S_SSA", "S_KATE"];
        self.id.starts_with("S_") && !own.iter().any(|own| self.id.starts_with(own))
    }
}

/// The description of a track.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its stream id, as `matroskademux` makes it.
    pub id: String,
    kind: u64,
    pub codec: Codec,
    pub stated: Stated,
    /// Its language in ISO 639-2.
    pub language: String,
    /// The elements in [`KEPT_ELEMENTS`].
    pub kept: Vec<u8>,
    /// Whether only the first of several packets may have a timestamp.
    pub is_laced: bool,
}

impl Entry {
    fn read(bytes: &[u8], track: Element) -> Self {
        let data = |id| children(bytes, track, id).next();
        let field = |id| data(id).map(|field| number(bytes, field));
        let (track_number, uid) = (field(TRACK_NUMBER).unwrap_or(0), field(TRACK_UID).unwrap_or(0));
        let copied = |ids: &[u32]| {
            let copied = elements(bytes, track.data, track.end).filter(|e| ids.contains(&e.id));
            copied.flat_map(|element| &bytes[element.start..element.end]).copied().collect()
        };
        // The other types are spherical video.
        let is_flat = |projection: &Element| {
            children(bytes, *projection, PROJECTION_TYPE).all(|kind| number(bytes, kind) == 0)
        };
        let projections = nested(bytes, track, &[VIDEO, PROJECTION]).into_iter().filter(is_flat);
        let mut rolls =
            projections.flat_map(|projection| children(bytes, projection, PROJECTION_POSE_ROLL));
        Self {
            id: format!("{track_number:03}:{uid:03}"),
            kind: field(TRACK_TYPE).unwrap_or(0),
            codec: Codec {
                id: data(CODEC_ID).map_or(String::new(), |id| text(bytes, id).into_owned()),
                elements: copied(&CODEC_ELEMENTS),
            },
            stated: Stated {
                flags: Some(Flags {
                    default: field(FLAG_DEFAULT).unwrap_or(1) != 0,
                    forced: field(FLAG_FORCED).unwrap_or(0) != 0,
                    roles: ROLES.map(|(flag, _)| field(flag).unwrap_or(0) != 0),
                }),
                turn: rolls.find_map(|roll| float(bytes, roll)).and_then(turn),
                ignored: ignored(bytes, track),
                ..Stated::default()
            },
            language: data(LANGUAGE).map_or("eng".into(), |language| text(bytes, language)).into(),
            kept: copied(&KEPT_ELEMENTS),
            is_laced: field(FLAG_LACING) != Some(0) && field(DEFAULT_DURATION).is_none(),
        }
    }

    /// Whether a track that has no stream id, since nothing can decode it, and this media type may be this one.
    pub fn may_be(&self, kind: &str) -> bool {
        match self.kind {
            AUDIO => kind.starts_with("audio/"),
            SUBTITLES => self.codec.is_of(kind),
            _ => false,
        }
    }

    /// Whether a track with the caps of WebVTT has subtitles in another format, which `matroskademux` does not know.
    pub fn is_unknown(&self) -> bool {
        self.kind == SUBTITLES && !self.codec.is_webvtt()
    }
}

/// The direction of `videoflip` for a counterclockwise rotation; `None` for 0° and other angles than multiples of 90°.
fn turn(degrees: f64) -> Option<&'static str> {
    match degrees.rem_euclid(360.0).round() as u32 {
        90 => Some("90l"),
        180 => Some("180"),
        270 => Some("90r"),
        _ => None,
    }
}

/// What `matroskademux` ignores of how the video `track` is shown.
fn ignored(bytes: &[u8], track: Element) -> Vec<String> {
    let field = |path: &[u32]| {
        let path = [&[VIDEO], path].concat();
        nested(bytes, track, &path).first().map_or(0, |field| number(bytes, *field))
    };
    let hidden = |ids: [u32; 2]| ids.iter().map(|id| field(&[*id])).sum::<u64>();
    let (columns, rows) = (hidden(CROPPED_COLUMNS), hidden(CROPPED_ROWS));
    let mut ignored = Vec::new();
    if columns + rows > 0 {
        let size = |id, hidden| field(&[id]).saturating_sub(hidden);
        ignored.push(cropped(size(PIXEL_WIDTH, columns), size(PIXEL_HEIGHT, rows)));
    }
    if field(&[PROJECTION, PROJECTION_TYPE]) != 0 {
        ignored.push(SPHERE.to_owned());
    }
    for mapping in children(bytes, track, BLOCK_ADDITION_MAPPING) {
        let field = |id| children(bytes, mapping, id).next();
        let kind = field(BLOCK_ADDITION_TYPE).map(|kind| number(bytes, kind));
        let codes = DOLBY_VISION.map(|code| u64::from(u32::from_be_bytes(*code)));
        if kind.is_some_and(|kind| codes.contains(&kind)) {
            let record = field(BLOCK_ADDITION_DATA).map(|data| &bytes[data.data..data.end]);
            ignored.push(dolby_vision(record.unwrap_or_default()));
        }
    }
    ignored
}

/// Data of a file besides those of its packets.
#[derive(Debug, Default)]
pub struct Extras {
    pub tracks: Vec<Entry>,
    /// The element with all attachments.
    pub attachments: Option<Vec<u8>>,
    /// The names of the attached files.
    pub attached: Vec<String>,
    /// The tags that GStreamer does not read.
    pub file_tags: Option<FileTags>,
    /// The length of the file by its header.
    pub whole_length: Option<u64>,
    /// Whether its chapters define the order in which it plays.
    pub is_ordered: bool,
    /// Whether it continues in another file.
    pub is_linked: bool,
}

/// Reads what a Matroska file has besides its packets.
pub fn read(file: &Path) -> Result<Extras> {
    let mut segment = Segment::open(File::open(file)?)?;
    let mut extras = Extras { whole_length: segment.end, ..Extras::default() };
    if let Some(at) = segment.find(TRACKS)? {
        let (bytes, tracks) = segment.read(at)?;
        let entries = children(&bytes, tracks, TRACK_ENTRY);
        extras.tracks = entries.map(|entry| Entry::read(&bytes, entry)).collect();
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
        extras.file_tags = FileTags::read(&bytes, tags);
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

/// The numbers of the tracks in `codec`; `None` if the file is damaged.
pub fn tracks_in(segment: &mut Segment, codec: &str) -> Option<Vec<u64>> {
    let at = segment.find(TRACKS).ok()??;
    let (bytes, tracks) = segment.read(at).ok()?;
    let is_it = |entry: &Element| {
        children(&bytes, *entry, CODEC_ID).any(|found| text(&bytes, found) == codec)
    };
    let entries = children(&bytes, tracks, TRACK_ENTRY).filter(is_it);
    let numbers = entries.filter_map(|entry| children(&bytes, entry, TRACK_NUMBER).next());
    Some(numbers.map(|found| number(&bytes, found)).collect())
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
