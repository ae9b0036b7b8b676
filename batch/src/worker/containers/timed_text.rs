// SPDX-License-Identifier: MIT OR Apache-2.0

//! Styles of texts in MP4 and QuickTime (3GPP TS 26.245), such as italics and colours, which `qtdemux` leaves out.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::isobmff::{find, number};

/// Whether texts of a track of `file` with these tables of samples have styles.
pub fn has_styles(file: &Path, tables: &[u8]) -> bool {
    let Ok(mut file) = File::open(file) else { return false };
    samples(tables).unwrap_or_default().into_iter().any(|(at, size)| {
        let mut length = [0; 2];
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut length));
        // The styles follow the text.
        read.is_ok() && size > 2 + u32::from(u16::from_be_bytes(length))
    })
}

/// The offsets and sizes of samples (ISO/IEC 14496-12, sections 8.7.3 to 8.7.5).
fn samples(tables: &[u8]) -> Option<Vec<(u64, u32)>> {
    let numbers = |table: &'static [u8; 4], from: usize| {
        let bytes = find(tables, &[table])?.get(from..)?;
        Some(bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)))
    };
    let wide = || Some(find(tables, &[b"co64"])?.get(8..)?.as_chunks::<8>().0);
    let chunks: Vec<u64> = match numbers(b"stco", 8) {
        Some(offsets) => offsets.map(u64::from).collect(),
        None => wide()?.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect(),
    };
    let runs: Vec<_> = numbers(b"stsc", 8)?.collect();
    let (runs, _) = runs.as_chunks::<3>();
    // A track in which all have the same size has no list, and no text of use.
    let is_listed = number(find(tables, &[b"stsz"])?.get(4..8)?)? == 0;
    let mut sizes = numbers(b"stsz", 12)?.filter(|_| is_listed);
    let mut samples = Vec::new();
    for (chunk, mut at) in (1u32..).zip(chunks) {
        let run = runs.iter().rev().find(|[first, ..]| *first <= chunk);
        for size in sizes.by_ref().take(run.map_or(0, |[_, count, _]| *count as usize)) {
            samples.push((at, size));
            at += u64::from(size);
        }
    }
    Some(samples)
}
