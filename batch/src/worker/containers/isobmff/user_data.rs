// SPDX-License-Identifier: MIT OR Apache-2.0

//! The user data of MP4 and QuickTime files: the tags, of which `qtdemux` of GStreamer 1.22 reads only some, and what cameras
//! write. Into a file of the same kind, it is copied.

use super::{
    boxes::{boxed, boxes, find, number, plain},
    ilst::{self, Tag, international},
};
use crate::{container::Container, worker::containers::tag_names::is_of_encoding};

/// A prefix of the keys that phones write.
const APPLE: &str = "com.apple.quicktime.";
/// The date in user data and in lists of tags.
pub const DAY: &[u8; 4] = b"\xA9day";
/// The key of the location.
const LOCATION: &str = "location.ISO6709";
/// The key of the date and time with a time zone, when it was recorded.
const CREATION_DATE: &str = "creationdate";

#[derive(Clone, Debug)]
pub struct UserData {
    /// Whether the file is QuickTime. MP4 has other boxes.
    is_quicktime: bool,
    /// The boxes in `udta`, without chapters.
    pub inside: Vec<u8>,
    /// The boxes beside it, `meta` and `uuid`.
    pub beside: Vec<u8>,
    /// The tags that `qtdemux` does not read.
    pub unread: Vec<Tag>,
    /// When it was made, as text.
    pub day: Option<String>,
}

impl UserData {
    /// The user data in the index `moov` of a file in QuickTime or MP4; `None` if there are none. `qtdemux` has not read the
    /// boxes `left`.
    pub fn of(is_quicktime: bool, moov: &[u8], left: &[u8]) -> Option<Self> {
        let copy = |(kind, content): (&[u8], &[u8])| boxed(kind, content);
        let inside = boxes(find(moov, &[b"udta"]).unwrap_or_default());
        let inside = inside.filter(|(kind, _)| *kind != b"chpl");
        let beside = boxes(moov).filter(|(kind, content)| match &kind[..] {
            // Items are at offsets in the file.
            b"meta" => find(plain(content), &[b"iloc"]).is_none(),
            kind => kind == b"uuid",
        });
        let (inside, beside) = (inside.flat_map(copy).collect(), beside.flat_map(copy).collect());
        let (unread, day) = (unread(moov, left), day(moov));
        let data = Self { is_quicktime, inside, beside, unread, day };
        (!data.inside.is_empty() || !data.beside.is_empty()).then_some(data)
    }

    /// The tags by their names in Matroska.
    pub fn named(&self) -> Vec<(String, String)> {
        let day = self.day.iter().map(|day| ("DATE".to_owned(), day.clone()));
        let texts = self.unread.iter().filter_map(|(name, value)| {
            Some((name.to_uppercase().replace(['.', ' '], "_"), value.clone()?))
        });
        day.chain(texts).collect()
    }

    /// When it was recorded, if a phone wrote it.
    pub fn recorded(&self) -> Option<gst::DateTime> {
        let (_, text) = self.unread.iter().find(|(name, _)| name == CREATION_DATE)?;
        let date = gst::DateTime::from_iso8601_string(text.as_ref()?.as_str());
        date.ok().filter(gst::DateTime::has_time)
    }

    /// Whether it can be copied into a file in `container`.
    pub fn fits(&self, container: Container) -> bool {
        container == if self.is_quicktime { Container::Mov } else { Container::Mp4 }
    }
}

/// Tags with keys or names, and those in the boxes `left`.
fn unread(moov: &[u8], left: &[u8]) -> Vec<Tag> {
    let left = boxes(left).flat_map(|(kind, content)| ilst::unread(kind, content));
    let all = keyed(moov).chain(left).chain(ilst::freeform(items(moov).unwrap_or_default()));
    let is_tag = |name: &str| name != LOCATION && !is_of_encoding(&name.to_uppercase());
    all.filter(|(name, _)| is_tag(name)).collect()
}

/// iTunes' list of tags.
fn items(moov: &[u8]) -> Option<&[u8]> {
    find(plain(find(moov, &[b"udta", b"meta"])?), &[b"ilst"])
}

/// The tags with keys.
fn keyed(moov: &[u8]) -> impl Iterator<Item = Tag> {
    let paths: [&[&[u8]]; 2] = [&[b"meta"], &[b"udta", b"meta"]];
    paths.into_iter().filter_map(|path| find(moov, path)).map(plain).flat_map(|meta| {
        let items = find(meta, &[b"ilst"]).unwrap_or_default();
        // Each key is a box whose type is that of all keys; the type of an item is the number of its key, from 1.
        let keys = find(meta, &[b"keys"]).and_then(|keys| keys.get(8..)).unwrap_or_default();
        boxes(keys).zip(1_u32..).map(|((_, key), number)| {
            let key = String::from_utf8_lossy(key);
            let name = key.strip_prefix(APPLE).unwrap_or(&key).to_owned();
            let item = find(items, &[&number.to_be_bytes()]);
            (name, item.and_then(|item| ilst::values(item).next()?))
        })
    })
}

/// The location in ISO 6709, from `©xyz` (Android), `loci` (ffmpeg) or Apple's metadata key.
pub fn location(moov: &[u8]) -> Option<String> {
    if let Some(own) = find(moov, &[b"udta", b"\xA9xyz"]) {
        return international(own);
    }
    if let Some(own) = find(moov, &[b"udta", b"loci"]) {
        // After version, flags, language, name and role: longitude and latitude as 16.16 fixed point.
        let name = own.get(6..)?;
        let place = name.get(name.iter().position(|&byte| byte == 0)? + 2..)?;
        let degrees = |at: usize| Some(f64::from(number(place, at)? as i32) / 65536.0);
        return Some(format!("{:+08.4}{:+09.4}/", degrees(4)?, degrees(0)?));
    }
    keyed(moov).find_map(|(name, value)| value.filter(|_| name == LOCATION))
}

/// When it was made, as text. `qtdemux` of GStreamer 1.22 does not read all forms.
fn day(moov: &[u8]) -> Option<String> {
    let of_list = items(moov).and_then(|items| ilst::values(find(items, &[DAY])?).next()?);
    of_list.or_else(|| find(moov, &[b"udta", DAY]).and_then(international))
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
        let data = UserData::of(false, &moov, &boxed(b"\xA9dir", b"\0\x02\x55\xC4Me")).unwrap();
        assert_eq!(data.inside, inside);
        assert_eq!(data.beside, [keyed, boxed(b"uuid", b"2")].concat());
        let tag = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let unread = [tag("make", Some("Maker")), tag("rating", None), tag("director", Some("Me"))];
        assert_eq!((data.unread, data.day.as_deref()), (unread.to_vec(), Some("2021")));
        let text = [boxed(b"name", b"\0\0\0\0CAST"), text].concat();
        let items = boxed(b"ilst", &boxed(b"----", &text));
        let data = UserData::of(false, &boxed(b"udta", &meta(&items)), &[]).unwrap();
        assert_eq!(data.named(), [("CAST".to_owned(), "Maker".to_owned())]);
        let items = [boxed(b"udta", b""), meta(&boxed(b"iloc", b""))].concat();
        assert!(UserData::of(false, &items, &[]).is_none());
    }
}
