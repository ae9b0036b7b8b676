// SPDX-License-Identifier: MIT OR Apache-2.0

//! Metadata of PNG files after the pixels, where the image crate does not look (PNG, third edition, section 5.6).

use img_parts::{Bytes, png::Png};

use super::xmp;

#[derive(Default)]
pub struct Late {
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
    /// Whether there is XMP that is compressed.
    pub has_compressed_xmp: bool,
}

/// What follows the pixels of the PNG in `bytes`.
pub fn after_pixels(bytes: &[u8]) -> Late {
    let mut late = Late::default();
    let Ok(png) = Png::from_bytes(Bytes::copy_from_slice(bytes)) else { return late };
    for chunk in png.chunks().iter().skip_while(|chunk| chunk.kind() != *b"IDAT") {
        let data = chunk.contents();
        match &chunk.kind() {
            b"eXIf" => late.exif = Some(data.to_vec()),
            b"iTXt" if data.starts_with(xmp::IN_PNG) => {
                let fields = &data[xmp::IN_PNG.len()..];
                late.has_compressed_xmp = fields.first() == Some(&1);
                late.xmp = text(fields).filter(|_| !late.has_compressed_xmp);
            }
            _ => {}
        }
    }
    late
}

/// The text of an `iTXt` chunk after its keyword: two bytes about compression, and a language and a translated keyword,
/// which end with a zero, come before it.
fn text(fields: &[u8]) -> Option<Vec<u8>> {
    let mut parts = fields.get(2..)?.splitn(3, |byte| *byte == 0).skip(2);
    parts.next().map(<[u8]>::to_vec)
}
