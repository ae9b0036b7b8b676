// SPDX-License-Identifier: MIT OR Apache-2.0

//! Errors of GStreamer as messages of one line that users understand.

use gst::prelude::*;

use crate::worker::elements::caps::is_encrypted;

pub const NO_SPACE: &str = "no space left for the output";
const NO_READER: &str = "the program that reads the output has ended";
pub const MEDIA_SEGMENT: &str =
    "is a segment of a stream (DASH or HLS): append it to the segment with the index first";
pub const INITIALIZATION: &str =
    "is only the start of a stream (DASH or HLS), without frames: translate its playlist instead";
pub const NO_INDEX: &str = "is truncated, or still being written: its index is missing";
pub const ENCRYPTED: &str = "is encrypted (DRM) and cannot be decoded";
pub const REFERENCE: &str = "is a QuickTime reference movie: its video is in another file";
pub const NO_FRAMES: &str = "is truncated: no frame is found before its end";
pub const ENDLESS: &str = "cannot be read: GStreamer reads past its end without stopping; remux it first: \
                           ffmpeg -i INPUT -c copy OUTPUT.mkv";
/// In a television recording that continues into the next programme, for example.
pub const CHANGED_TRACKS: &str = "its tracks change midway: split it there first, for example with \
     `ffmpeg -i FILE -t SECONDS -map 0 -c copy PART`";
pub const NOTHING_DECODED: &str = "is damaged: nothing in it can be decoded";
pub const RARE_CLOCK: &str = "its clock (PCR) comes less often than twice a second, so GStreamer would give frames \
                              wrong times; remux it first: ffmpeg -i INPUT -c copy OUTPUT.mkv";
pub const LATE_CLOCK: &str = "its clock (PCR) starts later than its sound or video, so GStreamer would give them wrong \
                              times; remux it first: ffmpeg -i INPUT -c copy OUTPUT.mkv";
const NO_DECODER: &str = "cannot be decoded: GStreamer has no decoder for it";
const TEXT: &str = "is a text file";
/// The cause for a track that should be re-encoded.
pub const NO_DATA: &str = "has no data that can be decoded";

/// The start of the error about an element whose output no other accepts.
const NOT_ACCEPTED: &str = "no element accepts the output of GStreamer's";
/// GStreamer's message when data do not flow, whatever the cause.
const INTERNAL: &str = "Internal data stream error";
const GENERAL: &str = "general stream error";
/// A demuxer gives up.
const UNREADABLE: &str = "is damaged: it cannot be read to the end";

/// A failure that cutting the file into segments may have caused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CutFault(pub String);

/// A failure of one track on its way into the output.
#[derive(Debug, thiserror::Error)]
#[error("track {}: {cause}", track + 1)]
pub struct TrackFault {
    pub track: usize,
    pub cause: String,
}

/// A failure of the input, the disk or the network, which no other handling of tracks would avoid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutsideFault(pub String);

/// The name of the elements of a track.
pub fn track_name(track: usize) -> String {
    format!("track-{track}-")
}

/// Converts the error message of a pipeline; `missing` describes the missing plugins that it has reported.
pub fn explain(message: &gst::message::Error, missing: &[String]) -> anyhow::Error {
    let cause = cause_of(message, missing);
    let mut object = message.src().cloned();
    while let Some(source) = object {
        let name = source.name();
        let number = name.strip_prefix("track-").and_then(|rest| rest.split('-').next());
        if let Some(track) = number.and_then(|number| number.parse().ok()) {
            let is_flow = message.error().message().contains(INTERNAL);
            let cause =
                if is_flow { "the container does not accept its data".to_owned() } else { cause };
            return TrackFault { track, cause }.into();
        }
        object = source.parent();
    }
    match message.error().is::<gst::ResourceError>() || cause == NO_SPACE {
        true => OutsideFault(cause).into(),
        false => anyhow::anyhow!(cause),
    }
}

/// Converts an error of the discoverer, which has no details; `undecodable` are the codecs without a decoder.
pub fn explain_probe(error: &gst::glib::Error, undecodable: &[String]) -> String {
    match of_kind(error) {
        Some(NO_DECODER) if undecodable.iter().any(|kind| kind.starts_with("text/")) => {
            TEXT.to_owned()
        }
        Some(NO_DECODER) if undecodable.iter().any(|kind| is_encrypted(kind)) => {
            ENCRYPTED.to_owned()
        }
        Some(NO_DECODER) if !undecodable.is_empty() => no_decoder(undecodable),
        Some(text) => text.to_owned(),
        // From MXF.
        None if error.message().contains("This stream contains no data") => NO_FRAMES.to_owned(),
        None if error.message().contains("contains no data") => "is empty".to_owned(),
        None if [INTERNAL, GENERAL].iter().any(|text| error.message().contains(text)) => {
            UNREADABLE.to_owned()
        }
        None if error.message().contains("No valid frames") => NOTHING_DECODED.to_owned(),
        None if error.matches(gst::StreamError::WrongType) => {
            "is damaged: GStreamer takes its header for that of another format".to_owned()
        }
        None => of_damage(error, one_line(error.message())),
    }
}

