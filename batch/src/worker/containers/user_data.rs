// SPDX-License-Identifier: MIT OR Apache-2.0

//! The user data of MP4 and QuickTime files: the tags, of which `qtdemux` of GStreamer 1.22 reads only some, and what cameras
//! write. Into a file of the same kind, it is copied.

use std::path::Path;

use super::{
    isobmff::{boxed, boxes, find, is_quicktime, plain},
    matroska_tags::is_of_encoding,
};
use crate::container::Container;

/// A prefix of the keys that phones write.
const APPLE: &str = "com.apple.quicktime.";
/// The date in user data and in lists of tags.
pub const DAY: &[u8; 4] = b"\xA9day";
/// Keys that are read elsewhere.
const KNOWN: [&str; 2] = ["location.ISO6709", "creationdate"];

#[derive(Clone, Debug)]
pub struct UserData {
    /// Whether the file is QuickTime. MP4 has other boxes.
    is_quicktime: bool,
    /// The boxes in `udta`, without chapters.
    pub inside: Vec<u8>,
    /// The boxes beside it, `meta` and `uuid`.
    pub beside: Vec<u8>,
    /// The tags that `qtdemux` does not read: names, and values that are text.
    pub unread: Vec<(String, Option<String>)>,
    /// When it was made, as text.
    pub day: Option<String>,
}

impl UserData {
    /// That in the index `moov` of `file`; `None` if there is none.
    pub fn of(file: &Path, moov: &[u8]) -> Option<Self> {
        let copy = |(kind, content): (&[u8], &[u8])| boxed(kind, content);
        let inside = boxes(find(moov, &[b"udta"]).unwrap_or_default());
        let inside = inside.filter(|(kind, _)| *kind != b"chpl");
        let beside = boxes(moov).filter(|(kind, content)| match &kind[..] {
            // Items are at offsets in the file.
            b"meta" => find(plain(content), &[b"iloc"]).is_none(),
            kind => kind == b"uuid",
        });
        let (inside, beside) = (inside.flat_map(copy).collect(), beside.flat_map(copy).collect());
        let (unread, day) = (unread(moov), day(moov));
        let data = Self { is_quicktime: is_quicktime(file), inside, beside, unread, day };
        (!data.inside.is_empty() || !data.beside.is_empty()).then_some(data)
    }

    /// Whether it can be copied into a file in `container`.
    pub fn fits(&self, container: Container) -> bool {
        container == if self.is_quicktime { Container::Mov } else { Container::Mp4 }
    }
}

/// Tags with keys, and those of the camera, as name and text; others are images or numbers.
fn unread(moov: &[u8]) -> Vec<(String, Option<String>)> {
    let paths: [&[&[u8]]; 2] = [&[b"meta"], &[b"udta", b"meta"]];
    let lists = paths.iter().filter_map(|path| find(moov, path)).map(plain);
    let camera = [(b"\xA9mak", "make"), (b"\xA9mod", "model")];
    let camera = camera.into_iter().filter_map(|(kind, name)| {
        Some((name.to_owned(), international(find(moov, &[b"udta", &kind[..]])?)))
    });
    let all = lists.flat_map(keyed).chain(camera);
    let is_tag = |name: &str| !KNOWN.contains(&name) && !is_of_encoding(&name.to_uppercase());
    all.filter(|(name, _)| is_tag(name)).collect()
}

/// The tags with keys in a `meta`.
fn keyed(meta: &[u8]) -> Vec<(String, Option<String>)> {
    let items = find(meta, &[b"ilst"]).unwrap_or_default();
    // Each key is a box whose type is that of all keys; the type of an item is the number of its key, from 1.
    let keys = find(meta, &[b"keys"]).and_then(|keys| keys.get(8..)).unwrap_or_default();
    let tags = boxes(keys).zip(1_u32..).map(|((_, key), number)| {
        let key = String::from_utf8_lossy(key);
        let item = boxes(items).find(|(kind, _)| *kind == number.to_be_bytes());
        let name = key.strip_prefix(APPLE).unwrap_or(&key).to_owned();
        (name, item.and_then(|(_, item)| value(item)))
    });
    tags.collect()
}

/// The text of an item of a list of tags.
fn value(item: &[u8]) -> Option<String> {
    /// The type of a text in UTF-8.
    const TEXT: [u8; 4] = [0, 0, 0, 1];
    let data = find(item, &[b"data"]).filter(|data| data.starts_with(&TEXT))?;
    Some(String::from_utf8_lossy(data.get(8..)?).into_owned())
}

/// QuickTime's international text: its length and language come first.
fn international(content: &[u8]) -> Option<String> {
    let (length, rest) = content.split_first_chunk()?;
    let text = rest.get(2..)?.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// When it was made, as text. `qtdemux` of GStreamer 1.22 does not read all forms.
fn day(moov: &[u8]) -> Option<String> {
    let of_list =
        find(moov, &[b"udta", b"meta"]).and_then(|meta| find(plain(meta), &[b"ilst", DAY]));
    let of_quicktime = || find(moov, &[b"udta", DAY]).and_then(international);
    of_list.and_then(value).or_else(of_quicktime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_chapters_and_items_is_copied() {
        let key = |name: &str| boxed(b"mdta", name.as_bytes());
        let keys = [&[0; 8][..], &key("com.apple.quicktime.make"), &key("rating")].concat();
        let meta = |rest: &[u8]| boxed(b"meta", &[&boxed(b"hdlr", b""), rest].concat());
        let text = boxed(b"data", b"\0\0\0\x01\0\0\0\0Maker");
        let items = boxed(b"ilst", &boxed(&[0, 0, 0, 1], &text));
        let keyed = meta(&[boxed(b"keys", &keys), items].concat());
        let model = boxed(b"\xA9mod", b"\0\x01\x55\xC4X");
        let day = boxed(b"\xA9day", b"\0\x04\x55\xC42021");
        let inside = [model, day, boxed(b"GPMF", b"1")].concat();
        let user_data = boxed(b"udta", &[&inside[..], &boxed(b"chpl", b"")].concat());
        let moov = [&boxed(b"mvhd", b"")[..], &user_data, &keyed, &boxed(b"uuid", b"2")].concat();
        let data = UserData::of(Path::new("none"), &moov).unwrap();
        assert_eq!(data.inside, inside);
        assert_eq!(data.beside, [keyed, boxed(b"uuid", b"2")].concat());
        let tag = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let unread = [tag("make", Some("Maker")), tag("rating", None), tag("model", Some("X"))];
        assert_eq!((data.unread, data.day.as_deref()), (unread.to_vec(), Some("2021")));
        let items = [boxed(b"udta", b""), meta(&boxed(b"iloc", b""))].concat();
        assert!(UserData::of(Path::new("none"), &items).is_none());
    }
}
