// SPDX-License-Identifier: MIT OR Apache-2.0

//! PCM in MP4 and QuickTime whose description says that each sample has its own time, as ffmpeg writes it for rates above
//! 65,535 Hz. `qtdemux` of Debian 12 then reads the times from outside of its table and may stop after the first packet,
//! and outputs A-law one byte at a time. Without that claim, it outputs whole chunks.

use super::{boxes::number, index::Index, trak::Trak};
use crate::worker::pads::probes::Replacement;

/// The compression id and the packet size in a sample entry.
const COMPRESSION: std::ops::Range<usize> = 20..24;
/// A variable bit rate (QuickTime File Format, "Sound Sample Description").
const VARIABLE: [u8; 2] = (-2_i16).to_be_bytes();

/// The statements to replace in an index; none in most files.
pub fn replacements(index: &Index) -> impl Iterator<Item = Replacement> {
    index.tracks().filter(|track| is_pcm(*track)).filter_map(|track| {
        let field = track.entry()?.content.get(COMPRESSION)?;
        let is_wrong = field.starts_with(&VARIABLE);
        is_wrong.then(|| index.replacement(field, [0, 0, field[2], field[3]]))
    })
}

/// Whether all samples of a track of audio have the same size, and last one unit.
fn is_pcm(track: Trak<'_>) -> bool {
    let times = track.table(b"stts").unwrap_or_default();
    track.handler() == Some(b"soun")
        && track.sizes().is_some_and(|(size, _)| size > 0)
        && (number(times, 4), number(times, 12)) == (Some(1), Some(1))
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};

    /// An index with a track of audio: its compression id, the size of its samples and their duration.
    fn index(compression: i16, size: u32, duration: u32) -> Index {
        let entry = [&[0; 20][..], &compression.to_be_bytes(), &[0, 7], &[0; 4]].concat();
        let table = |kind: &[u8; 4], numbers: &[u32], rest: &[u8]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            boxed(kind, &[&numbers, rest].concat())
        };
        let tables = [
            table(b"stsd", &[0, 1], &boxed(b"lpcm", &entry)),
            table(b"stts", &[0, 1, 96_000, duration], &[]),
            table(b"stsz", &[0, size, 96_000], &[]),
        ];
        let tables = boxed(b"minf", &boxed(b"stbl", &tables.concat()));
        let handler = boxed(b"hdlr", &[&[0; 8], &b"soun"[..]].concat());
        Index { start: 100, moov: boxed(b"trak", &boxed(b"mdia", &[handler, tables].concat())) }
    }

    #[test]
    fn only_pcm_with_variable_bit_rate_is_changed() {
        for (compression, size, duration) in [(0, 3, 1), (-2, 0, 1), (-2, 3, 1024)] {
            assert_eq!(replacements(&index(compression, size, duration)).next(), None);
        }
        let index = index(-2, 3, 1);
        let [(at, bytes)] = replacements(&index).collect::<Vec<_>>()[..] else { panic!("one") };
        assert_eq!(bytes, [0, 0, 0, 7]);
        let at = (at - index.start) as usize;
        assert_eq!(index.moov[at..at + 4], [0xFF, 0xFE, 0, 7]);
    }
}
