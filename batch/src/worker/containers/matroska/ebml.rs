// SPDX-License-Identifier: MIT OR Apache-2.0

//! EBML elements (RFC 8794). GStreamer has no library for them.

use std::borrow::Cow;

use crate::worker::containers::bytes::big_endian;

/// An element that only fills space.
pub const VOID: u32 = 0xEC;

/// The id of the element at the start of `bytes`, including the length marker, the size of its data if that is known
/// (section 6.2), and the length of both fields.
pub fn start(bytes: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let (id, id_length) = vint(bytes, true)?;
    let (size, size_length) = vint(bytes.get(id_length..)?, false)?;
    let is_unknown = size == (1 << (7 * size_length)) - 1;
    Some((u32::try_from(id).ok()?, (!is_unknown).then_some(size), id_length + size_length))
}

/// The variable-length integer at the start of `bytes`, of at most 8 bytes, including its marker if `keeps_marker`, and
/// its length.
pub fn vint(bytes: &[u8], keeps_marker: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    (length <= 8).then_some(())?;
    let number = big_endian(bytes.get(..length)?);
    let marker = if keeps_marker { 0 } else { 1 << (7 * length) };
    Some((number ^ marker, length))
}

#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    pub id: u32,
    /// All its bytes.
    pub bytes: &'a [u8],
    pub data: &'a [u8],
}

/// The elements in `data`.
pub fn elements(data: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (id, size, start) = start(rest)?;
        let end = usize::try_from(size?).ok()?.checked_add(start)?;
        let (bytes, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(Element { id, bytes, data: &bytes[start..] })
    })
}

/// The elements in `data` along this path of ids.
pub fn nested<'a>(data: &'a [u8], path: &[u32]) -> Vec<Element<'a>> {
    let Some((id, rest)) = path.split_first() else { return Vec::new() };
    let found = elements(data).filter(|element| element.id == *id);
    match rest {
        [] => found.collect(),
        _ => found.flat_map(|element| nested(element.data, rest)).collect(),
    }
}

impl<'a> Element<'a> {
    /// The elements in it with this id.
    pub fn children(self, id: u32) -> impl Iterator<Item = Self> {
        elements(self.data).filter(move |element| element.id == id)
    }

    /// The first of them.
    pub fn child(self, id: u32) -> Option<Self> {
        self.children(id).next()
    }

    pub fn number(self) -> u64 {
        big_endian(self.data)
    }

    /// The number in the first element in it with this id.
    pub fn field(self, id: u32) -> Option<u64> {
        self.child(id).map(Self::number)
    }

    /// The floating-point number of 4 or 8 bytes.
    pub fn float(self) -> Option<f64> {
        match *self.data {
            [a, b, c, d] => Some(f32::from_be_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => Some(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
            _ => None,
        }
    }

    pub fn text(self) -> Cow<'a, str> {
        let end = self.data.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(end.unwrap_or_default())
    }
}

/// An element with this id and content.
pub fn wrapped(id: u32, content: &[u8]) -> Vec<u8> {
    // An id begins at its first byte that is not 0; the size has a marker and seven bytes.
    let id = id.to_be_bytes();
    let id = &id[id.iter().position(|&byte| byte != 0).unwrap_or(0)..];
    let size = (content.len() as u64 | 1 << 56).to_be_bytes();
    [id, &size, content].concat()
}
