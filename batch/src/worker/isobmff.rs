// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of MP4 and QuickTime files that `qtdemux` ignores (ISO/IEC 14496-12; QuickTime File Format).

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result, ensure};

/// Largest size of an index in bytes.
const LARGEST_INDEX: u64 = 1 << 30;

/// The boxes in `data`: type and content.
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

/// The content of the box at `path`, a list of nested boxes.
fn find<'a>(data: &'a [u8], path: &[&[u8]]) -> Option<&'a [u8]> {
    path.iter().try_fold(data, |data, name| {
        boxes(data).find(|(kind, _)| kind == name).map(|(_, inside)| inside)
    })
}

/// The index of a file: the content of `moov`.
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

/// Whether a file begins as MP4 and QuickTime files do, but has no index: it was not written to its end, or
/// its end is lost.
pub fn lacks_index(file: &Path) -> bool {
    let mut head = [0; 8];
    let is_read = File::open(file).is_ok_and(|mut file| file.read_exact(&mut head).is_ok());
    is_read && &head[4..] == b"ftyp" && index(file).is_err()
}

/// Information of an index that `qtdemux` does not provide.
#[derive(Debug, Default)]
pub struct Details {
    /// The tracks of raw audio whose samples have their lowest byte first, by their ids: they say so in
    /// `enda`.
    pub little_endian: Vec<u32>,
    /// The tracks of text that are chapters, by their ids: another refers to them as `chap`.
    pub chapter_tracks: Vec<u32>,
    /// The chapters of the list that Nero's programs began: when each begins, in units of 100 ns, and its
    /// title.
    pub chapters: Vec<(u64, String)>,
    /// Whether there is a track of time codes.
    pub has_timecode: bool,
    /// Which tracks are disabled, by their ids: a player does not play them by itself.
    pub disabled: Vec<u32>,
}

/// Reads the index of `file`.
pub fn details(file: &Path) -> Result<Details> {
    let moov = index(file)?;
    let mut details = Details::default();
    for (_, track) in boxes(&moov).filter(|(kind, _)| *kind == b"trak") {
        let Some(header) = find(track, &[b"tkhd"]) else { continue };
        // Behind version, flags and two times of 4 or 8 bytes.
        let at = if header.first() == Some(&1) { 20 } else { 12 };
        let Some(id) = header.get(at..at + 4).and_then(number) else { continue };
        let samples = find(track, &[b"mdia", b"minf", b"stbl", b"stsd"]).unwrap_or_default();
        if samples.windows(6).any(|bytes| bytes == b"enda\0\x01") {
            details.little_endian.push(id);
        }
        if header.get(3).is_some_and(|flags| flags & 1 == 0) {
            details.disabled.push(id);
        }
        details.has_timecode |= samples.get(12..16) == Some(b"tmcd");
        let chapters = find(track, &[b"tref", b"chap"]).unwrap_or_default();
        details
            .chapter_tracks
            .extend(chapters.as_chunks::<4>().0.iter().filter_map(|id| number(id)));
    }
    if let Some(list) = find(&moov, &[b"udta", b"chpl"]) {
        details.chapters = nero(list);
    }
    Ok(details)
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The chapters of a list: version and flags, four bytes that no one knows, their number; of each the time
/// and a title with its length.
fn nero(list: &[u8]) -> Vec<(u64, String)> {
    let mut rest = list.get(9..).unwrap_or_default();
    let count = list.get(8).copied().unwrap_or(0);
    let next = |_| {
        let (time, after) = rest.split_at_checked(8)?;
        let (&length, after) = after.split_first()?;
        let (title, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        Some((
            u64::from_be_bytes(time.try_into().ok()?),
            String::from_utf8_lossy(title).into_owned(),
        ))
    };
    (0..count).map_while(next).collect()
}
