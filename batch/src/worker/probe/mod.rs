// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes a file with `GstDiscoverer`.

pub mod builtin;
pub mod demux;
mod demuxed;
mod details;
mod discover;
pub mod empty_tracks;
mod file_head;
pub mod keyframes;
pub mod losses;
pub mod repair;
pub mod scan;
mod tags;
mod track;
mod undecodable;
mod watchdog;

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow, ensure};
use gst::glib::prelude::*;
use gst_pbutils::{DiscovererContainerInfo, DiscovererInfo, DiscovererStreamInfo, prelude::*};

pub use self::track::Track;
use self::{
    builtin::Builtin,
    discover::{Discovered, discover},
    empty_tracks::EmptyTracks,
    file_head::FileHead,
    repair::Repairs,
};
use crate::{
    protocol::Say,
    worker::{
        containers::{
            chapters, isobmff::UserData, matroska::Extras, mpegts::Programs, timecode::TimeCode,
        },
        elements::caps::{is_subtitles, media_type, short_id},
        pipeline::{fault, progress::heartbeat},
    },
};

/// The duration that ffmpeg writes for a subtitle without an end. It also makes the file's duration longer.
const UNKNOWN_END: gst::ClockTime = gst::ClockTime::from_mseconds(u32::MAX as u64);

#[derive(Debug, Default)]
pub struct Media {
    /// The caps of the container; `None` for an elementary stream.
    pub container: Option<gst::Caps>,
    /// The tracks: video first, then in the order of the file.
    pub tracks: Vec<Track>,
    pub duration: Option<gst::ClockTime>,
    pub is_seekable: bool,
    pub tags: gst::TagList,
    /// The user data of MP4 and QuickTime.
    pub user_data: Option<UserData>,
    /// Whether MP4 or QuickTime has metadata in XML beside its index.
    pub has_xml: bool,
    /// Tags of other containers that GStreamer does not read, by their names in Matroska.
    pub foreign_tags: Vec<(String, String)>,
    /// What Matroska has besides its packets.
    pub extras: Extras,
    /// The time code of the first frame of MP4 and QuickTime.
    pub timecode: Option<TimeCode>,
    /// How many bytes are missing at the end, if the container states its length.
    pub missing_bytes: u64,
    /// How late an ASF starts, which is part of its duration, but not of the times that `asfdemux` outputs.
    pub late_start: gst::ClockTime,
    /// The minimum number of frames that the container states; 0 if it states none.
    pub stated_frames: u64,
    /// The programs of a transport stream.
    pub programs: Programs,
    /// The streams that the demuxer does not support.
    pub unknown: Vec<String>,
    /// The location in ISO 6709.
    pub location: Option<String>,
    pub toc: Option<gst::Toc>,
    /// What this program decodes itself.
    pub builtin: Option<Builtin>,
    /// What to correct for the demuxer.
    pub repairs: Arc<Repairs>,
}

impl Media {
    /// Probes the file; fails unless there is video in it that can be decoded. Skips times of frames for which it would
    /// have to read the whole file.
    pub fn probe(input: &Path) -> Result<Self> {
        Self::read(input, None)
    }

    /// Probes the file, also with those times if there is a `progress`, which is called meanwhile.
    fn read(input: &Path, progress: Option<&mut dyn FnMut()>) -> Result<Self> {
        if let Some(builtin) = Builtin::of_file(input)? {
            return Self::of_builtin(builtin);
        }
        let mut file = FileHead::read(input)?;
        let repairs = Arc::new(file.repairs(progress));
        let Discovered { info, empty_tracks, demuxed } =
            discover(input, &repairs).map_err(|cause| anyhow!(file.better_cause(cause)))?;
        let mut media = Self { repairs, ..Self::of_info(&info) };
        media.add_empty_tracks(&empty_tracks);
        for track in media.tracks.iter_mut().filter(|track| is_subtitles(track.kind())) {
            track.tags.make_mut().insert(&demuxed.tags(&track.id), gst::TagMergeMode::Keep);
        }
        media.add_details(&mut file);
        // Subtitles without a decoder have no id, and come last.
        let key = |track: &Track| {
            let is_video = track.kind().starts_with("video/");
            (!is_video, track.id.is_empty(), demuxed.position(&track.id), track.id.clone())
        };
        media.tracks.sort_by_key(key);
        media.check_video(&file.head, &info)?;
        Ok(media)
    }

