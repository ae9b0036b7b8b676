// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes a file with `GstDiscoverer`.

pub mod demux;
mod details;
pub mod frameless;
pub mod hdr;
pub mod keyframes;
pub mod losses;
pub mod own;
pub mod repair;
pub mod scan;
mod tags;
mod track;
mod track_order;
mod watchdog;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::glib::prelude::*;
use gst_pbutils::{
    Discoverer, DiscovererContainerInfo, DiscovererInfo, DiscovererResult, DiscovererStreamInfo,
    prelude::*,
};

pub use self::track::Track;
use self::{
    demux::decode_only, frameless::Frameless, own::Own, repair::correct_caps,
    track_order::TrackOrder,
};
use crate::{
    lock::lock,
    worker::{
        containers::{
            asf, avi, chapters,
            early::Early,
            head,
            isobmff::{
                durations::Durations,
                fourccs,
                index::{self, Index},
                pcm,
                sample_entries::SampleEntries,
                user_data::UserData,
            },
            matroska,
            matroska_tags::FileTags,
            repairs::Repairs,
            stated::DOLBY_VISION_5,
            timecode::TimeCode,
            unread,
            untimed::Untimed,
        },
        elements::caps::{TRUE_HD_OR_PCM, codec_name, field, media_type, short_id},
        pads::probes::{Replacement, replace},
        pipeline::{complaints, fault},
    },
};

/// How long opening a file may take: slow storage, or an index at the end of a large file.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

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
    /// The attachments, as Matroska has them, and the names of the files.
    pub attachments: Option<Vec<u8>>,
    pub attached: Vec<String>,
    /// That of MP4 and QuickTime.
    pub user_data: Option<UserData>,
    /// Tags of other containers that GStreamer does not read, by their names in Matroska.
    pub foreign_tags: Vec<(String, String)>,
    /// Those of Matroska.
    pub file_tags: Option<FileTags>,
    /// The time code of the first frame of MP4 and QuickTime.
    pub timecode: Option<TimeCode>,
    /// How many bytes are missing at the end, if the container states its length.
    pub missing_bytes: u64,
    /// How late an ASF starts, which is part of its duration, but not of the times that `asfdemux` outputs.
    pub late_start: gst::ClockTime,
    /// The minimum number of frames that the container states; 0 if it states none.
    pub stated_frames: u64,
    /// The number of programs in a transport stream. `tsdemux` outputs the first.
    pub programs: usize,
    /// Whether `tsdemux` takes most values of its clock for jumps, so that frames get wrong times.
    pub has_rare_clock: bool,
    /// The streams that the demuxer does not support.
    pub unknown: Vec<String>,
    /// The location in ISO 6709.
    pub location: Option<String>,
    pub toc: Option<gst::Toc>,
    /// Whether the chapters of Matroska define the order in which it plays.
    pub is_ordered: bool,
    /// Whether it continues in another file.
    pub is_linked: bool,
    /// What this program decodes itself.
    pub own: Option<Own>,
    /// What to correct for the demuxer.
    pub repairs: Arc<Repairs>,
}

