// SPDX-License-Identifier: MIT OR Apache-2.0

//! PCM in MP4 and QuickTime whose description says that each sample has its own time, as ffmpeg writes it for rates above
//! 65,535 Hz. `qtdemux` of Debian 12 then reads the times from outside of its table and may stop after the first packet,
//! and outputs A-law one byte at a time. Without that statement, it outputs chunks.

use super::isobmff::{Index, find, handler, number, place, tracks};
use crate::worker::pads::probes::Replacement;

/// The compression id and the packet size in the table of descriptions: after its version, flags and number of entries,
/// and 28 bytes of the entry.
const COMPRESSION: std::ops::Range<usize> = 36..40;
/// A variable bit rate (QuickTime File Format, "Sound Sample Description").
const VARIABLE: [u8; 2] = (-2_i16).to_be_bytes();

/// The statements to replace in an index; none in most files.
pub fn replacements(index: &Index) -> Vec<Replacement> {
    let moov = &index.moov[..];
    let fields = tracks(moov).filter_map(|track| {
        let field = find(track, &[b"mdia", b"minf", b"stbl", b"stsd"])?.get(COMPRESSION)?;
        (is_pcm(track) && field.starts_with(&VARIABLE)).then_some(field)
    });
    let replaced =
        |field: &[u8]| (index.start + place(moov, field).start as u64, [0, 0, field[2], field[3]]);
    fields.map(replaced).collect()
}

/// Whether all samples of a track of audio have the same size, and last one unit.
fn is_pcm(track: &[u8]) -> bool {
    let table = |kind| find(track, &[b"mdia", b"minf", b"stbl", kind]);
    let size = table(b"stsz").and_then(|sizes| number(sizes.get(4..8)?));
    let times = table(b"stts").and_then(|times| times.get(4..16));
    let duration = times.filter(|times| number(&times[..4]) == Some(1));
    handler(track) == Some(b"soun")
        && size.is_some_and(|size| size > 0)
        && duration.is_some_and(|times| number(&times[8..]) == Some(1))
}

#[cfg(test)]
mod tests {
    use super::{super::isobmff::boxed, *};

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
            assert_eq!(replacements(&index(compression, size, duration)), []);
        }
        let index = index(-2, 3, 1);
        let [(at, bytes)] = replacements(&index)[..] else { panic!("one") };
        assert_eq!(bytes, [0, 0, 0, 7]);
        let at = (at - index.start) as usize;
        assert_eq!(index.moov[at..at + 4], [0xFF, 0xFE, 0, 7]);
    }
}
