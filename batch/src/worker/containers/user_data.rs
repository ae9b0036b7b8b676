// SPDX-License-Identifier: MIT OR Apache-2.0

//! The user data of MP4 and QuickTime files: the tags, of which `qtdemux` of GStreamer 1.22 reads only some, and what cameras
//! write. Into a file of the same kind, it is copied.

use std::path::Path;

use super::isobmff::{boxed, boxes, find, is_quicktime, plain};
use crate::container::Container;

/// A prefix of the keys that phones write.
const APPLE: &str = "com.apple.quicktime.";
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
    /// The names of tags that `qtdemux` does not read.
    pub unread: Vec<String>,
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
        let data = Self { is_quicktime: is_quicktime(file), inside, beside, unread: unread(moov) };
        (!data.inside.is_empty() || !data.beside.is_empty()).then_some(data)
    }

    /// Whether it can be copied into a file in `container`.
    pub fn fits(&self, container: Container) -> bool {
        container == if self.is_quicktime { Container::Mov } else { Container::Mp4 }
    }
}

/// The names of tags with keys, and those of the camera.
fn unread(moov: &[u8]) -> Vec<String> {
    let paths: [&[&[u8]]; 2] = [&[b"meta"], &[b"udta", b"meta"]];
    let lists =
        paths.iter().filter_map(|path| find(plain(find(moov, path)?), &[b"keys"])?.get(8..));
    // Each key is a box whose type is that of all keys.
    let keys = lists.flat_map(boxes).map(|(_, key)| {
        let key = String::from_utf8_lossy(key);
        key.strip_prefix(APPLE).unwrap_or(&key).to_owned()
    });
    let camera = [(b"\xA9mak", "make"), (b"\xA9mod", "model")];
    let camera = camera.into_iter().filter(|(kind, _)| find(moov, &[b"udta", &kind[..]]).is_some());
    let all = keys.chain(camera.map(|(_, name)| name.to_owned()));
    all.filter(|name| !KNOWN.contains(&&**name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_chapters_and_items_is_copied() {
        let key = |name: &str| boxed(b"mdta", name.as_bytes());
        let keys = [&[0; 8][..], &key("com.apple.quicktime.make"), &key("rating")].concat();
        let meta = |rest: &[u8]| boxed(b"meta", &[&boxed(b"hdlr", b""), rest].concat());
        let keyed = meta(&boxed(b"keys", &keys));
        let inside = [boxed(b"\xA9mod", b"X"), boxed(b"GPMF", b"1")].concat();
        let user_data = boxed(b"udta", &[&inside[..], &boxed(b"chpl", b"")].concat());
        let moov = [&boxed(b"mvhd", b"")[..], &user_data, &keyed, &boxed(b"uuid", b"2")].concat();
        let data = UserData::of(Path::new("none"), &moov).unwrap();
        assert_eq!(data.inside, inside);
        assert_eq!(data.beside, [keyed, boxed(b"uuid", b"2")].concat());
        assert_eq!(data.unread, ["make", "rating", "model"]);
        let items = [boxed(b"udta", b""), meta(&boxed(b"iloc", b""))].concat();
        assert!(UserData::of(Path::new("none"), &items).is_none());
    }
}
