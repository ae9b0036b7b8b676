// SPDX-License-Identifier: MIT OR Apache-2.0

//! The descriptions of tracks: codec, flags, language, rotation and more.

use super::ebml::{Element, elements, nested};
use crate::worker::{
    containers::track_info::{
        DOLBY_VISION, Flags, ROLES, SPHERE, TrackInfo, cropped, dolby_vision,
    },
    elements::caps::WEBVTT,
};

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
/// How a track is encrypted: `ContentEncodings`, `ContentEncoding` and `ContentEncryption`.
const ENCRYPTION: [u32; 3] = [0x6D80, 0x6240, 0x5035];
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

/// The elements of a track that describe its codec.
pub const CODEC_ELEMENTS: [u32; 5] =
    [CODEC_ID, CODEC_PRIVATE, SEEK_PRE_ROLL, DEFAULT_DURATION, SOUND];

/// The elements of a track that no demuxer or muxer knows: its language by BCP 47, and the flags of tracks in the original
/// language and of descriptions that can be spoken.
const KEPT_ELEMENTS: [u32; 3] = [0x22_B59D, 0x55AE, 0x55AD];

/// The codec of a track.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Its name in Matroska.
    pub id: String,
    /// The elements in [`CODEC_ELEMENTS`], and the delay, unless `matroskademux` subtracts it.
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
        self.id.starts_with("S_TEXT/WEBVTT") || self.has_cue_head()
    }

    /// Whether its packets are WebVTT as in WebM, whose text follows the name and the settings of the cue. Those of
    /// Matroska are only the text.
    pub fn has_cue_head(&self) -> bool {
        self.id.starts_with("D_WEBVTT/")
    }

    /// Whether `matroskademux` subtracts its delay from times, and `matroskamux` adds it.
    fn has_known_delay(&self) -> bool {
        self.id == "A_OPUS"
    }

    /// Whether `matroskademux` outputs its packets as they are in the file.
    pub fn keeps_packets(&self) -> bool {
        self.id != "A_WAVPACK4"
    }

    /// Whether it is a codec of subtitles that `matroskamux` cannot write unchanged.
    pub fn is_rewritten(&self) -> bool {
        let own = ["S_TEXT/", "S_ASS", "S_SSA", "S_KATE"];
        self.id.starts_with("S_") && !own.iter().any(|own| self.id.starts_with(own))
    }
}

/// The description of a track.
#[derive(Clone, Debug)]
pub struct Entry {
    pub number: u64,
    /// Its stream id, as `matroskademux` makes it.
    pub id: String,
    kind: u64,
    pub codec: Codec,
    /// What a decoder outputs before its start (RFC 9559, section 5.1.4.1.25).
    delay: gst::ClockTime,
    pub stated: TrackInfo,
    /// Its language in ISO 639-2.
    pub language: String,
    /// The elements in [`KEPT_ELEMENTS`].
    pub kept: Vec<u8>,
    /// Whether only the first of several packets may have a timestamp.
    pub is_laced: bool,
    pub is_encrypted: bool,
}

impl Entry {
    pub fn read(track: Element<'_>) -> Self {
        let field = |id| track.field(id).unwrap_or(0);
        let text = |id| track.child(id).map(|text| text.text().into_owned());
        let copied = |ids: &[u32]| -> Vec<u8> {
            let copied = elements(track.data).filter(|element| ids.contains(&element.id));
            copied.flat_map(|element| element.bytes).copied().collect()
        };
        let (number, uid) = (field(TRACK_NUMBER), field(TRACK_UID));
        let mut codec =
            Codec { id: text(CODEC_ID).unwrap_or_default(), elements: copied(&CODEC_ELEMENTS) };
        if !codec.has_known_delay() {
            codec.elements.extend(copied(&[CODEC_DELAY]));
        }
        // The other types are spherical video.
        let is_flat = |projection: &Element<'_>| {
            projection.children(PROJECTION_TYPE).all(|kind| kind.number() == 0)
        };
        let projections = nested(track.data, &[VIDEO, PROJECTION]).into_iter().filter(is_flat);
        let mut rolls =
            projections.flat_map(|projection| projection.children(PROJECTION_POSE_ROLL));
        let flags = Flags {
            default: track.field(FLAG_DEFAULT) != Some(0),
            forced: field(FLAG_FORCED) != 0,
            roles: ROLES.map(|(flag, _)| field(flag) != 0),
        };
        Self {
            number,
            id: format!("{number:03}:{uid:03}"),
            kind: field(TRACK_TYPE),
            codec,
            delay: gst::ClockTime::NSECOND.saturating_mul(field(CODEC_DELAY)),
            stated: TrackInfo {
                flags: Some(flags),
                turn: rolls.find_map(Element::float).and_then(turn),
                ignored: ignored(track),
                ..TrackInfo::default()
            },
            language: text(LANGUAGE).unwrap_or("eng".to_owned()),
            kept: copied(&KEPT_ELEMENTS),
            is_laced: track.field(FLAG_LACING) != Some(0)
                && track.field(DEFAULT_DURATION).is_none(),
            is_encrypted: !nested(track.data, &ENCRYPTION).is_empty(),
        }
    }

    /// The delay that `matroskademux` subtracts from times, and the one that it leaves in them.
    pub fn delays(&self) -> [gst::ClockTime; 2] {
        let zero = gst::ClockTime::ZERO;
        if self.codec.has_known_delay() { [self.delay, zero] } else { [zero, self.delay] }
    }

    /// Whether this may be the entry of a track with this media type that has no stream id, since nothing can decode it.
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
fn ignored(track: Element<'_>) -> Vec<String> {
    let field = |path: &[u32]| {
        let found = nested(track.data, &[&[VIDEO], path].concat());
        found.first().map_or(0, |field| field.number())
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
    let codes = DOLBY_VISION.map(|code| u64::from(u32::from_be_bytes(*code)));
    for mapping in track.children(BLOCK_ADDITION_MAPPING) {
        if mapping.field(BLOCK_ADDITION_TYPE).is_some_and(|kind| codes.contains(&kind)) {
            let record = mapping.child(BLOCK_ADDITION_DATA).map(|record| record.data);
            ignored.push(dolby_vision(record.unwrap_or_default()));
        }
    }
    ignored
}
