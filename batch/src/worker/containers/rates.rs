// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sample rates above 65,535 Hz in MP4 and QuickTime (ISO/IEC 14496-12, section 12.2.3). The field of a sample entry has
//! 16 bits, and `qtmux` of GStreamer 1.22 writes the low ones of the rate. With 0, as ffmpeg writes it, the rate is that
//! of the codec, or the number of units per second of the track.

use super::isobmff::{behind_times, find, number, place, tracks};

/// The rate in a sample entry, 16.16 fixed point: after the version, flags and number of entries, and the entry's size,
/// code, and 24 bytes.
const RATE: std::ops::Range<usize> = 40..44;

/// Removes the wrong rates from the index `moov`.
pub fn remove_wrong(moov: &mut [u8]) {
    let places: Vec<_> = tracks(moov).filter_map(wrong).map(|rate| place(moov, rate)).collect();
    places.into_iter().for_each(|place| moov[place].fill(0));
}

/// The rate of a track of audio, if it is too high for its field.
fn wrong(track: &[u8]) -> Option<&[u8]> {
    let media = find(track, &[b"mdia"])?;
    let header = find(media, &[b"mdhd"])?;
    let at = behind_times(header);
    let scale = number(header.get(at..at + 4)?)?;
    let is_audio = find(media, &[b"hdlr"])?.get(8..12)? == b"soun";
    let rate = find(media, &[b"minf", b"stbl", b"stsd"])?.get(RATE)?;
    (is_audio && scale > 0xFFFF && number(rate)? == scale << 16).then_some(rate)
}
