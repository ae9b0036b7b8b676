// SPDX-License-Identifier: MIT OR Apache-2.0

//! The thumbnail in EXIF (CIPA DC-008, section 4.5.2).

use std::ops::Range;

/// Where a thumbnail begins and how long it is, as a JPEG or as raw pixels.
const PLACES: [[u16; 2]; 2] = [[0x201, 0x202], [0x111, 0x117]];

/// Removes the thumbnail, which shows the image before translation; returns whether there was one.
pub fn remove_thumbnail(exif: &mut [u8]) -> bool {
    // Some programs write JPEG's prefix in other formats too.
    let begin = if exif.starts_with(b"Exif\0\0") { 6 } else { 0 };
    let Some(Thumbnail { link, data }) = thumbnail(&exif[begin..]) else { return false };
    exif[begin + link..][..4].fill(0);
    exif[begin + data.start..begin + data.end].fill(0);
    true
}

struct Thumbnail {
    /// Where the offset of its directory is.
    link: usize,
    /// Where it is.
    data: Range<usize>,
}

fn thumbnail(exif: &[u8]) -> Option<Thumbnail> {
    let is_little = exif.starts_with(b"II");
    let number = |at: usize, size: usize| {
        let bytes = exif.get(at..at.checked_add(size)?)?.iter();
        let push = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(if is_little { bytes.rev().fold(0, push) } else { bytes.fold(0, push) })
    };
    let first = number(4, 4)?;
    let link = first + 2 + 12 * number(first, 2)?;
    let directory = number(link, 4).filter(|at| *at > 0)?;
    let field = |tag: u16| {
        let mut entries = (0..number(directory, 2)?).map(|i| directory + 2 + 12 * i);
        let entry = entries.find(|entry| number(*entry, 2) == Some(tag.into()))?;
        // A 16-bit number takes the first half of its field.
        number(entry + 8, if number(entry + 2, 2)? == 3 { 2 } else { 4 })
    };
    let place = |[begin, length]: [u16; 2]| Some((field(begin)?, field(length)?));
    let (begin, length) = PLACES.into_iter().find_map(place)?;
    let end = begin.checked_add(length).filter(|end| *end <= exif.len())?;
    Some(Thumbnail { link, data: begin..end })
}
