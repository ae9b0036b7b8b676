// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an index says and `qtdemux` does not report.

use std::path::Path;

use super::{
    boxes::{boxes, find},
    chapter_track,
    index::Index,
    nero, shown, timecode, timed_text,
    trak::{Header, Trak},
    user_data,
};
use crate::worker::containers::{
    chapters::Chapter,
    timecode::TimeCode,
    track_info::{Flags, ROLES, TrackInfo},
};

#[derive(Debug, Default)]
pub struct Details {
    pub tracks: Vec<TrackDetails>,
    /// The ids of the text tracks that are chapters: another track refers to them as `chap`.
    pub chapter_tracks: Vec<u32>,
    /// The chapters in Nero's list, or in a chapter track if that has more.
    pub chapters: Vec<Chapter>,
    /// The location in ISO 6709.
    pub location: Option<String>,
    /// The time code of the first frame.
    pub timecode: Option<TimeCode>,
}

/// Information about a track.
#[derive(Debug)]
pub struct TrackDetails {
    pub id: u32,
    /// The type of its handler, such as `vide`, and the code of its codec.
    pub kind: String,
    pub codec: String,
    pub stated: TrackInfo,
}

impl Details {
    /// The details in the `index` of `file`.
    pub fn of(file: &Path, index: &Index) -> Self {
        let moov = &index.moov[..];
        let scale = Header::of_movie(moov).map_or(0, |header| header.number);
        let mut details = Self {
            chapters: find(moov, &[b"udta", b"chpl"]).map(nero::read).unwrap_or_default(),
            location: user_data::location(moov),
            ..Self::default()
        };
        for track in index.tracks() {
            details.tracks.extend(TrackDetails::read(file, track, scale));
            details.timecode = details.timecode.or_else(|| timecode::first(file, track));
            // Each kind of reference may have its own box.
            let references = boxes(track.0).filter(|(kind, _)| *kind == b"tref");
            let chapters = references.filter_map(|(_, references)| find(references, &[b"chap"]));
            let ids = chapters.flat_map(|chapters| chapters.as_chunks::<4>().0);
            details.chapter_tracks.extend(ids.map(|id| u32::from_be_bytes(*id)));
        }
        details.add_chapters_of_tracks(file, index);
        details
    }

    /// ffmpeg writes the start of a late first chapter into Nero's list only, which has at most 255 chapters.
    fn add_chapters_of_tracks(&mut self, file: &Path, index: &Index) {
        let is_one =
            |track: &Trak<'_>| track.id().is_some_and(|id| self.chapter_tracks.contains(&id));
        let mut tracks = index.tracks().filter(is_one);
        let chapters = tracks.find_map(|track| chapter_track::read(file, track));
        if let Some(chapters) = chapters.filter(|all| all.len() > self.chapters.len()) {
            self.chapters = chapters;
        }
    }
}

impl TrackDetails {
    /// The details of a `track` of `file`, whose presentation has `scale` units per second.
    fn read(file: &Path, track: Trak<'_>, scale: u32) -> Option<Self> {
        let header = track.header()?;
        let entry = track.entry().unwrap_or_default();
        let matrix = shown::matrix(track);
        let is_enabled = track.find(&[b"tkhd"])?.get(3).is_none_or(|flags| flags & 1 != 0);
        let is_forced = entry.display_flags().is_some_and(|flags| flags[0] & FORCED != 0);
        let stated = TrackInfo {
            flags: Some(Flags {
                default: is_enabled,
                forced: is_forced || has_role(track, FORCED_ROLE),
                roles: ROLES.map(|(_, role)| has_role(track, role)),
            }),
            name: name(track),
            end: end(header, scale),
            turn: matrix.and_then(shown::mirrored),
            ignored: shown::ignored(track, matrix.unwrap_or_default()),
            has_styles: entry.code == b"tx3g" && timed_text::has_styles(file, track),
            is_little_endian: entry.content.windows(6).any(|bytes| bytes == b"enda\0\x01"),
        };
        let kind = code(track.handler().unwrap_or_default());
        Some(Self { id: header.number, kind, codec: code(entry.code), stated })
    }
}

/// Bits in the first byte of 3GPP display flags: some or all subtitles are forced.
pub const FORCED: u8 = 0xC0;
/// The scheme of the roles of tracks, as ffmpeg writes it.
pub const ROLE_SCHEME: &[u8] = b"urn:mpeg:dash:role:2011\0";
/// The role of forced subtitles.
pub const FORCED_ROLE: &[u8] = b"forced-subtitle";

/// Whether a track has this role (ISO/IEC 14496-12, section 8.10.4).
fn has_role(track: Trak<'_>, role: &[u8]) -> bool {
    let mut all = boxes(track.find(&[b"udta"]).unwrap_or_default());
    all.any(|(kind, content)| {
        // After the version and flags.
        let scheme = content.get(4..).and_then(|content| content.strip_prefix(ROLE_SCHEME));
        kind == b"kind" && scheme.is_some_and(|value| value.strip_suffix(b"\0") == Some(role))
    })
}

/// Parts of generic names of handlers, such as `SoundHandler`, `Core Media Video` and `GoPro AVC`, in lower case.
const USUAL_NAMES: [&str; 7] = ["handle", "media", "gopro", "avc", "aac", "alias", "mdir"];

/// The name of a track, or else of its handler.
fn name(track: Trak<'_>) -> Option<String> {
    let own = track.find(&[b"udta", b"name"]);
    let name = String::from_utf8_lossy(own.or_else(|| handler_name(track))?).into_owned();
    let name = name.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    let lower = name.to_lowercase();
    let is_usual = ["", "video", "audio", "sound", "subtitle", "text", "stereo", "mono"]
        .contains(&&*lower)
        || (own.is_none() && USUAL_NAMES.iter().any(|usual| lower.contains(usual)));
    (!is_usual).then(|| name.to_owned())
}

/// The name of the handler of a track. It follows the version, flags and five numbers; QuickTime writes its length first.
fn handler_name(track: Trak<'_>) -> Option<&[u8]> {
    let name = track.find(&[b"mdia", b"hdlr"])?.get(24..)?;
    let after_length =
        name.split_first().filter(|(length, rest)| usize::from(**length) == rest.len());
    Some(after_length.map_or(name, |(_, rest)| rest))
}

/// A four-character code as text.
pub fn code(code: &[u8]) -> String {
    String::from_utf8_lossy(code).trim().to_owned()
}

/// The end of a track by its header, if that is known and has 32 bits.
fn end(header: Header<'_>, scale: u32) -> Option<gst::ClockTime> {
    let units = u32::from_be_bytes(header.duration.try_into().ok()?);
    let is_known = units > 0 && units < u32::MAX;
    gst::ClockTime::try_from_seconds_f64(f64::from(units) / f64::from(scale))
        .ok()
        .filter(|_| is_known)
}
