// SPDX-License-Identifier: MIT OR Apache-2.0

//! The items of a file: images and their metadata (ISO/IEC 14496-12, section 8.11; ISO/IEC 23008-12).

use super::boxes::{boxes, find};
use crate::worker::containers::bytes::Reader;

/// An item, by its entry in `iinf`.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub id: u64,
    pub kind: &'a [u8],
    /// The MIME type of a `mime` item, and how it is compressed.
    pub content: &'a [u8],
    pub encoding: &'a [u8],
}

/// A reference from one item to others.
struct Reference<'a> {
    kind: &'a [u8],
    from: u64,
    to: Vec<u64>,
}

/// All items of a file, without their data.
pub struct Items<'a> {
    file: &'a [u8],
    /// The content of `meta`.
    meta: &'a [u8],
    items: Vec<Item<'a>>,
    references: Vec<Reference<'a>>,
    /// The image that is shown.
    pub primary: u64,
}

/// Where the data of an item are.
struct Place<'a> {
    /// The bytes that offsets count in.
    within: &'a [u8],
    /// Offset and length of each part.
    parts: Vec<(u64, u64)>,
}

impl<'a> Items<'a> {
    /// The items of `file`; `None` if it has no list of them.
    pub fn of(file: &'a [u8]) -> Option<Self> {
        let meta = find(file, &[b"meta"])?.get(4..)?;
        let (mut primary, version) = full(meta, b"pitm")?;
        Some(Self {
            file,
            meta,
            items: items(meta)?,
            references: references(meta).unwrap_or_default(),
            primary: primary.big(id_size(version, 1))?,
        })
    }

    /// The metadata of the primary image that `is_such` finds.
    pub fn describing(&self, is_such: impl Fn(&Item<'a>) -> bool) -> Option<Item<'a>> {
        let describes = |item: &&Item<'a>| {
            let own = |found: &Reference<'_>| found.kind == b"cdsc" && found.from == item.id;
            self.references.iter().any(|found| own(found) && found.to.contains(&self.primary))
        };
        self.items.iter().filter(describes).find(|item| is_such(item)).copied()
    }

    /// The properties of an item, as type and content.
    pub fn properties(&self, id: u64) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let all = boxes(find(self.meta, &[b"iprp", b"ipco"]).unwrap_or_default());
        let all: Vec<_> = all.collect();
        let indices = associations(self.meta, id);
        indices.into_iter().filter_map(move |index| all.get(index.checked_sub(1)?).copied())
    }

    /// The first of the images that the primary one is composed of.
    pub fn tile(&self) -> Option<u64> {
        let mut composed = self.references.iter().filter(|found| found.kind == b"dimg");
        composed.find(|found| found.from == self.primary)?.to.first().copied()
    }

    /// Whether there are images besides the primary one, its parts, its alpha and its thumbnails.
    pub fn has_others(&self) -> bool {
        let is_part = |id| {
            self.references.iter().any(|found| match found.kind {
                b"dimg" => found.to.contains(&id),
                b"thmb" => found.from == id,
                _ => false,
            })
        };
        let is_image = |item: &&Item<'_>| !matches!(item.kind, b"Exif" | b"mime" | b"uri ");
        let mut others = self.items.iter().filter(is_image).map(|item| item.id);
        others.any(|id| id != self.primary && !is_part(id) && !self.is_alpha(id))
    }

    fn is_alpha(&self, id: u64) -> bool {
        self.properties(id).any(|(kind, property)| {
            let name = property.get(4..).unwrap_or_default();
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            // For HEVC, or for any codec (ISO/IEC 23000-22).
            kind == b"auxC"
                && (name.ends_with(b":hevc:2015:auxid:1") || name.ends_with(b":auxiliary:alpha"))
        })
    }

    /// The data of an item; `None` if they are compressed, in another file or missing.
    pub fn data(&self, item: Item<'_>) -> Option<Vec<u8>> {
        let place = self.place(item.id)?;
        let part = |(offset, length): (u64, u64)| {
            let start = usize::try_from(offset).ok()?;
            // A length of 0 means all that follow.
            match usize::try_from(length).ok()? {
                0 => place.within.get(start..),
                length => place.within.get(start..start.checked_add(length)?),
            }
        };
        let parts: Option<Vec<_>> = place.parts.iter().copied().map(part).collect();
        parts.map(|parts| parts.concat()).filter(|_| item.encoding.is_empty())
    }

