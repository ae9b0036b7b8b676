// SPDX-License-Identifier: MIT OR Apache-2.0

//! The chunks of PNG (PNG, third edition, section 11.3) and segments of JPEG (ITU-T T.81, annex B) that the image
//! crate does not keep: resolution, how colours are meant, text.

use image::ImageFormat;

use super::tiff;
use crate::picture::PictureFormat;

/// Chunks of PNG that are as true of the output.
const KEPT: [&[u8]; 11] = [
    b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"sPLT", b"tEXt", b"zTXt",
    b"iTXt",
];
/// Those that are read elsewhere, or are about the file and not the picture.
const READ: [&[u8]; 13] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT",
    b"sBIT", b"hIST", b"tIME",
];
/// How the text chunk of XMP begins, which is reported elsewhere.
const XMP: &[u8] = b"XML:com.adobe.xmp\0";
const OTHER_PICTURES: &str = "other pictures in the same file, such as a gain map, are left out";
/// Where the chunks of a PNG begin, after its signature, and where the second does.
const PNG_CHUNKS: usize = 8;
const AFTER_IHDR: usize = 33;

/// What of an image file goes into its output unchanged, and what is left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ancillary {
    /// Whole chunks of PNG, or segments of JPEG.
    kept: Vec<u8>,
    /// The resolution of JFIF: unit, and 16 bits for each direction.
    density: Option<[u8; 5]>,
    pub losses: Vec<String>,
}

impl Ancillary {
    /// That of `bytes`, for an output.
    pub fn of(bytes: &[u8], format: ImageFormat, output: PictureFormat) -> Self {
        match format {
            ImageFormat::Png => Self::of_png(bytes, output == PictureFormat::Png),
            ImageFormat::Jpeg => Self::of_jpeg(bytes, output == PictureFormat::Jpeg),
            ImageFormat::Bmp if output == PictureFormat::Png => Self::of_bmp(bytes),
            ImageFormat::Tiff => {
                tiff::details(bytes).map_or_else(|_| Self::default(), Self::of_tiff)
            }
            _ => Self::default(),
        }
    }

    fn of_tiff(details: tiff::Details) -> Self {
        let mut kept = details.resolution.map_or(Vec::new(), png_resolution);
        for (keyword, text) in details.texts {
            let text = [keyword.as_bytes(), &[0; 5], text.as_bytes()].concat();
            kept.extend(png_chunk(b"iTXt", &text));
        }
        Self { kept, losses: details.losses, ..Self::default() }
    }

    fn of_png(bytes: &[u8], is_kept: bool) -> Self {
        let mut found = Self::default();
        for (name, chunk) in png_chunks(bytes) {
            if READ.contains(&name) || chunk[8..].starts_with(XMP) {
                continue;
            }
            match is_kept && KEPT.contains(&name) {
                true => found.kept.extend_from_slice(chunk),
                false => found.lose(&format!("PNG chunk {}", String::from_utf8_lossy(name))),
            }
        }
        found
    }

    fn of_jpeg(bytes: &[u8], is_kept: bool) -> Self {
        const COMMENT: u8 = 0xFE;
        const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
        let mut found = Self::default();
        for (marker, segment) in jpeg_segments(bytes) {
            let data = &segment[4..];
            let begins = |with: &[&[u8]]| with.iter().any(|start| data.starts_with(start));
            match marker {
                0xE0 if begins(&[b"JFIF\0"]) && is_kept => {
                    found.density = data.get(7..12).and_then(|fields| fields.try_into().ok());
                }
                // The frame's header, with the number of its components.
                0xC0..=0xC2 if data.get(5) == Some(&4) => {
                    found.losses.push("its CMYK becomes RGB".to_owned());
                }
                0xE1 if begins(&[b"Exif\0", b"http://ns.adobe.com/"]) => {}
                0xE2 if begins(&[b"ICC_PROFILE\0"]) => {}
                0xE2 if begins(&[b"MPF\0"]) => {
                    found.losses.push(OTHER_PICTURES.to_owned());
                }
                COMMENT | 0xED if is_kept => found.kept.extend_from_slice(segment),
                COMMENT => found.lose("comment"),
                0xED if begins(&[PHOTOSHOP]) => found.lose("IPTC record"),
                // Thumbnails of JFIF, what Photoshop's export and the decoder need.
                0xE0 | 0xEC | 0xEE => {}
                0xE1..=0xEF => found.lose(&format!("JPEG segment APP{}", marker - 0xE0)),
                _ => {}
            }
        }
        found
    }

    fn of_bmp(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
            field.map_or(0, u32::from_le_bytes)
        };
        let (x, y) = (number(38), number(42));
        // A shorter header has no resolution.
        let has_resolution = number(14) >= 40 && x > 0 && y > 0;
        let kept = if has_resolution { png_resolution([x, y]) } else { Vec::new() };
        Self { kept, ..Self::default() }
    }

    fn lose(&mut self, what: &str) {
        let text = format!("its {what} is left out");
        if !self.losses.contains(&text) {
            self.losses.push(text);
        }
    }

    /// Adds it to the encoded `output`.
    pub fn insert(&self, output: &mut Vec<u8>, format: PictureFormat) {
        let at = match format {
            PictureFormat::Png => AFTER_IHDR,
            // After the header of JFIF, which comes first.
            PictureFormat::Jpeg => jpeg_segments(output).next().map_or(2, |(_, s)| 2 + s.len()),
            PictureFormat::Webp => return,
        };
        if let (Some(density), Some(fields)) = (self.density, output.get_mut(13..18)) {
            fields.copy_from_slice(&density);
        }
        output.splice(at..at, self.kept.iter().copied());
    }
}

/// The name and the whole of each chunk.
fn png_chunks(png: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = png.get(PNG_CHUNKS..).unwrap_or_default();
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let (chunk, after) = rest.split_at_checked(size.checked_add(12)?)?;
        rest = after;
        Some((&chunk[4..8], chunk))
    })
}

/// The chunk for a resolution in pixels per metre, across and down.
fn png_resolution([x, y]: [u32; 2]) -> Vec<u8> {
    png_chunk(b"pHYs", &[&x.to_be_bytes()[..], &y.to_be_bytes(), &[1]].concat())
}

fn png_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [name, data].concat();
    let size = (data.len() as u32).to_be_bytes();
    [&size[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// The marker and the whole of each segment before the compressed data.
fn jpeg_segments(jpeg: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    const SCAN: u8 = 0xDA;
    let mut rest = jpeg.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        // Bytes of 0xFF may fill up what is before a marker.
        let fill = rest.windows(2).take_while(|pair| *pair == [0xFF, 0xFF]).count();
        rest = &rest[fill..];
        let &[0xFF, marker, high, low] = rest.first_chunk()? else { return None };
        let (segment, after) =
            rest.split_at_checked(2 + usize::from(u16::from_be_bytes([high, low])))?;
        rest = after;
        (marker != SCAN && segment.len() >= 4).then_some((marker, segment))
    })
}
