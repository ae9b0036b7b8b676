// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `avidemux` does not read of the header of an AVI (Multimedia Programming Interface and Data Specifications 1.0):
//! its length, to notice a truncated file, its number of frames, the starts of its tracks and its tags.

use std::collections::HashMap;

use gst::prelude::*;

use super::bytes::Reader;

/// Later starts are wrong, as in ffmpeg.
const LATEST_START: gst::ClockTime = gst::ClockTime::from_seconds(3600);

/// The minimum length of a RIFF file by its header; `None` if it is not RIFF, or was written as a stream.
pub fn stated_length(head: &[u8]) -> Option<u64> {
    let size = Reader::at(head, 4).little(4)?;
    (head.starts_with(b"RIFF") && size < u64::from(u32::MAX) - 8).then_some(size + 8)
}

/// The minimum number of frames by the header of an AVI.
pub fn frames(head: &[u8]) -> Option<u64> {
    // The lists `AVI ` and `hdrl`, and `avih` with eleven numbers, of which this is the fifth.
    let is_avi = head.get(8..12)? == b"AVI " && head.get(24..28)? == b"avih";
    Reader::at(head, 48).little(4).filter(|_| is_avi)
}

/// When its tracks start, by the names of their pads of `avidemux`, such as `audio_0`.
pub fn starts(head: &[u8]) -> Vec<(String, gst::ClockTime)> {
    let first = head.get(12..).filter(|_| head.get(8..12) == Some(b"AVI "));
    let header = first.and_then(|first| lists(first, b"hdrl").next()).unwrap_or_default();
    let mut counts = HashMap::new();
    let mut starts = Vec::new();
    for track in lists(header, b"strl") {
        let Some((_, track)) = chunks(track).find(|(id, _)| id == b"strh") else { continue };
        let class = match track.get(..4) {
            Some(b"auds") => "audio",
            Some(b"vids") => "video",
            _ => continue,
        };
        let number = counts.entry(class).or_insert(0);
        // The length of a unit of time is the first number, divided by the second one.
        let mut times = Reader::at(track, 20);
        let numbers = [(); 3].map(|()| times.little(4).unwrap_or_default());
        let [scale, rate, start] = numbers;
        let start = gst::ClockTime::from_seconds(start).mul_div_floor(scale, rate.max(1));
        let start = start.filter(|start| *start <= LATEST_START).unwrap_or_default();
        starts.push((format!("{class}_{number}"), start));
        *number += 1;
    }
    starts
}

/// The lists of this kind in the content of a list.
fn lists<'a>(content: &'a [u8], kind: &'a [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let lists = chunks(content).filter(|(id, _)| id == b"LIST");
    lists.filter_map(|(_, list)| list.strip_prefix(kind))
}

/// The texts in the list `INFO`, as id and text.
pub fn texts(head: &[u8]) -> Option<Vec<(String, String)>> {
    let first = head.get(12..).filter(|_| head.starts_with(b"RIFF"))?;
    let list = lists(first, b"INFO").next()?;
    Some(chunks(list).map(|(id, content)| (text(id), text(content))).collect())
}

/// A text in UTF-8, or else in Latin-1, as programs for Windows write it.
fn text(bytes: &[u8]) -> String {
    let latin = || bytes.iter().map(|byte| char::from(*byte)).collect();
    let text = String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| latin());
    text.trim_end_matches('\0').trim().to_owned()
}

/// The chunks of a RIFF file, as id and content.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Reader(bytes);
    std::iter::from_fn(move || {
        let (id, size) = (rest.take(4)?, rest.little(4)?);
        let content = rest.take(size)?;
        // They begin at even offsets.
        rest.take(size % 2);
        Some((id, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_utf_8_or_latin_1() {
        assert_eq!(text(b"Zw\xF6lf\0"), "Zwölf");
        assert_eq!(text("Zwölf".as_bytes()), "Zwölf");
    }

    #[test]
    fn chunks_begin_at_even_offsets() {
        let list = b"LIST\x17\0\0\0INFOITCH\x01\0\0\0a\0IPRT\x01\0\0\0";
        let avi = [&b"RIFF\0\0\0\0AVI "[..], list, b"3"].concat();
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(texts(&avi), Some(vec![tag("ITCH", "a"), tag("IPRT", "3")]));
    }
}
