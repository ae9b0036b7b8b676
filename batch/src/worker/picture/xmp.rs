// SPDX-License-Identifier: MIT OR Apache-2.0

//! XMP (ISO 16684-1 and Adobe's XMP Specification, part 3), in which photo libraries keep ratings, keywords and captions.

use img_parts::{
    ImageEXIF,
    jpeg::{JpegSegment, markers::APP1},
    png::PngChunk,
    riff::{RiffChunk, RiffContent},
    webp::{CHUNK_VP8X, CHUNK_XMP, WebP},
};

/// The start of XMP in a segment of JPEG, and in a text chunk of PNG.
const IN_JPEG: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
pub const IN_PNG: &[u8] = b"XML:com.adobe.xmp\0";
/// The flag of XMP in the first byte of VP8X (RFC 9649, section 2.7).
const FLAG_IN_WEBP: u8 = 0x04;

/// The namespaces of what an output lacks: gain maps, other pictures and videos in the same file, further segments.
/// Thumbnails show the picture before translation.
const BEYOND: [&str; 5] = [
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.adobe.com/xmp/note/",
    "http://ns.adobe.com/xap/1.0/g/img/",
];
const ORIENTATION: &str = "tiff:Orientation";

/// XMP for an upright image; `None` if it refers to what the output lacks, or is not text in UTF-8.
pub fn upright(xmp: Vec<u8>) -> Option<Vec<u8>> {
    let xmp = String::from_utf8(xmp).ok()?;
    if BEYOND.iter().any(|name| xmp.contains(name)) {
        return None;
    }
    // The value is an attribute or the content of an element, not what follows its end.
    let found = xmp.match_indices(ORIENTATION).filter(|(at, _)| !xmp[..*at].ends_with('/'));
    let ends = found.map(|(at, name)| at + name.len());
    let values = ends.filter_map(|end| {
        let rest = &xmp[end..];
        let value = rest.trim_start_matches(['=', '"', '\'', '>', ' ']);
        Some(end + rest.len() - value.len())
            .filter(|_| value.starts_with(|c| matches!(c, '1'..='8')))
    });
    let values: Vec<_> = values.collect();
    let mut bytes = xmp.into_bytes();
    values.into_iter().for_each(|at| bytes[at] = b'1');
    Some(bytes)
}

/// The segment of a JPEG with XMP.
pub fn segment(xmp: &[u8]) -> JpegSegment {
    JpegSegment::new_with_contents(APP1, [IN_JPEG, xmp].concat().into())
}

/// The text chunk of a PNG with XMP: not compressed, in no language.
pub fn chunk(xmp: &[u8]) -> PngChunk {
    PngChunk::new(*b"iTXt", [IN_PNG, &[0; 4], xmp].concat().into())
}

/// Adds XMP to a WebP.
pub fn add(webp: &mut WebP, xmp: Vec<u8>) {
    webp.chunks_mut().push(RiffChunk::new(CHUNK_XMP, RiffContent::Data(xmp.into())));
    // Adds the chunk with the flags if it is missing.
    webp.set_exif(webp.exif());
    for chunk in webp.chunks_mut().iter_mut().filter(|chunk| chunk.id() == CHUNK_VP8X) {
        if let RiffContent::Data(content) = chunk.content() {
            let mut content = content.to_vec();
            content.iter_mut().take(1).for_each(|flags| *flags |= FLAG_IN_WEBP);
            *chunk = RiffChunk::new(CHUNK_VP8X, RiffContent::Data(content.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    fn upright(xmp: &str) -> Option<String> {
        super::upright(xmp.as_bytes().to_vec()).map(|xmp| String::from_utf8(xmp).unwrap())
    }

    #[test]
    fn the_orientation_is_that_of_an_upright_image() {
        let attribute = |value| format!("<a tiff:Orientation={value} b='6'/>");
        for (six, one) in [("\"6\"", "\"1\""), ("'8'", "'1'"), ("'1'", "'1'"), ("''", "''")] {
            assert_eq!(upright(&attribute(six)), Some(attribute(one)));
        }
        let element = |value| format!("<tiff:Orientation>{value}</tiff:Orientation>6");
        assert_eq!(upright(&element("6")), Some(element("1")));
    }

    #[test]
    fn what_refers_to_other_data_is_left_out() {
        assert_eq!(upright("<a xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'/>"), None);
        assert_eq!(super::upright(vec![0xFF]), None);
    }
}
