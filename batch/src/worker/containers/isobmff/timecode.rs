// SPDX-License-Identifier: MIT OR Apache-2.0

//! The time codes of a track, which `qtdemux` of GStreamer 1.22 does not read.

use std::{fs::File, path::Path};

use super::{boxes::number, trak::Trak};
use crate::worker::containers::{bytes::read_at, timecode::TimeCode};

/// The first time code of a time code track of `file`; `None` if it is another track.
pub fn first(file: &Path, track: Trak<'_>) -> Option<TimeCode> {
    let entry = track.entry().filter(|entry| entry.code == b"tmcd")?;
    // After six zeros, a reference and four zeros.
    let field = |i: usize| number(entry.content, 12 + 4 * i);
    let sample = read_at(&File::open(file).ok()?, *track.chunks()?.first()?).ok()?;
    let (scale, duration) = (field(1)? as i32, field(2)? as i32);
    (scale > 0 && duration > 0).then(|| TimeCode {
        frame: u32::from_be_bytes(sample),
        rate: gst::Fraction::new(scale, duration),
        drops_frames: field(0).is_some_and(|flags| flags & 1 != 0),
    })
}
