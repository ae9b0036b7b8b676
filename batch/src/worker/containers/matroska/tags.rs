// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tags of Matroska (RFC 9559, section 5.1.8). GStreamer 1.22 reads and writes only the common ones, and the muxer puts
//! quotes around them.

use std::{borrow::Cow, collections::BTreeSet};

use anyhow::Result;

use super::{
    ebml::{Element, VOID, elements, nested, wrapped},
    segment::Segment,
};
use crate::worker::containers::{chapters, tag_names::is_of_encoding};

pub const TAGS: u32 = 0x1254_C367;
const TAG: u32 = 0x7373;
const TARGETS: u32 = 0x63C0;
const TAG_TRACK_UID: u32 = 0x63C5;
const TAG_EDITION_UID: u32 = 0x63C9;
const TAG_CHAPTER_UID: u32 = 0x63C4;
const TAG_ATTACHMENT_UID: u32 = 0x63C6;
const SIMPLE_TAG: u32 = 0x67C8;
const TAG_NAME: u32 = 0x45A3;
const TAG_STRING: u32 = 0x4487;

/// What GStreamer reads.
const READ: [&str; 33] = [
    "TOTAL_PARTS",
    "PART_NUMBER",
    "SUBTITLE",
    "TITLE",
    "ALBUM",
    "ARTIST",
    "LEAD_PERFOMER",
    "ACCOMPANIMENT",
    "COMPOSER",
    "LYRICS",
    "CONDUCTOR",
    "AUTHOR",
    "ENCODED_BY",
    "GENRE",
    "DESCRIPTION",
    "KEYWORDS",
    "DATE_RELEASED",
    "DATE_RECORDED",
    "DATE_ENCODED",
    "DATE_TAGGED",
    "DATE_DIGITIZED",
    "DATE_WRITTEN",
    "DATE_PURCHASED",
    "DATE",
    "RECORDING_LOCATION",
    "COMMENT",
    "COMMENTS",
    "BPM",
    "ISRC",
    "COPYRIGHT",
    "PRODUCTION_COPYRIGHT",
    "LICENSE",
    "TERMS_OF_USE",
];

/// Tags of GStreamer, and their names in Matroska. Others are the same, in capitals.
const NAMES: [(&str, &str); 28] = [
    ("title", "TITLE"),
    ("artist", "ARTIST"),
    ("album", "ALBUM"),
    ("album-artist", "ALBUM_ARTIST"),
    ("comment", "COMMENT"),
    ("description", "DESCRIPTION"),
    ("copyright", "COPYRIGHT"),
    ("license", "LICENSE"),
    ("genre", "GENRE"),
    ("composer", "COMPOSER"),
    ("conductor", "CONDUCTOR"),
    ("performer", "LEAD_PERFORMER"),
    ("publisher", "PUBLISHER"),
    ("keywords", "KEYWORDS"),
    ("lyrics", "LYRICS"),
    ("encoded-by", "ENCODED_BY"),
    ("isrc", "ISRC"),
    ("track-number", "PART_NUMBER"),
    ("track-count", "TOTAL_PARTS"),
    ("datetime", "DATE"),
    ("show-name", "SHOW"),
    ("show-season-number", "SEASON_NUMBER"),
    ("show-episode-number", "EPISODE_SORT"),
    ("album-disc-number", "DISC"),
    ("album-disc-count", "DISCTOTAL"),
    ("geo-location-name", "RECORDING_LOCATION"),
    ("device-manufacturer", "MAKE"),
    ("device-model", "MODEL"),
];

/// The tags of the whole file, which are copied into a file of the same kind.
#[derive(Clone, Debug, Default)]
pub struct FileTags {
    /// The names of the tags that GStreamer does not read.
    pub unread: Vec<String>,
    /// A `Tags` element with all of them.
    pub element: Vec<u8>,
}

