// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `flvdemux` does not read of an FLV (Video File Format Specification 10.1, annex E).

use super::bytes::Reader;

/// Length of the header of a tag.
const TAG: u64 = 11;
/// Types of tags.
const VIDEO: u64 = 9;
const SCRIPT: u64 = 18;
/// Types of values of scripts.
const NUMBER: u64 = 0;
const BOOLEAN: u64 = 1;
const STRING: u64 = 2;
const ARRAY: u64 = 8;

/// The type and content of the tags.
fn tags(head: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = Reader(head.strip_prefix(b"FLV").unwrap_or_default());
    // Version and flags; then the length of the header, which has nine bytes so far.
    rest.take(2);
    let length = rest.big(4).unwrap_or(0);
    rest.take(length.saturating_sub(9));
    std::iter::from_fn(move || {
        // After the length of the previous tag.
        rest.take(4)?;
        let (kind, size) = (rest.big(1)? & 0x1F, rest.big(3)?);
        rest.take(TAG - 4)?;
        // The last one may not be whole.
        let available = size.min(rest.0.len() as u64);
        Some((kind, rest.take(available)?))
    })
}

/// The codec of the first video tag.
pub fn codec(head: &[u8]) -> Option<u8> {
    let (_, video) = tags(head).find(|(kind, _)| *kind == VIDEO)?;
    Some(video.first()? & 0x0F)
}

/// The strings in `onMetaData`, the first tag (section E.5), as name and text.
pub fn texts(head: &[u8]) -> Option<Vec<(String, String)>> {
    let (_, script) = tags(head).next().filter(|(kind, _)| *kind == SCRIPT)?;
    let mut rest = Reader(script);
    let is_metadata = rest.big(1)? == STRING && text(&mut rest)? == "onMetaData";
    let is_array = is_metadata && rest.big(1)? == ARRAY;
    // The number of its values.
    rest.take(4).filter(|_| is_array)?;
    let mut texts = Vec::new();
    // Until the end, or a value that consists of others.
    while let Some(name) = text(&mut rest) {
        match rest.big(1) {
            Some(NUMBER) => drop(rest.take(8)),
            Some(BOOLEAN) => drop(rest.take(1)),
            Some(STRING) => texts.extend(text(&mut rest).map(|text| (name, text))),
            _ => break,
        }
    }
    Some(texts)
}

/// A text after its length.
fn text(rest: &mut Reader<'_>) -> Option<String> {
    let length = rest.big(2)?;
    Some(String::from_utf8_lossy(rest.take(length)?).into_owned())
}