impl Media {
    /// Probes the file; fails unless there is video in it that can be decoded.
    pub fn probe(input: &Path) -> Result<Self> {
        if let Some(own) = Own::of_file(input)? {
            return Self::of_own(own);
        }
        let head = head::read(input)?;
        ensure!(!index::is_picture(&head), "is an AVIF or HEIF image, which cannot be decoded");
        let index = Index::read(input).ok();
        let has_track = index.as_ref().is_some_and(Index::has_track);
        // The file was not finished or is truncated. GStreamer 1.22 sometimes waits forever for the index.
        ensure!(!index.as_ref().is_some_and(Index::is_reference), fault::REFERENCE);
        ensure!(has_track || !index::is_isobmff(&head), fault::NO_INDEX);
        if let Some(cause) = unread::known(&head) {
            bail!(cause);
        }
        let repairs = Repairs {
            durations: index.as_ref().and_then(Durations::of).unwrap_or_default(),
            replacements: replacements(&head, index.as_ref()),
            sample_entries: index.as_ref().map(SampleEntries::of).unwrap_or_default(),
            early: Early::of(input),
            untimed: Untimed::of(input),
        };
        let repairs = Arc::new(repairs);
        let found = discover(input, &repairs);
        let (info, frameless, order) =
            found.map_err(|cause| anyhow!(better_cause(input, &head, index.as_ref(), cause)))?;
        let missing = info.missing_elements_installer_details();
        let mut media = Self::of_info(&info);
        for (id, caps) in frameless.take() {
            if media.tracks.iter().all(|track| track.id != id) {
                // A track that nothing can decode has no id.
                let is_it =
                    |track: &Track| track.id.is_empty() && track.kind() == media_type(&caps);
                media.tracks.retain(|track| !is_it(track));
                media.tracks.push(Track { is_frameless: true, ..Track::new(id, caps) });
            }
        }
        media.repairs = repairs;
        media.add_details(input, &head, index)?;
        // Subtitles without a decoder have no id, and come last.
        let key = |track: &Track| {
            let is_video = track.kind().starts_with("video/");
            (!is_video, track.id.is_empty(), order.of(&track.id), track.id.clone())
        };
        media.tracks.sort_by_key(key);
        let Ok(main) = media.main_track() else {
            return Err(media.fault(info.result(), &missing));
        };
        ensure!(field(&main.caps, "format") != Some("RGB8P"), unread::palette());
        if let Some(cause) = unread::miscoloured(&head, &main.caps) {
            bail!(cause);
        }
        let is_dolby = main.stated.ignored.iter().any(|what| what == DOLBY_VISION_5);
        ensure!(!is_dolby, "is {}, whose colours GStreamer cannot decode", DOLBY_VISION_5);
        let is_known = !main.kind().ends_with("-unknown");
        ensure!(is_known, fault::no_decoder(&[codec_name(&main.caps)]));
        if let Some(details) = missing.iter().find(|details| details.contains(main.kind())) {
            bail!(missing_decoder(&[details]));
        }
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

    /// Probes an input; also fails if the demuxer gives its frames wrong times.
    pub fn probe_input(input: &Path) -> Result<Self> {
        let media = Self::probe(input)?;
        ensure!(!media.has_rare_clock, fault::RARE_CLOCK);
        Ok(media)
    }

    /// The error for a file without video that can be decoded; `missing` is what is not installed.
    fn fault(&self, result: DiscovererResult, missing: &[impl AsRef<str>]) -> anyhow::Error {
        if result == DiscovererResult::Timeout {
            return anyhow!("cannot be opened: no progress for {} s", PATIENCE.seconds());
        }
        let is_encrypted = |track: &Track| {
            track.kind() == "application/x-cenc" || track.kind().contains("encrypted")
        };
        if self.tracks.iter().any(is_encrypted) {
            return anyhow!(fault::ENCRYPTED);
        }
        if !missing.is_empty() {
            return anyhow!(missing_decoder(missing));
        }
        if self.tracks.is_empty() {
            return anyhow!(fault::NO_INDEX);
        }
        if self.tracks.iter().any(|track| track.kind().starts_with("video/")) {
            return anyhow!(fault::NOTHING_DECODED);
        }
        let names: Vec<_> = self.tracks.iter().map(|track| codec_name(&track.caps)).collect();
        anyhow!("has no video track, only {}", names.join(", "))
    }

    /// The only track of what this program decodes itself.
    pub fn of_own(own: Own) -> Result<Self> {
        let tracks = vec![Track::new(String::new(), own.caps()?)];
        let container = Some(gst::Caps::new_empty_simple(own.kind()));
        let (duration, is_seekable) = (own.duration(), matches!(own, Own::Y4m(_)));
        let (missing_bytes, own) = (own.missing_bytes(), Some(own));
        let media = Self::default();
        Ok(Self { container, tracks, duration, is_seekable, missing_bytes, own, ..media })
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
        matches!(self.own, Some(Own::Animation(_)))
    }

    /// Whether its timestamps may start at any time.
    pub fn is_stream(&self) -> bool {
        // Elementary streams have no container.
        ["", "video/mpegts", "video/mpeg"].contains(&self.kind())
    }

    /// Whether key frames are found exactly.
    pub fn has_index(&self) -> bool {
        ["video/quicktime", "video/x-matroska", "video/webm", own::Y4M].contains(&self.kind())
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

/// Runs the discoverer on `input` with its `repairs`. Also returns the tracks in which it finds no frame, and their order.
fn discover(
    input: &Path,
    repairs: &Arc<Repairs>,
) -> Result<(DiscovererInfo, Frameless, TrackOrder), String> {
    let discoverer = Discoverer::new(PATIENCE).map_err(|error| error.to_string())?;
    let undecodable = Arc::new(Mutex::new(Vec::new()));
    let found = undecodable.clone();
    let frameless = Frameless::default();
    let order = TrackOrder::default();
    let (watched, ordered) = (frameless.clone(), order.clone());
    let (repairs, file) = (repairs.clone(), input.to_owned());
    discoverer.connect_source_setup(move |_, source| {
        if let Some(pad) = source.static_pad("src") {
            replace(&pad, repairs.for_probe());
        }
        let Some(decoder) = source.parent().and_downcast::<gst::Bin>() else { return };
        // Without it, the discoverer only waits longer.
        let _ = watchdog::watch(&file, source, &decoder);
        watched.watch(&decoder);
        let (repairs, ordered) = (repairs.clone(), ordered.clone());
        decoder.connect_deep_element_added(move |_, _, element| {
            correct_caps(element, &repairs);
            ordered.watch(element);
            if element.has_property("direct-rendering") {
                // With it, FFmpeg's decoders crash on formats that GStreamer does not know.
                element.set_property("direct-rendering", false);
            }
        });
        // Its decoder fails, and the file with it.
        decode_only(decoder.upcast_ref(), |_, caps| media_type(caps) != TRUE_HD_OR_PCM);
        let found = found.clone();
        decoder.connect("unknown-type", false, move |values| {
            let caps = values.get(2)?.get::<gst::Caps>().ok()?;
            lock(&found).push(codec_name(&caps));
            None
        });
    });
    let path = std::path::absolute(input).map_err(|error| error.to_string())?;
    let uri = gst::glib::filename_to_uri(path, None).map_err(|error| error.to_string())?;
    complaints::take_unknown_format();
    let info = discoverer.discover_uri(&uri);
    let info = info.map_err(|error| match complaints::take_unknown_format() {
        true => unread::format(),
        false => fault::explain_probe(&error, &lock(&undecodable)),
    })?;
    Ok((info, frameless, order))
}

/// What to read differently.
fn replacements(head: &[u8], index: Option<&Index>) -> Vec<Replacement> {
    let mut all: Vec<_> = asf::count(head).into_iter().collect();
    if let Some(index) = index {
        all.extend(fourccs::replacements(index).chain(pcm::replacements(index)));
    }
    all
}

/// Why `input` cannot be read if the discoverer fails because of `cause`.
fn better_cause(input: &Path, head: &[u8], index: Option<&Index>, cause: String) -> String {
    let codes = index.map(fourccs::of_video).unwrap_or_default();
    if cause == fault::NO_INDEX && !codes.is_empty() {
        let codes: Vec<_> = codes.iter().map(|code| format!("the codec {code}")).collect();
        return fault::no_decoder(&codes);
    }
    let is_elsewhere = index.is_some_and(Index::is_elsewhere);
    let of_reference = || is_elsewhere.then(|| fault::REFERENCE.to_owned());
    let better = || {
        of_reference().or_else(|| of_truncation(input, head)).or_else(|| unread::suspected(head))
    };
    fault::is_of_damage(&cause).then(better).flatten().unwrap_or(cause)
}

/// The error for a file that cannot be opened, if it is shorter than it says.
fn of_truncation(input: &Path, head: &[u8]) -> Option<String> {
    let of_matroska = || matroska::read(input).ok()?.whole_length;
    let whole = avi::whole_length(head).or_else(of_matroska)?;
    let missing = whole.saturating_sub(std::fs::metadata(input).ok()?.len());
    let what = format!("is truncated: its last {missing} bytes are missing");
    (missing > 0).then(|| format!("{what}, and nothing else in it can be decoded"))
}

/// The track of a stream. A stream without an id is one between a demuxer and a parser, unless nothing can decode it.
fn track(stream: &DiscovererStreamInfo, is_missing: &dyn Fn(&gst::Caps) -> bool) -> Option<Track> {
    let caps = stream.caps()?;
    let id = stream.stream_id().map(|id| short_id(&id).to_owned());
    let id = id.or_else(|| is_missing(&caps).then(String::new))?;
    Some(Track { tags: stream.tags().unwrap_or_default(), ..Track::new(id, caps) })
}

/// The error for missing decoders, from the details for an installer: `gstreamer|1.0|program|description|decoder-…`.
fn missing_decoder(details: &[impl AsRef<str>]) -> String {
    let description = |details: &str| details.split('|').nth(3).unwrap_or(details).to_owned();
    let missing: Vec<_> = details.iter().map(|details| description(details.as_ref())).collect();
    // The demuxer does not know the codec, so no plugin has a decoder for it.
    let code = |text: &String| {
        let code = text.split_once("/x-gst-fourcc-")?.1.split_whitespace().next()?;
        Some(format!("the codec {code}"))
    };
    let unknown: Vec<_> = missing.iter().filter_map(code).collect();
    match unknown.is_empty() {
        true => fault::not_installed(&missing),
        false => fault::no_decoder(&unknown),
    }
}
