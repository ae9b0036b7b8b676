// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `qtdemux` leaves out of MP4 and QuickTime files (ISO/IEC 14496-12; QuickTime File Format).

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result, ensure};

/// An index larger than this is none.
const LARGEST_INDEX: u64 = 1 << 30;

/// The boxes in `data`: the type of each and what is in it.
fn boxes(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let (kind, all) = (rest.get(4..8)?, rest.get(..size)?);
        let inside = all.get(8..)?;
        rest = &rest[size..];
        Some((kind, inside))
    })
}

/// What is in the box at the end of `path`, each inside the one before.
fn find<'a>(data: &'a [u8], path: &[&[u8]]) -> Option<&'a [u8]> {
    path.iter().try_fold(data, |data, name| {
        boxes(data).find(|(kind, _)| kind == name).map(|(_, inside)| inside)
    })
}

/// The index of a file, what is in its `moov`.
fn index(file: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        file.read_exact(&mut head[..8]).context("no index")?;
        let mut size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        let mut header = 8;
        if size == 1 {
            file.read_exact(&mut head[8..])?;
            size = head[8..].iter().fold(0, |size, &byte| size << 8 | u64::from(byte));
            header = 16;
        }
        ensure!(size >= header, "a box without an end");
        if &head[4..8] == b"moov" {
            ensure!(size <= LARGEST_INDEX, "an index of {size} bytes");
            let mut moov = vec![0; (size - header) as usize];
            file.read_exact(&mut moov)?;
            return Ok(moov);
        }
        at += size;
    }
}

/// The tracks of raw audio whose samples have their lowest byte first, by their ids: they say so in `enda`.
pub fn little_endian_tracks(file: &Path) -> Result<Vec<u32>> {
    let moov = index(file)?;
    let tracks = boxes(&moov).filter(|(kind, _)| *kind == b"trak").filter_map(|(_, track)| {
        let header = find(track, &[b"tkhd"])?;
        // Behind version, flags and two times of 4 or 8 bytes.
        let at = if header.first() == Some(&1) { 20 } else { 12 };
        let id = u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?);
        let samples = find(track, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
        samples.windows(6).any(|bytes| bytes == b"enda\0\x01").then_some(id)
    });
    Ok(tracks.collect())
}
