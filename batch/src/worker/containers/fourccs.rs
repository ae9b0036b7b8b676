// SPDX-License-Identifier: MIT OR Apache-2.0

//! Codecs of MP4 and QuickTime files whose four-character codes `qtdemux` of GStreamer 1.22 does not know, although there
//! is a decoder.

use super::isobmff::{Index, code, find, handler, number, place, tracks};
use crate::worker::pads::probes::Replacement;

/// Such codes, and a code of the same codec that it knows.
const SAME: [(&[u8; 4], &[u8; 4]); 1] = [
    // DNxHR is a newer form of DNxHD, which its decoder also decodes.
    (b"AVdh", b"AVdn"),
];

/// The codes in an index to replace; none in most files.
pub fn replacements(index: &Index) -> Vec<Replacement> {
    let moov = &index.moov[..];
    let tables =
        tracks(moov).filter_map(|track| find(track, &[b"mdia", b"minf", b"stbl", b"stsd"]));
    // After version, flags and the number of entries; an entry is a box.
    let codes = tables.filter_map(|table| table.get(12..16));
    let known = codes.filter_map(|code| {
        let (_, known) = SAME.iter().find(|(unknown, _)| *unknown == code)?;
        Some((index.start + place(moov, code).start as u64, **known))
    });
    known.collect()
}

/// The codes of the video tracks in an index that have frames.
pub fn of_video(index: &Index) -> Vec<String> {
    let of_track = |track| {
        let table = |kind| find(track, &[b"mdia", b"minf", b"stbl", kind]);
        let frames = number(table(b"stsz")?.get(8..12)?)?;
        let is_video = handler(track) == Some(b"vide");
        (is_video && frames > 0).then_some(code(Some(table(b"stsd")?.get(12..16)?)))
    };
    tracks(&index.moov).filter_map(of_track).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::isobmff::boxed, *};

    #[test]
    fn an_unknown_code_is_found_at_its_place() {
        for (code, expected) in [(b"AVdh", Some((100 + 8 * 5 + 12, *b"AVdn"))), (b"avc1", None)] {
            let table = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(code, b"")].concat();
            let track = [*b"stsd", *b"stbl", *b"minf", *b"mdia", *b"trak"];
            let moov = track.iter().fold(table, |content, kind| boxed(kind, &content));
            let index = Index { start: 100, moov };
            assert_eq!(replacements(&index), Vec::from_iter(expected));
        }
    }
}
