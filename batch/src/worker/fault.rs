// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why something failed, in one line that a user understands.

use std::fmt;

use gst::prelude::*;

/// Why a disk is too small.
pub const NO_SPACE: &str = "no space left for the output";
/// Why a file has no tracks.
pub const NO_INDEX: &str = "is truncated, or still being written: its index is missing";
const NOTHING_DECODED: &str = "is damaged: nothing in it can be decoded";

/// A failure that does not come from the file but from its being cut.
#[derive(Debug)]
pub struct CutFault(pub String);

impl fmt::Display for CutFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CutFault {}

/// What an error message of a pipeline means; `missing` are descriptions of missing plugins that
/// were told before.
pub fn explain(message: &gst::message::Error, missing: &[String]) -> String {
    let error = message.error();
    if let Some(fault) = error.kind::<gst::ResourceError>() {
        match fault {
            gst::ResourceError::NoSpaceLeft => return NO_SPACE.to_owned(),
            gst::ResourceError::NotAuthorized => return "permission denied".to_owned(),
            _ => {}
        }
    }
    let says = |text: &str| {
        let debug = message.debug();
        error.message().contains(text) || debug.is_some_and(|debug| debug.contains(text))
    };
    if says("No space left on device") {
        return NO_SPACE.to_owned();
    }
    // Decoder and decodebin both notice; whoever is first.
    if says("No valid frames found") || says("all streams without buffers") {
        return NOTHING_DECODED.to_owned();
    }
    let is_of_source = message.src().is_some_and(|source| source.name().starts_with("source"));
    match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::TypeNotFound) => {
            return "is no video or picture, or too damaged to be recognised".to_owned();
        }
        Some(gst::StreamError::WrongType) if error.message().contains("text file") => {
            return "is a text file".to_owned();
        }
        Some(gst::StreamError::Decrypt | gst::StreamError::DecryptNokey) => {
            return "is encrypted".to_owned();
        }
        Some(gst::StreamError::CodecNotFound) if !missing.is_empty() => {
            return not_installed(missing);
        }
        Some(gst::StreamError::CodecNotFound) => {
            return NOTHING_DECODED.to_owned();
        }
        Some(gst::StreamError::Demux) if error.message().contains("no playable streams") => {
            return NO_INDEX.to_owned();
        }
        _ => {}
    }
    if error.matches(gst::CoreError::MissingPlugin) && !missing.is_empty() {
        return not_installed(missing);
    }
    let detail = message.debug().and_then(|debug| last_line(&debug));
    match detail {
        Some(detail) if !is_of_source => format!("{} ({detail})", one_line(error.message())),
        _ => one_line(error.message()),
    }
}

fn not_installed(missing: &[String]) -> String {
    format!("cannot be decoded, since this is not installed: {}", missing.join(", "))
}

/// The last line of an error's details, where the cause stands; the first names the source file.
fn last_line(debug: &str) -> Option<String> {
    let detail = debug.lines().skip(1).last()?.trim();
    let is_noise = detail.is_empty() || detail.starts_with("streaming stopped, reason");
    (!is_noise).then(|| detail.to_owned())
}

/// Text without line breaks.
pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