/// Whether an error says that an element refuses the format of its input.
pub fn is_of_format(error: &anyhow::Error) -> bool {
    error.to_string().starts_with(NOT_ACCEPTED)
}

/// Whether an error says that a file is damaged.
pub fn is_of_damage(cause: &str) -> bool {
    ["is damaged", "is truncated", "cannot be read"].iter().any(|start| cause.starts_with(start))
}

/// Says that a file is damaged if a demuxer or decoder has failed.
fn of_damage(error: &gst::glib::Error, detail: String) -> String {
    if is_of_damage(&detail) {
        return detail;
    }
    match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::Demux) => format!("is damaged: it cannot be demuxed: {detail}"),
        Some(gst::StreamError::Decode) => format!("is damaged: it cannot be decoded: {detail}"),
        _ if detail.contains("Failed to decode") => {
            "is damaged: a frame cannot be decoded, and the decoder gives up".to_owned()
        }
        _ => detail,
    }
}

/// The text of a warning of a pipeline.
pub fn warning(message: &gst::message::Warning) -> String {
    let text = one_line(message.error().message());
    match text.starts_with("CONTINUITY: ") {
        true => "is damaged: packets of its transport stream are missing".to_owned(),
        false => text,
    }
}

fn of_kind(error: &gst::glib::Error) -> Option<&'static str> {
    if error.matches(gst::ResourceError::NoSpaceLeft) {
        return Some(NO_SPACE);
    }
    if error.matches(gst::ResourceError::NotAuthorized) {
        return Some("permission denied");
    }
    if error.matches(gst::CoreError::MissingPlugin) {
        return Some(NO_DECODER);
    }
    match error.kind::<gst::StreamError>()? {
        gst::StreamError::TypeNotFound => {
            Some("is not a video or image, or too damaged to be recognised")
        }
        gst::StreamError::WrongType if error.message().contains("text file") => Some(TEXT),
        gst::StreamError::Decrypt | gst::StreamError::DecryptNokey => Some(ENCRYPTED),
        gst::StreamError::Demux if error.message().contains("no playable streams") => {
            Some(NO_INDEX)
        }
        _ => None,
    }
}

/// What GStreamer says in any kind of error, and the cause.
const CAUSES: [(&str, &str); 5] = [
    ("No space left on device", NO_SPACE),
    ("Broken pipe", NO_READER),
    // Both the decoder and `decodebin` report it, in any order.
    ("No valid frames", NOTHING_DECODED),
    ("all streams without buffers", NOTHING_DECODED),
    // From `mpegtsmux`, if a track ends before it starts.
    ("Could not create handler for stream", NO_DATA),
];

fn cause_of(message: &gst::message::Error, missing: &[String]) -> String {
    let (error, debug) = (message.error(), message.debug());
    let says = |text: &str| {
        error.message().contains(text) || debug.as_ref().is_some_and(|debug| debug.contains(text))
    };
    if error.matches(gst::CoreError::MissingPlugin) && !missing.is_empty() {
        return not_installed(missing);
    }
    if let Some(cause) = of_kind(&error) {
        return cause.to_owned();
    }
    if let Some((_, cause)) = CAUSES.iter().find(|(text, _)| says(text)) {
        return (*cause).to_owned();
    }
    if error.matches(gst::StreamError::CodecNotFound) {
        return match missing.is_empty() {
            true => NOTHING_DECODED.to_owned(),
            false => not_installed(missing),
        };
    }
    if error.message().contains(INTERNAL) {
        let element = message.src().map(|source| source.name()).unwrap_or_default();
        return match says("not-negotiated") {
            true => format!("{NOT_ACCEPTED} {element}"),
            false => UNREADABLE.to_owned(),
        };
    }
    let is_of_source = message.src().is_some_and(|source| source.name().starts_with("source"));
    let text = one_line(error.message());
    let detail = debug.and_then(|debug| last_line(&debug)).filter(|_| !is_of_source);
    of_damage(&error, detail.map_or(text.clone(), |detail| format!("{text} ({detail})")))
}

/// The error for codecs that no known plugin decodes.
pub fn no_decoder(codecs: &[String]) -> String {
    format!("cannot be decoded: GStreamer has no decoder for {}", codecs.join(", "))
}

/// The error for plugins that are not installed.
pub fn not_installed(missing: &[String]) -> String {
    format!("cannot be decoded: not installed: {}", missing.join(", "))
}

/// The last line of an error's details, which has the cause; the first names the source file.
fn last_line(debug: &str) -> Option<String> {
    let detail = debug.lines().skip(1).last()?.trim();
    let is_noise = detail.is_empty() || detail.starts_with("streaming stopped, reason");
    (!is_noise).then(|| detail.to_owned())
}

pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
