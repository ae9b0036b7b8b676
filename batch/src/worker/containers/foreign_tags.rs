// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tags of FLV, AVI and ASF that GStreamer 1.22 does not read, by their names in Matroska.

use super::{asf, avi, flv, tag_names::is_of_encoding};

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

/// The tags of a file that starts with `head`, as name and value; none if it is of another kind.
pub fn read(head: &[u8]) -> Vec<(String, String)> {
    let texts = flv::texts(head).or_else(|| avi::texts(head)).or_else(|| asf::texts(head));
    let named = texts.unwrap_or_default().into_iter().map(|(name, value)| {
        let name = name.trim_start_matches("WM/").to_uppercase();
        let known = NAMES.iter().find(|(own, _)| *own == name);
        (known.map_or(name, |(_, known)| (*known).to_owned()), value)
    });
    let is_tag = |name: &str| {
        !(LEFT_OUT.contains(&name) || is_of_encoding(name) || name.starts_with("WMFSDK"))
    };
    named.filter(|(name, value)| is_tag(name) && !value.is_empty()).collect()
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
                let texts = [flv::texts(head), avi::texts(head), asf::texts(head)];
                assert!(texts.iter().all(Option::is_none));
            }
        }
    }
}
