// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sample entries of sound that `qtmux` of GStreamer 1.22 writes wrongly.

use super::{
    boxes::{Change, change, number},
    trak::{Trak, tracks},
};

/// The rate in a sample entry, 16.16 fixed point (ISO/IEC 14496-12, section 12.2.3).
const RATE: std::ops::Range<usize> = 24..28;
/// Larger values are not a sample rate but a wrong byte order, Hz.
const MAX_RATE: u32 = 0xFF_FFFF;

/// The corrections of the index `moov`.
pub fn corrections(moov: &[u8]) -> impl Iterator<Item = Change> {
    // A rate of 0 means that of the codec, or the time scale of the track, as ffmpeg writes it.
    let rates = tracks(moov).filter_map(low_rate).map(|rate| change(moov, rate, &[0; 4]));
    rates.chain(tracks(moov).filter_map(opus).map(|fields| {
        // The samples to skip at the start, the rate of the input and the gain.
        change(moov, fields, &[1, 0, 5, 4, 3, 2, 7, 6].map(|i| fields[i]))
    }))
}

/// The rate of a track of audio above 65,535 Hz: its field only has the low 16 bits.
fn low_rate(track: Trak<'_>) -> Option<&[u8]> {
    let scale = track.media()?.number;
    let rate = track.entry()?.content.get(RATE)?;
    let is_audio = track.handler()? == b"soun";
    (is_audio && scale > 0xFFFF && number(rate, 0)? == scale << 16).then_some(rate)
}

/// The fields of a track of Opus (Encapsulation of Opus in ISO Base Media File Format, section 4.3.2) in the wrong byte
/// order, with which players skip the first 0.3 s: the rate is impossible.
fn opus(track: Trak<'_>) -> Option<&[u8]> {
    let entry = track.entry()?.content;
    let at = entry.windows(4).position(|kind| kind == b"dOps")?;
    // After the version and the number of channels.
    let fields = entry.get(at + 6..at + 14)?;
    (number(fields, 2)? > MAX_RATE).then_some(fields)
}
