// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sample rates above 65,535 Hz in MP4 and QuickTime (ISO/IEC 14496-12, section 12.2.3). The field of a sample entry has
//! 16 bits, and `qtmux` of GStreamer 1.22 writes the low ones of the rate. With 0, as ffmpeg writes it, the rate is that
//! of the codec, or the number of units per second of the track.

use super::{
    boxes::number,
    trak::{Trak, tracks},
};
use crate::worker::containers::bytes::place;

/// The rate in a sample entry, 16.16 fixed point.
const RATE: std::ops::Range<usize> = 24..28;

/// Removes the wrong rates from the index `moov`.
pub fn remove_wrong(moov: &mut [u8]) {
    let places: Vec<_> = tracks(moov).filter_map(wrong).map(|rate| place(moov, rate)).collect();
    places.into_iter().for_each(|place| moov[place].fill(0));
}

/// The rate of a track of audio, if it is too high for its field.
fn wrong(track: Trak<'_>) -> Option<&[u8]> {
    let scale = track.media()?.number;
    let rate = track.entry()?.content.get(RATE)?;
    let is_audio = track.handler()? == b"soun";
    (is_audio && scale > 0xFFFF && number(rate, 0)? == scale << 16).then_some(rate)
}