    /// The entry of an item in `iloc`.
    fn place(&self, id: u64) -> Option<Place<'a>> {
        let (mut fields, version) = full(self.meta, b"iloc")?;
        let (sizes, more_sizes) = (fields.big(1)?, fields.big(1)?);
        let index_size = if version > 0 { more_sizes & 15 } else { 0 };
        let count = fields.big(id_size(version, 2))?;
        for _ in 0..count {
            let found = fields.big(id_size(version, 2))?;
            let method = if version > 0 { fields.big(2)? & 15 } else { 0 };
            let elsewhere = fields.big(2)?;
            let base = fields.big(more_sizes >> 4)?;
            let mut parts = Vec::new();
            for _ in 0..fields.big(2)? {
                fields.big(index_size)?;
                let (offset, length) = (fields.big(sizes >> 4)?, fields.big(sizes & 15)?);
                parts.push((base.checked_add(offset)?, length));
            }
            if found == id {
                let within = match (method, elsewhere) {
                    (0, 0) => self.file,
                    (1, _) => find(self.meta, &[b"idat"])?,
                    _ => return None,
                };
                return Some(Place { within, parts });
            }
        }
        None
    }
}

/// The fields of a box with a version, and the version.
fn full<'a>(meta: &'a [u8], kind: &[u8; 4]) -> Option<(Reader<'a>, u64)> {
    let mut fields = Reader(find(meta, &[kind])?);
    let version = fields.big(1)?;
    fields.take(3)?;
    Some((fields, version))
}

/// The size of an identifier, which is larger from a version of its box on.
fn id_size(version: u64, larger_from: u64) -> u64 {
    if version < larger_from { 2 } else { 4 }
}

fn items(meta: &[u8]) -> Option<Vec<Item<'_>>> {
    let (mut fields, version) = full(meta, b"iinf")?;
    fields.take(id_size(version, 1))?;
    let entries = boxes(fields.0).filter(|(kind, _)| kind == b"infe");
    Some(entries.filter_map(|(_, entry)| item(entry)).collect())
}

fn item(entry: &[u8]) -> Option<Item<'_>> {
    let mut fields = Reader(entry);
    let version = fields.big(1)?;
    fields.take(3)?;
    let id = fields.big(id_size(version, 3))?;
    fields.take(2)?;
    let kind = fields.take(4)?;
    // Skips the name; a `mime` item then has its type and encoding.
    let mut texts = fields.0.split(|byte| *byte == 0).skip(1);
    let [content, encoding] = [(); 2].map(|()| texts.next().unwrap_or_default());
    Some(Item { id, kind, content, encoding })
}

fn references(meta: &[u8]) -> Option<Vec<Reference<'_>>> {
    let (fields, version) = full(meta, b"iref")?;
    let size = id_size(version, 1);
    let reference = |(kind, content)| {
        let mut fields = Reader(content);
        let (from, count) = (fields.big(size)?, fields.big(2)?);
        let to: Option<_> = (0..count).map(|_| fields.big(size)).collect();
        Some(Reference { kind, from, to: to? })
    };
    Some(boxes(fields.0).filter_map(reference).collect())
}

/// The numbers of an item's properties, which count from 1.
fn associations(meta: &[u8], id: u64) -> Vec<usize> {
    let lists = boxes(find(meta, &[b"iprp"]).unwrap_or_default());
    let lists = lists.filter(|(kind, _)| kind == b"ipma");
    lists.filter_map(|(_, list)| associations_in(list, id)).flatten().collect()
}

/// The numbers in one list; `None` if it does not name the item, or is damaged before that.
fn associations_in(list: &[u8], id: u64) -> Option<Vec<usize>> {
    let mut fields = Reader(list);
    let (version, flags) = (fields.big(1)?, fields.big(3)?);
    for _ in 0..fields.big(4)? {
        let found = fields.big(id_size(version, 1))?;
        let size = if flags & 1 == 1 { 2 } else { 1 };
        // The first bit says whether a reader must know the property.
        let mask = (1 << (8 * size - 1)) - 1;
        let count = fields.big(1)?;
        let indices: Option<Vec<_>> =
            (0..count).map(|_| Some((fields.big(size)? & mask) as usize)).collect();
        if found == id {
            return indices;
        }
    }
    None
}
