// SPDX-License-Identifier: MIT OR Apache-2.0

//! Styles of texts in MP4 and QuickTime (3GPP TS 26.245), such as italics and colours, which `qtdemux` leaves out.

use std::{fs::File, path::Path};

use super::{boxes::number, trak::Trak};
use crate::worker::containers::bytes::read_at;

/// Whether texts of a `track` of `file` have styles.
pub fn has_styles(file: &Path, track: Trak<'_>) -> bool {
    let Ok(file) = File::open(file) else { return false };
    samples(track).unwrap_or_default().into_iter().any(|(at, size)| {
        // The styles follow the text.
        read_at(&file, at).is_ok_and(|length| size > 2 + u32::from(u16::from_be_bytes(length)))
    })
}

/// The offsets and sizes of samples (ISO/IEC 14496-12, sections 8.7.3 to 8.7.5).
fn samples(track: Trak<'_>) -> Option<Vec<(u64, u32)>> {
    let runs = track.table(b"stsc")?.get(8..)?.as_chunks::<12>().0;
    // If all samples have one size, there is no list, and no useful text.
    let (0, _) = track.sizes()? else { return None };
    let sizes = track.table(b"stsz")?.get(12..)?.as_chunks::<4>().0;
    let mut sizes = sizes.iter().map(|size| u32::from_be_bytes(*size));
    let mut samples = Vec::new();
    for (chunk, mut at) in (1u32..).zip(track.chunks()?) {
        // The first chunk with this number of samples, and that number.
        let run = runs.iter().rev().find(|run| number(*run, 0).is_some_and(|first| first <= chunk));
        let count = run.and_then(|run| number(run, 4)).unwrap_or(0);
        for size in sizes.by_ref().take(count as usize) {
            samples.push((at, size));
            at += u64::from(size);
        }
    }
    Some(samples)
}
