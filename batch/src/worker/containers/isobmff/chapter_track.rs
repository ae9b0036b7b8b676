// SPDX-License-Identifier: MIT OR Apache-2.0

//! The chapters in a text track (QuickTime File Format, "Chapter Lists"): each sample is a title.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use gst::prelude::*;

use super::{samples, trak::Trak};
use crate::worker::containers::{bytes::read_at, chapters::Chapter};

/// The chapters in a `track` of `file`; none if it is not a text track but, for example, one with pictures of the chapters.
pub fn read(file: &Path, track: Trak<'_>) -> Option<Vec<Chapter>> {
    [&b"text"[..], b"tx3g"].contains(&track.entry()?.code).then_some(())?;
    let file = File::open(file).ok()?;
    let scale = track.media()?.number;
    let chapter = |(start, (at, size))| {
        let start = gst::ClockTime::SECOND.mul_div_round(start, scale.into())?;
        Some(Chapter { start, title: title(&file, at, size).ok()? })
    };
    let samples = samples::starts(track)?.zip(samples::places(track)?);
    Some(samples.map_while(chapter).collect())
}

/// The text of the sample at `at`: its length comes first, and other boxes may follow.
fn title(mut file: &File, at: u64, size: u32) -> io::Result<String> {
    let Some(most) = size.checked_sub(2) else { return Ok(String::new()) };
    let length = u32::from(u16::from_be_bytes(read_at(file, at)?));
    let mut text = vec![0; length.min(most) as usize];
    file.read_exact(&mut text)?;
    Ok(decoded(&text))
}

/// A text in UTF-8, or in UTF-16 after a byte order mark.
fn decoded(text: &[u8]) -> String {
    match text.strip_prefix(b"\xFE\xFF") {
        Some(text) => {
            let units = text.as_chunks().0.iter();
            let units: Vec<u16> = units.map(|unit| u16::from_be_bytes(*unit)).collect();
            String::from_utf16_lossy(&units)
        }
        None => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_utf_8_or_utf_16() {
        assert_eq!(decoded("Zwölf".as_bytes()), "Zwölf");
        assert_eq!(decoded(b"\xFE\xFF\0Z\0\xF6"), "Zö");
    }
}