    /// What the discoverer has found.
    fn of_info(info: &DiscovererInfo) -> Self {
        let missing = info.missing_elements_installer_details();
        let is_missing = |caps: &gst::Caps| missing.iter().any(|d| d.contains(media_type(caps)));
        let container = info.stream_info().and_downcast::<DiscovererContainerInfo>();
        let streams = info.stream_list();
        Self {
            container: container.as_ref().and_then(|container| container.caps()),
            tracks: streams.iter().filter_map(|stream| track(stream, &is_missing)).collect(),
            duration: info.duration().filter(|end| !end.is_zero() && *end < UNKNOWN_END),
            is_seekable: info.is_seekable(),
            tags: container.as_ref().and_then(|container| container.tags()).unwrap_or_default(),
            toc: info.toc(),
            ..Self::default()
        }
    }

    /// Adds the tracks in which no frame was found.
    fn add_empty_tracks(&mut self, found: &EmptyTracks) {
        for (id, caps) in found.take() {
            if self.tracks.iter().all(|track| track.id != id) {
                // A track that nothing can decode has no id.
                let is_it =
                    |track: &Track| track.id.is_empty() && track.kind() == media_type(&caps);
                self.tracks.retain(|track| !is_it(track));
                self.tracks.push(Track { is_frameless: true, ..Track::new(id, caps) });
            }
        }
    }

    /// Probes a file whose frames are translated, with all their times; also fails if the demuxer gives them wrong times.
    pub fn probe_input(input: &Path, say: Say) -> Result<Self> {
        let media = Self::read(input, Some(&mut heartbeat(say)))?;
        ensure!(!media.programs.has_rare_clock(), fault::RARE_CLOCK);
        ensure!(!media.programs.has_late_clock, fault::LATE_CLOCK);
        Ok(media)
    }

    /// The media type of the container; empty for an elementary stream.
    pub fn kind(&self) -> &str {
        self.container.as_ref().map(media_type).unwrap_or_default()
    }

    pub fn is_matroska(&self) -> bool {
        ["video/x-matroska", "video/webm"].contains(&self.kind())
    }

    pub fn chapters(&self) -> usize {
        self.toc.as_ref().map_or(0, |toc| chapters::all(toc).len())
    }

    pub fn is_animation(&self) -> bool {
        matches!(self.builtin, Some(Builtin::Animation(_)))
    }

    /// Whether its timestamps may start at any time.
    pub fn is_stream(&self) -> bool {
        // Elementary streams have no container.
        ["", "video/mpegts", "video/mpeg", "application/x-hls"].contains(&self.kind())
    }

    /// Whether key frames are found exactly.
    pub fn has_index(&self) -> bool {
        ["video/quicktime", "video/x-matroska", "video/webm", builtin::Y4M].contains(&self.kind())
    }

    /// Whether frames follow each other without gaps. In other containers a frame may last for any time.
    pub fn is_contiguous(&self) -> bool {
        self.is_stream() || self.kind() == "video/x-ms-asf"
    }

    /// The index of the track to translate: the first video, else the first image, since video may be a sequence of
    /// JPEGs. Beside a video, an image is cover art.
    pub fn main_video(&self) -> Option<usize> {
        let first = |kind: &str| {
            let is_match = |track: &Track| track.kind().starts_with(kind) && !track.is_frameless;
            self.tracks.iter().position(is_match)
        };
        first("video/").or_else(|| first("image/"))
    }

    /// The track to translate.
    pub fn main_track(&self) -> Result<&Track> {
        self.main_video().map(|main| &self.tracks[main]).context("has no video track")
    }
}

/// The track of a stream. A stream without an id is one between a demuxer and a parser, unless nothing can decode it.
fn track(stream: &DiscovererStreamInfo, is_missing: &dyn Fn(&gst::Caps) -> bool) -> Option<Track> {
    let caps = stream.caps()?;
    let id = stream.stream_id().map(|id| short_id(&id).to_owned());
    let id = id.or_else(|| is_missing(&caps).then(String::new))?;
    Some(Track { tags: stream.tags().unwrap_or_default(), ..Track::new(id, caps) })
}
