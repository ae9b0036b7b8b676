// SPDX-License-Identifier: MIT OR Apache-2.0

//! EXIF (CIPA DC-008): that of TIFF files, and the parts that a translated, upright image changes: thumbnail, width and
//! height.

use std::{io::Cursor, ops::Range};

use exif::{Context, Field, In, Reader, Tag, Value, experimental::Writer};

/// The tags for offset and length of a thumbnail, as a JPEG or as raw pixels (section 4.5.2).
const PLACES: [[u16; 2]; 2] = [[0x201, 0x202], [0x111, 0x117]];
/// The tag of the directory with the fields of EXIF itself.
const EXIF: u16 = 0x8769;
/// The tags for width and height: pixels, in both directories, and resolutions.
const SIDES: [[u16; 2]; 4] = [[0x100, 0x101], [0xA002, 0xA003], [0x11A, 0x11B], [0xA20E, 0xA20F]];

/// The fields of TIFF itself that EXIF also has and that do not describe how the pixels are stored.
const ABOUT_THE_PICTURE: [Tag; 7] = [
    Tag::ImageDescription,
    Tag::Make,
    Tag::Model,
    Tag::Software,
    Tag::DateTime,
    Tag::Artist,
    Tag::Copyright,
];

/// The EXIF of the first image in a TIFF, without its orientation; `None` if there is none, or it cannot be read.
pub fn of_tiff(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new();
    let read = reader.continue_on_error(true).read_raw(bytes.to_vec());
    let found = read.or_else(|error| error.distill_partial_result(|_| ())).ok()?;
    let is_kept = |field: &&Field| {
        field.ifd_num == In::PRIMARY
            && (field.tag.context() != Context::Tiff || ABOUT_THE_PICTURE.contains(&field.tag))
            && !matches!(field.value, Value::Unknown(..))
    };
    let mut writer = Writer::new();
    found.fields().filter(is_kept).for_each(|field| writer.push_field(field));
    let mut exif = Cursor::new(Vec::new());
    // Fails without a field.
    writer.write(&mut exif, found.little_endian()).ok()?;
    Some(exif.into_inner())
}

/// Removes the prefix of JPEG, which some programs also write in other formats.
pub fn without_prefix(mut exif: Vec<u8>) -> Vec<u8> {
    if exif.starts_with(b"Exif\0\0") {
        exif.drain(..6);
    }
    exif
}

/// Removes the thumbnail, which shows the image before translation. Returns whether there was one.
pub fn remove_thumbnail(exif: &mut [u8]) -> bool {
    let Some((link, data)) = thumbnail(exif) else { return false };
    exif[link..][..4].fill(0);
    exif[data].fill(0);
    true
}

/// Swaps width and height, for an image that was rotated by 90°.
pub fn swap_sides(exif: &mut [u8]) {
    let Some(first) = number(exif, 4, 4) else { return };
    let own = entry(exif, first, EXIF).and_then(|entry| number(exif, entry + 8, 4));
    for directory in [Some(first), own].into_iter().flatten() {
        for [width, height] in SIDES {
            let [width, height] = [width, height].map(|tag| entry(exif, directory, tag));
            if let (Some(width), Some(height)) = (width, height) {
                // Everything but the tags.
                (2..12).for_each(|byte| exif.swap(width + byte, height + byte));
            }
        }
    }
}

/// The position of the link to the thumbnail's directory, and the range of the thumbnail.
fn thumbnail(exif: &[u8]) -> Option<(usize, Range<usize>)> {
    let first = number(exif, 4, 4)?;
    let link = first + 2 + 12 * number(exif, first, 2)?;
    let directory = number(exif, link, 4).filter(|at| *at > 0)?;
    let field = |tag: u16| {
        let entry = entry(exif, directory, tag)?;
        // A 16-bit number is in the first half of its field.
        number(exif, entry + 8, if number(exif, entry + 2, 2)? == 3 { 2 } else { 4 })
    };
    let place = |[begin, length]: [u16; 2]| Some((field(begin)?, field(length)?));
    let (begin, length) = PLACES.into_iter().find_map(place)?;
    let end = begin.checked_add(length).filter(|end| *end <= exif.len())?;
    Some((link, begin..end))
}

/// The position of the entry with this tag in a directory.
fn entry(exif: &[u8], directory: usize, tag: u16) -> Option<usize> {
    let mut entries = (0..number(exif, directory, 2)?).map(|i| directory + 2 + 12 * i);
    let entry = entries.find(|entry| number(exif, *entry, 2) == Some(tag.into()))?;
    (entry + 12 <= exif.len()).then_some(entry)
}

fn number(exif: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = exif.get(at..at.checked_add(size)?)?.iter();
    let push = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
    Some(if exif.starts_with(b"II") { bytes.rev().fold(0, push) } else { bytes.fold(0, push) })
}