impl FileTags {
    /// The tags of the file in the data of `Tags`; `None` if there are none.
    pub fn read(tags: &[u8]) -> Option<Self> {
        let (mut unread, mut all) = (Vec::new(), Vec::new());
        for tag in nested(tags, &[TAG]).into_iter().filter(is_of_file) {
            let targets = tag.child(TARGETS);
            let targets = targets.map_or(wrapped(TARGETS, &[]), |targets| targets.bytes.to_vec());
            let mut content = targets.clone();
            for simple in tag.children(SIMPLE_TAG) {
                let Some(name) = simple.child(TAG_NAME).map(Element::text) else { continue };
                if is_of_encoding(&name) {
                    continue;
                }
                content.extend_from_slice(simple.bytes);
                if !READ.contains(&&*name) {
                    unread.push(name.into_owned());
                }
            }
            if content.len() > targets.len() {
                all.extend(wrapped(TAG, &content));
            }
        }
        (!all.is_empty()).then(|| Self { unread, element: wrapped(TAGS, &all) })
    }

    /// These tags, as name and value; `None` if there are none.
    pub fn of(tags: &[(String, String)]) -> Option<Self> {
        let all: Vec<u8> = tags.iter().flat_map(|(name, value)| simple_tag(name, value)).collect();
        let tag = wrapped(TAG, &[wrapped(TARGETS, &[]), all].concat());
        (!tags.is_empty()).then(|| Self { unread: Vec::new(), element: wrapped(TAGS, &tag) })
    }

    /// The value of the tag `name`.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut all = nested(&self.element, &[TAGS, TAG, SIMPLE_TAG]).into_iter();
        let is_it = |tag: &Element<'_>| tag.children(TAG_NAME).any(|found| found.text() == name);
        Some(all.find(is_it)?.child(TAG_STRING)?.text().into_owned())
    }

    /// Their names.
    fn names(&self) -> Vec<Cow<'_, str>> {
        let names = nested(&self.element, &[TAGS, TAG, SIMPLE_TAG, TAG_NAME]);
        names.into_iter().map(Element::text).collect()
    }
}

/// Tags of GStreamer by their names in Matroska.
pub fn named(tags: &gst::TagList) -> Vec<(String, String)> {
    let named = tags.iter_generic().flat_map(|(name, values)| {
        values.filter_map(|value| Some((name_of(name), text_of(value)?)))
    });
    named.collect()
}

/// The name in Matroska of a tag of GStreamer.
pub fn name_of(name: &str) -> String {
    let known = NAMES.iter().find(|(of_gstreamer, _)| *of_gstreamer == name);
    known.map_or_else(|| name.to_uppercase().replace('-', "_"), |(_, own)| (*own).to_owned())
}

