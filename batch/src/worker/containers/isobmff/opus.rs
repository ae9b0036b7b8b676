// SPDX-License-Identifier: MIT OR Apache-2.0

//! The description of Opus in MP4 and QuickTime (Encapsulation of Opus in ISO Base Media File Format, section 4.3.2).
//! `qtmux` of GStreamer 1.22 writes its numbers in the wrong byte order, and players skip the first 0.3 s of the sound.

use super::{
    boxes::number,
    trak::{Trak, tracks},
};
use crate::worker::containers::bytes::place;

/// The highest rate that is taken for one, Hz.
const MAX_RATE: u32 = 0xFF_FFFF;

/// Corrects the byte order in the index `moov`.
pub fn correct(moov: &mut [u8]) {
    let places: Vec<_> =
        tracks(moov).filter_map(wrong).map(|numbers| place(moov, numbers)).collect();
    for numbers in places {
        // The samples to skip at the start, the rate of the input and the gain.
        for number in [0..2, 2..6, 6..8] {
            moov[numbers.start + number.start..numbers.start + number.end].reverse();
        }
    }
}

/// The numbers of a track of Opus whose rate is impossible.
fn wrong(track: Trak<'_>) -> Option<&[u8]> {
    let entry = track.entry()?.content;
    let at = entry.windows(4).position(|kind| kind == b"dOps")?;
    // After the version and the number of channels.
    let numbers = entry.get(at + 6..at + 14)?;
    (number(numbers, 2)? > MAX_RATE).then_some(numbers)
}
