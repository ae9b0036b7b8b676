// SPDX-License-Identifier: MIT OR Apache-2.0

//! What becomes of each track of a file.

use anyhow::{Context, Result};

use super::{
    muxer::{Muxer, WayIn},
    source::Track,
};
use crate::container::Container;

/// What is done with a track.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The video that is translated.
    Translate,
    /// It goes into the output as it is.
    Keep(WayIn),
    /// Audio that is decoded and encoded anew.
    Encode,
    /// Subtitles that are brought into plain text.
    PlainText(WayIn),
    /// It is left out.
    Leave,
}

/// The fates of tracks with these caps, and what a user should know of them.
pub fn fates(tracks: &[gst::Caps], muxer: &Muxer) -> (Vec<Fate>, Vec<String>) {
    let main = main_video(tracks);
    let mut notices = Vec::new();
    let fates = tracks.iter().enumerate().map(|(i, caps)| {
        if Some(i) == main {
            return Fate::Translate;
        }
        let (fate, notice) = fate(caps, muxer);
        notices.extend(notice.map(|what| format!("track {}, {}, {what}", i + 1, name_of(caps))));
        fate
    });
    (fates.collect(), notices)
}

/// The first video, or the first picture if there is none: video may be coded as a row of JPEGs,
/// and else a picture is a cover.
pub fn main_video(tracks: &[gst::Caps]) -> Option<usize> {
    let first = |kind: &str| tracks.iter().position(|caps| media_type(caps).starts_with(kind));
    first("video/").or_else(|| first("image/"))
}

/// The track that is translated.
pub fn main_track(tracks: &[Track]) -> Result<&Track> {
    let caps: Vec<_> = tracks.iter().map(|track| track.caps.clone()).collect();
    main_video(&caps).map(|main| &tracks[main]).context("has no video track")
}

fn fate(caps: &gst::Caps, muxer: &Muxer) -> (Fate, Option<String>) {
    let holder = muxer.container.name();
    let kind = media_type(caps);
    if kind.starts_with("video/") {
        return (Fate::Leave, Some("is left out: only the first video is translated".to_owned()));
    }
    if let Some(way) = muxer.way_in(caps) {
        return (Fate::Keep(way), None);
    }
    if kind.starts_with("audio/") {
        let codec = muxer.container.audio_encoder().1;
        return (
            Fate::Encode,
            Some(format!("is encoded anew as {codec}: {holder} cannot hold it")),
        );
    }
    let plain = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
    if let Some(way) = muxer.way_in(&plain).filter(|_| is_text(kind)) {
        // Text with tags is what Matroska calls plain text, so nothing is lost there.
        let is_loss = kind != "text/x-raw" || muxer.container != Container::Mkv;
        let notice = format!("becomes plain text: {holder} cannot hold it");
        return (Fate::PlainText(way), is_loss.then_some(notice));
    }
    (Fate::Leave, Some(format!("is left out: {holder} cannot hold it")))
}

/// Whether subtitles of this kind are text.
pub fn is_text(kind: &str) -> bool {
    ["text/", "application/x-ass", "application/x-ssa", "application/x-subtitle"]
        .iter()
        .any(|text| kind.starts_with(text))
}

/// The media type of caps, such as `video/x-h264`.
pub fn media_type(caps: &gst::Caps) -> &str {
    caps.structure(0).map(|s| s.name().as_str()).unwrap_or_default()
}

/// What people call the coding of a track, or of the first that an encoder may give.
pub fn name_of(caps: &gst::Caps) -> String {
    let Some(first) = caps.structure(0) else {
        return "what is not known beforehand".to_owned();
    };
    let mut first = gst::Caps::builder_full().structure(first.to_owned()).build();
    first.fixate();
    gst_pbutils::pb_utils_get_codec_description(&first).to_string()
}
