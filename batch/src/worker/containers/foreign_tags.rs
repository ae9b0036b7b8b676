// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tags of FLV, AVI and ASF that GStreamer 1.22 does not read, by their names in Matroska.

use std::{fs::File, io::Read, path::Path};

use super::{asf, matroska_tags::is_of_encoding};

/// Their media types.
pub const KINDS: [&str; 3] = ["video/x-flv", "video/x-msvideo", "video/x-ms-asf"];
/// How much of a file is searched, bytes.
const HEAD: u64 = 1 << 20;

/// Names in these containers, and in Matroska. Others are the same, in capitals.
const NAMES: [(&str, &str); 10] = [
    ("ITCH", "ENCODED_BY"),
    ("ILNG", "LANGUAGE"),
    ("IPRT", "PART_NUMBER"),
    ("ISBJ", "SUBJECT"),
    ("IKEY", "KEYWORDS"),
    ("ALBUMTITLE", "ALBUM"),
    ("ALBUMARTIST", "ALBUM_ARTIST"),
    ("YEAR", "DATE"),
    ("TRACKNUMBER", "PART_NUMBER"),
    ("ENCODEDBY", "ENCODED_BY"),
];

/// What GStreamer reads, and what describes the encoding.
const LEFT_OUT: [&str; 15] = [
    "INAM",
    "IART",
    "ICMT",
    "ICOP",
    "ICRD",
    "IGNR",
    "IPRD",
    "ISFT",
    "METADATACREATOR",
    "TOOL",
    "TOOLNAME",
    "TOOLVERSION",
    "ENCODINGTIME",
    "ENCODINGSETTINGS",
    "DEVICECONFORMANCETEMPLATE",
];

/// The tags of `file`, as name and value.
pub fn read(file: &Path) -> Vec<(String, String)> {
    let mut head = Vec::new();
    let is_read = File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let all = match is_read {
        Ok(_) if head.starts_with(b"FLV") => of_flv(&head),
        Ok(_) if head.starts_with(b"RIFF") => of_avi(&head),
        Ok(_) if head.starts_with(&asf::HEADER) => of_asf(&head),
        _ => None,
    };
    let named = all.unwrap_or_default().into_iter().map(|(name, value)| {
        let name = name.trim_start_matches("WM/").to_uppercase();
        let known = NAMES.iter().find(|(own, _)| *own == name);
        (known.map_or(name, |(_, known)| (*known).to_owned()), value)
    });
    let is_tag = |name: &str| {
        !(LEFT_OUT.contains(&name) || is_of_encoding(name) || name.starts_with("WMFSDK"))
    };
    named.filter(|(name, value)| is_tag(name) && !value.is_empty()).collect()
}

/// Takes `count` bytes from the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

/// The strings in `onMetaData`, the first tag of an FLV (Video File Format Specification 10.1, annex E.5).
fn of_flv(head: &[u8]) -> Option<Vec<(String, String)>> {
    // The header of the file and the size before its first tag, and the header of that.
    let mut rest = head.get(9 + 4 + 11..).filter(|_| head[13] == 18)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let text = |rest: &mut &[u8]| {
        let length = number(take(rest, 2)?);
        Some(String::from_utf8_lossy(take(rest, length)?).into_owned())
    };
    let is_metadata = take(&mut rest, 1)? == [2] && text(&mut rest)? == "onMetaData";
    let is_array = is_metadata && take(&mut rest, 1)? == [8];
    take(&mut rest, 4).filter(|_| is_array)?;
    let mut tags = Vec::new();
    // Until the end, or a value that consists of others.
    while let Some(name) = text(&mut rest) {
        match take(&mut rest, 1) {
            Some([0]) => drop(take(&mut rest, 8)),
            Some([1]) => drop(take(&mut rest, 1)),
            Some([2]) => tags.extend(text(&mut rest).map(|value| (name, value))),
            _ => break,
        }
    }
    Some(tags)
}

/// The strings in the list `INFO` of an AVI (Multimedia Programming Interface and Data Specifications 1.0).
fn of_avi(head: &[u8]) -> Option<Vec<(String, String)>> {
    let list = chunks_of(head.get(12..)?)
        .find_map(|(id, content)| content.strip_prefix(b"INFO").filter(|_| id == b"LIST"))?;
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').trim().to_owned();
    Some(chunks_of(list).map(|(id, content)| (text(id), text(content))).collect())
}

/// The chunks of a RIFF file, as id and content.
fn chunks_of(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (id, size) = (take(&mut rest, 4)?, take(&mut rest, 4)?.first_chunk()?);
        let size = u32::from_le_bytes(*size) as usize;
        let content = take(&mut rest, size)?;
        // They begin at even offsets.
        take(&mut rest, size % 2);
        Some((id, content))
    })
}

/// The identifier of the object with further descriptions (Advanced Systems Format, section 10.1).
const DESCRIPTIONS: [u8; 16] = [
    0x40, 0xA4, 0xD0, 0xD2, 0x07, 0xE3, 0xD2, 0x11, 0x97, 0xF0, 0x00, 0xA0, 0xC9, 0x5E, 0xA8, 0x50,
];

/// The strings in the extended content description of an ASF file (section 3.11).
fn of_asf(head: &[u8]) -> Option<Vec<(String, String)>> {
    let mut descriptions = asf::object(head, &DESCRIPTIONS)?;
    let number =
        |rest: &mut &[u8]| Some(usize::from(u16::from_le_bytes(*take(rest, 2)?.first_chunk()?)));
    let rest = &mut descriptions;
    let count = number(rest)?;
    let mut tags = Vec::new();
    for _ in 0..count {
        let length = number(rest)?;
        let name = asf::text(take(rest, length)?);
        let (kind, length) = (number(rest)?, number(rest)?);
        let value = take(rest, length)?;
        // Others are numbers and images.
        if kind == 0 {
            tags.push((name, asf::text(value)));
        }
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_have_no_tags() {
        for head in [&b"FLV"[..], b"RIFF\xFF\xFF\xFF\xFFAVI LIST\xFF\xFF\xFF\xFFINFO", &asf::HEADER]
        {
            for length in 0..head.len() {
                let head = &head[..length];
                assert!([of_flv(head), of_avi(head), of_asf(head)].iter().all(Option::is_none));
            }
        }
    }

    #[test]
    fn chunks_begin_at_even_offsets() {
        let list = b"LIST\x17\0\0\0INFOITCH\x01\0\0\0a\0IPRT\x01\0\0\0";
        let avi = [&b"RIFF\0\0\0\0AVI "[..], list, b"3"].concat();
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of_avi(&avi), Some(vec![tag("ITCH", "a"), tag("IPRT", "3")]));
    }
}