/// The names in the data of `Tags` that GStreamer does not read, other than those of the whole file.
pub fn unread_of_parts(tags: &[u8]) -> Vec<String> {
    let parts = nested(tags, &[TAG]).into_iter().filter(|tag| !is_of_file(tag));
    let tags = parts.flat_map(|part| part.children(SIMPLE_TAG));
    let names = tags.filter_map(|tag| Some(tag.child(TAG_NAME)?.text().into_owned()));
    let unread = names.filter(|name| !is_of_encoding(name) && !READ.contains(&&**name));
    unread.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The comments for which GStreamer has no tag, as name and value.
pub fn comments(tags: &gst::TagList) -> Vec<(String, String)> {
    let comments = tags.iter_tag::<gst::tags::ExtendedComment>();
    let split = comments.filter_map(|comment| {
        let (name, value) = comment.get().split_once('=')?;
        Some((name.to_uppercase(), value.to_owned()))
    });
    split.filter(|(name, _)| !is_of_encoding(name) && !chapters::is_comment(name)).collect()
}

fn simple_tag(name: &str, value: &str) -> Vec<u8> {
    let fields = [wrapped(TAG_NAME, name.as_bytes()), wrapped(TAG_STRING, value.as_bytes())];
    wrapped(SIMPLE_TAG, &fields.concat())
}

/// A value as text. A date with a time is in the information of the segment.
fn text_of(value: &gst::glib::SendValue) -> Option<String> {
    if let Ok(text) = value.get::<String>() {
        return Some(text);
    }
    if let Ok(date) = value.get::<gst::DateTime>() {
        return (!date.has_time()).then(|| date.to_iso8601_string().ok())?.map(String::from);
    }
    value.get::<u32>().ok().map(|number| number.to_string())
}

/// Whether a tag is of the whole file, not of a track, a chapter or an attachment.
fn is_of_file(tag: &Element<'_>) -> bool {
    let parts = [TAG_TRACK_UID, TAG_EDITION_UID, TAG_CHAPTER_UID, TAG_ATTACHMENT_UID];
    let mut fields = tag.children(TARGETS).flat_map(|targets| elements(targets.data));
    fields.all(|field| !parts.contains(&field.id) || field.number() == 0)
}

/// Removes the muxer's quotes, and tags that `own` also has, because GStreamer changes the form of dates.
pub fn correct(segment: &mut Segment, own: Option<&FileTags>) -> Result<()> {
    let Some(mut tags) = segment.read(TAGS)? else { return Ok(()) };
    for string in tags.places(&[TAG, SIMPLE_TAG, TAG_STRING]) {
        unquote(&mut tags.bytes[string]);
    }
    for name in tags.places(&[TAG, SIMPLE_TAG, TAG_NAME]) {
        // The Matroska tag is `COMMENT`; a string ends at a zero.
        if let [b'C', b'O', b'M', b'M', b'E', b'N', b'T', last @ b'S', ..] = &mut tags.bytes[name] {
            *last = 0;
        }
    }
    if let Some(own) = own {
        let replaced = without(tags.data(), &own.names());
        // A void element fills the rest. It has nine bytes before its data.
        let left = tags.bytes.len().checked_sub(replaced.len() + wrapped(VOID, &[]).len());
        if let Some(left) = left {
            tags.bytes = [replaced, wrapped(VOID, &vec![0; left])].concat();
        }
    }
    segment.write(tags.at, &tags.bytes)
}

/// `Tags` with the data `tags`, but without the tags of the file of these names, and without those about its encoding.
fn without(tags: &[u8], names: &[Cow<'_, str>]) -> Vec<u8> {
    let is_kept = |part: &Element<'_>| {
        part.id != SIMPLE_TAG
            || part
                .children(TAG_NAME)
                .map(Element::text)
                .all(|name| !is_of_encoding(&name) && !names.contains(&name))
    };
    let mut kept = Vec::new();
    for tag in elements(tags) {
        if tag.id != TAG || !is_of_file(&tag) {
            kept.extend_from_slice(tag.bytes);
            continue;
        }
        let parts: Vec<_> = elements(tag.data).filter(is_kept).collect();
        if parts.iter().any(|part| part.id == SIMPLE_TAG) {
            let content: Vec<_> = parts.iter().map(|part| part.bytes).collect();
            kept.extend(wrapped(TAG, &content.concat()));
        }
    }
    wrapped(TAGS, &kept)
}

/// Removes the quotes that `gst_value_serialize` puts around a string with spaces. Zeros fill the rest.
fn unquote(field: &mut [u8]) {
    let end = field.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let Some(inner) = field[..end].strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""))
    else {
        return;
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        // Three octal digits for a byte that is not ASCII, else the byte itself.
        let digits = rest.get(..3).filter(|d| d.iter().all(|digit| (b'0'..b'8').contains(digit)));
        if let Some(digits) = digits {
            let value =
                digits.iter().fold(0_u16, |value, digit| value * 8 + u16::from(digit - b'0'));
            text.push(value as u8);
            rest = &rest[3..];
        } else if let Some((&escaped, after)) = rest.split_first() {
            text.push(escaped);
            rest = after;
        }
    }
    field.fill(0);
    field[..text.len()].copy_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_undone() {
        let undone = |text: &str| {
            let mut field = text.as_bytes().to_vec();
            unquote(&mut field);
            String::from_utf8(field).unwrap().trim_end_matches('\0').to_owned()
        };
        assert_eq!(undone("\"My\\ Film\"\0"), "My Film");
        assert_eq!(undone("\"a\\\"b\\\\c\""), "a\"b\\c");
        assert_eq!(undone("\"\\303\\251\""), "é");
        assert_eq!(undone("plain"), "plain");
    }
}
