// SPDX-License-Identifier: MIT OR Apache-2.0

//! The items of iTunes' list of tags, `ilst`, and the texts of QuickTime that `qtdemux` does not read.

use super::boxes::{boxes, find};
use crate::worker::containers::bytes::big_endian;

/// A tag: its name, and its value if that is text or a number.
pub type Tag = (String, Option<String>);

/// Codes, and the names that ffmpeg has for them.
const NAMES: [(&[u8; 4], &str); 14] = [
    (b"ldes", "synopsis"),
    (b"tvnn", "network"),
    (b"tven", "episode_id"),
    (b"catg", "category"),
    (b"egid", "episode_uid"),
    (b"purd", "purchase_date"),
    (b"stik", "media_type"),
    (b"hdvd", "hd_video"),
    (b"pgap", "gapless_playback"),
    (b"cpil", "compilation"),
    (b"pcst", "podcast"),
    (b"rtng", "rating"),
    (b"\xA9dir", "director"),
    (b"\xA9prd", "producer"),
];

/// The tags in a box that `qtdemux` has not read; none if it is of another kind.
pub fn unread(kind: &[u8], content: &[u8]) -> Vec<Tag> {
    let code = String::from_utf8_lossy(kind.strip_prefix(b"\xA9").unwrap_or(kind));
    let known = NAMES.iter().find(|(code, _)| &code[..] == kind);
    let name = known.map_or(&*code, |(_, name)| name);
    // The location is not a tag. A numbered item has its name in a list of keys.
    let is_known_elsewhere = kind == b"\xA9xyz" || kind[0] == 0;
    let values = match find(content, &[b"data"]) {
        _ if is_known_elsewhere => Vec::new(),
        Some(_) => values(content).collect(),
        None if kind[0] == 0xA9 => vec![international(content)],
        None => Vec::new(),
    };
    values.into_iter().map(|value| (name.to_owned(), value)).collect()
}

/// The tags in a list that have a name of their own, such as `DIRECTOR`.
pub fn freeform(items: &[u8]) -> impl Iterator<Item = Tag> {
    boxes(items).filter(|(kind, _)| *kind == b"----").flat_map(|(_, item)| {
        // It follows version and flags.
        let name = find(item, &[b"name"]).and_then(|name| name.get(4..)).unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        values(item).map(move |value| (name.clone(), value))
    })
}

/// The values of an item.
pub fn values(item: &[u8]) -> impl Iterator<Item = Option<String>> {
    boxes(item).filter(|(kind, _)| *kind == b"data").map(|(_, data)| value(data))
}

/// A value as text; `None` if it is data.
fn value(data: &[u8]) -> Option<String> {
    // The type, and the country and language.
    let (kind, value) = (data.first_chunk()?, data.get(8..)?);
    match (u32::from_be_bytes(*kind), value.len()) {
        (1, _) => Some(String::from_utf8_lossy(value).into_owned()),
        // Some programs write numbers without a type.
        (0 | 21, 1..=4) => Some(big_endian(value).to_string()),
        _ => None,
    }
}

/// QuickTime's international text: its length and language come first.
pub fn international(content: &[u8]) -> Option<String> {
    let (length, rest) = content.split_first_chunk()?;
    let text = rest.get(2..)?.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};

    #[test]
    fn items_are_text_numbers_or_data() {
        let data = |kind: u8, value: &[u8]| {
            boxed(b"data", &[&[0, 0, 0, kind, 0, 0, 0, 0][..], value].concat())
        };
        let tag = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(unread(b"tvnn", &data(1, b"Net")), [tag("network", Some("Net"))]);
        assert_eq!(unread(b"stik", &data(21, &[10])), [tag("media_type", Some("10"))]);
        assert_eq!(unread(b"\xA9dir", b"\0\x02\x55\xC4Me"), [tag("director", Some("Me"))]);
        assert_eq!(unread(b"GPMF", b"telemetry"), []);
        let field = |kind: &[u8], text: &str| boxed(kind, &[b"\0\0\0\0", text.as_bytes()].concat());
        let names = [field(b"mean", "com.apple.iTunes"), field(b"name", "DIRECTOR")].concat();
        let item = [names, data(1, b"Me"), data(13, b"JPEG")].concat();
        let tags: Vec<_> = freeform(&boxed(b"----", &item)).collect();
        assert_eq!(tags, [tag("DIRECTOR", Some("Me")), tag("DIRECTOR", None)]);
    }
}
