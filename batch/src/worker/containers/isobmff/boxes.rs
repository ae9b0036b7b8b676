// SPDX-License-Identifier: MIT OR Apache-2.0

//! Boxes: a size, a type and a content (ISO/IEC 14496-12, section 4.2).

use crate::worker::containers::bytes::place;

/// The boxes in `data`, as type and content.
pub fn boxes(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let size = number(rest, 0)? as usize;
        let (kind, all) = (rest.get(4..8)?, rest.get(..size)?);
        let inside = all.get(8..)?;
        rest = &rest[size..];
        Some((kind, inside))
    })
}

/// The content of the box at `path`, a list of nested boxes.
pub fn find<'a>(data: &'a [u8], path: &[&[u8]]) -> Option<&'a [u8]> {
    path.iter().try_fold(data, |data, name| {
        boxes(data).find(|(kind, _)| kind == name).map(|(_, inside)| inside)
    })
}

/// The boxes in a `meta`. In MP4, it starts with version and flags.
pub fn plain(meta: &[u8]) -> &[u8] {
    match find(meta, &[b"hdlr"]) {
        Some(_) => meta,
        None => meta.get(4..).unwrap_or_default(),
    }
}

/// A box of this type and content.
pub fn boxed(kind: &[u8], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes(), kind, content].concat()
}

/// The number of four bytes at `at`.
pub fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A change of bytes: where they begin, and the new ones.
pub type Change = (usize, Vec<u8>);

/// The change of `part` of an index to `new` bytes.
pub fn change(moov: &[u8], part: &[u8], new: &[u8]) -> Change {
    (place(moov, part).start, new.to_vec())
}
