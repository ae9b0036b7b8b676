// SPDX-License-Identifier: MIT OR Apache-2.0

//! Codecs of MP4 and QuickTime files whose four-character codes `qtdemux` of GStreamer 1.22 does not know, although there
//! is a decoder.

use super::{details::code, index::Index};
use crate::worker::pads::probes::Replacement;

/// Such codes, and a code of the same codec that it knows.
const SAME: [(&[u8; 4], &[u8; 4]); 1] = [
    // DNxHR is a newer form of DNxHD, which its decoder also decodes.
    (b"AVdh", b"AVdn"),
];

/// The codes in an index to replace; none in most files.
pub fn replacements(index: &Index) -> impl Iterator<Item = Replacement> {
    index.tracks().filter_map(|track| {
        let code = track.entry()?.code;
        let (_, known) = SAME.iter().find(|(unknown, _)| *unknown == code)?;
        Some(index.replacement(code, **known))
    })
}

/// The codes of the video tracks in an index that have frames.
pub fn of_video(index: &Index) -> Vec<String> {
    let videos = index
        .tracks()
        .filter(|track| track.is_video() && track.sizes().is_some_and(|(_, frames)| frames > 0));
    videos.filter_map(|track| Some(code(track.entry()?.code))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};

    #[test]
    fn an_unknown_code_is_found_at_its_place() {
        for (code, expected) in [(b"AVdh", Some((100 + 8 * 5 + 12, *b"AVdn"))), (b"avc1", None)] {
            let table = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(code, b"")].concat();
            let track = [*b"stsd", *b"stbl", *b"minf", *b"mdia", *b"trak"];
            let moov = track.iter().fold(table, |content, kind| boxed(kind, &content));
            let index = Index { start: 100, moov };
            assert!(replacements(&index).eq(expected));
        }
    }
}
