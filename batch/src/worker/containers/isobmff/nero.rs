// SPDX-License-Identifier: MIT OR Apache-2.0

//! The chapters in Nero's list, `chpl`.

use crate::worker::containers::{bytes::Reader, chapters::Chapter};

/// The unit of times.
const UNIT: gst::ClockTime = gst::ClockTime::from_nseconds(100);
/// The most chapters that a list can hold.
pub const MOST_CHAPTERS: usize = 255;

/// The chapters of a list: version and flags, four undocumented bytes unless the version is 0, number of chapters; then
/// time, title length and title of each.
pub fn read(list: &[u8]) -> Vec<Chapter> {
    let mut rest = Reader::at(list, if list.first() == Some(&0) { 4 } else { 8 });
    let count = rest.big(1).unwrap_or(0);
    let next = |_| {
        let start = UNIT.saturating_mul(rest.big(8)?);
        let length = rest.big(1)?;
        let title = String::from_utf8_lossy(rest.take(length)?).into_owned();
        Some(Chapter { start, title })
    };
    (0..count).map_while(next).collect()
}

/// A list of these chapters; titles are cut to 255 bytes.
pub fn list(chapters: &[Chapter]) -> Vec<u8> {
    let chapters = &chapters[..chapters.len().min(MOST_CHAPTERS)];
    let mut list = vec![1, 0, 0, 0, 0, 0, 0, 0, chapters.len() as u8];
    for Chapter { start, title } in chapters {
        let title = &title[..title.floor_char_boundary(255)];
        list.extend_from_slice(&(*start / UNIT).to_be_bytes());
        list.push(title.len() as u8);
        list.extend_from_slice(title.as_bytes());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_chapters_is_read_as_written() {
        let chapter = |start, title: &str| Chapter {
            start: gst::ClockTime::from_mseconds(start),
            title: title.to_owned(),
        };
        let chapters = vec![chapter(0, "One"), chapter(1500, "Zwei \u{e9}"), chapter(9000, "")];
        let written = list(&chapters);
        assert_eq!(read(&written), chapters);
        let of_version_0 = [&[0; 4], &written[8..]].concat();
        assert_eq!(read(&of_version_0), chapters);
        let long = read(&list(&[chapter(0, &"\u{e9}".repeat(200))])).remove(0);
        assert_eq!(long.title, "\u{e9}".repeat(127));
    }
}
