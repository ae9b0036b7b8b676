// SPDX-License-Identifier: MIT OR Apache-2.0

//! PNG chunks (PNG, third edition, section 11.3) and JPEG segments (ITU-T T.81, annex B) that the image crate does
//! not keep: resolution, colour space, text.

use anyhow::Result;
use image::ImageFormat;
use img_parts::{
    Bytes,
    jpeg::{
        Jpeg, JpegSegment,
        markers::{APP0, APP1, APP2, APP12, APP13, APP14, APP15, COM},
    },
    png::{Png, PngChunk},
    webp::WebP,
};

use super::{tiff, xmp};
use crate::{
    picture::PictureFormat,
    worker::containers::{
        bytes::Reader,
        isobmff::image::{Properties, is_sequence},
    },
};

/// PNG chunks that also apply to the output.
const KEPT: [&[u8; 4]; 11] = [
    b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"sPLT", b"tEXt", b"zTXt",
    b"iTXt",
];
/// PNG chunks that other code handles, or that describe the file and not the picture.
const READ: [&[u8; 4]; 13] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT",
    b"sBIT", b"hIST", b"tIME",
];
const OTHER_PICTURES: &str = "other pictures in the same file, such as a gain map, are left out";
const PNG_SIGNATURE: usize = 8;

/// Data of an image file that go into the output unchanged, and notes about those that do not.
#[derive(Debug, Default)]
pub struct Ancillary {
    /// Chunks for a PNG.
    chunks: Vec<PngChunk>,
    /// The JFIF header, which has the resolution, and other segments for a JPEG.
    jfif: Option<JpegSegment>,
    segments: Vec<JpegSegment>,
    /// XMP for an image of any format.
    pub xmp: Option<Vec<u8>>,
    pub losses: Vec<String>,
}

impl Ancillary {
    /// Reads `bytes`, an image in `format`, for an image in `output`.
    pub fn of(bytes: &[u8], format: ImageFormat, output: PictureFormat) -> Self {
        match format {
            ImageFormat::Png => Self::of_png(bytes, output == PictureFormat::Png),
            ImageFormat::Jpeg => Self::of_jpeg(bytes, output == PictureFormat::Jpeg),
            ImageFormat::Bmp if output == PictureFormat::Png => Self::of_bmp(bytes),
            ImageFormat::Tiff => {
                tiff::details(bytes).map_or_else(|_| Self::default(), Self::of_tiff)
            }
            ImageFormat::Avif => Self::of_heif(bytes, output == PictureFormat::Png),
            _ => Self::default(),
        }
    }

    fn of_heif(bytes: &[u8], is_kept: bool) -> Self {
        let mut found = Self::default();
        let Properties { color, depth, has_others, .. } = Properties::of(bytes);
        match color {
            Some([primaries, transfer]) if is_kept => {
                // The matrix is that of RGB, and the range is full.
                found.chunks.push(PngChunk::new(*b"cICP", vec![primaries, transfer, 0, 1].into()));
            }
            Some(_) => found.lose("colour space"),
            None => {}
        }
        if depth > 8 {
            found.losses.push(format!("its {depth}-bit colours become 8-bit"));
        }
        if has_others {
            found.losses.push(OTHER_PICTURES.to_owned());
        }
        if is_sequence(bytes) {
            found.losses.push("is animated, but only its first frame is translated".to_owned());
        }
        found
    }

    fn of_tiff(details: tiff::Details) -> Self {
        let text = |(keyword, text): (&str, String)| {
            let text = [keyword.as_bytes(), &[0; 5], text.as_bytes()].concat();
            PngChunk::new(*b"iTXt", text.into())
        };
        let texts = details.texts.into_iter().map(text);
        let chunks = details.resolution.map(png_resolution).into_iter().chain(texts).collect();
        Self { chunks, losses: details.losses, ..Self::default() }
    }

    fn of_png(bytes: &[u8], is_kept: bool) -> Self {
        let mut found = Self::default();
        let mut rest = Bytes::copy_from_slice(bytes.get(PNG_SIGNATURE..).unwrap_or_default());
        // Ends at a damaged chunk.
        while let Ok(chunk) = PngChunk::from_bytes(&mut rest) {
            let name = chunk.kind();
            if READ.contains(&&name) || chunk.contents().starts_with(xmp::IN_PNG) {
                continue;
            }
            match is_kept && KEPT.contains(&&name) {
                true => found.chunks.push(chunk),
                false => found.lose(&png_name(name)),
            }
        }
        found
    }

    fn of_jpeg(bytes: &[u8], is_kept: bool) -> Self {
        let mut found = Self::default();
        let jpeg = Jpeg::from_bytes(Bytes::copy_from_slice(bytes));
        for segment in jpeg.iter().flat_map(Jpeg::segments) {
            let data = segment.contents();
            let begins = |with: &[&[u8]]| with.iter().any(|start| data.starts_with(start));
            match segment.marker() {
                APP0 if begins(&[b"JFIF\0"]) && is_kept => found.jfif = jfif(data),
                APP1 if begins(&[b"Exif\0", b"http://ns.adobe.com/"]) => {}
                APP2 if begins(&[b"ICC_PROFILE\0"]) => {}
                APP2 if begins(&[b"MPF\0"]) => found.losses.push(OTHER_PICTURES.to_owned()),
                COM | APP13 if is_kept => found.segments.push(segment.clone()),
                COM => found.lose("comment"),
                APP13 if begins(&[b"Photoshop 3.0\0"]) => found.lose("IPTC record"),
                // JFIF thumbnails, and what only Photoshop's export and the decoder use.
                APP0 | APP12 | APP14 => {}
                other @ APP1..=APP15 => {
                    found.lose(&format!("application segment APP{} (JPEG)", other - APP0));
                }
                _ => {}
            }
        }
        found
    }

    fn of_bmp(bytes: &[u8]) -> Self {
        let number = |at| Reader::at(bytes, at).little(4).unwrap_or(0) as u32;
        let (x, y) = (number(38), number(42));
        // A shorter header has no resolution.
        let has_resolution = number(14) >= 40 && x > 0 && y > 0;
        let chunks = has_resolution.then(|| png_resolution([x, y])).into_iter().collect();
        Self { chunks, ..Self::default() }
    }

    fn lose(&mut self, what: &str) {
        let text = format!("its {what} is left out");
        if !self.losses.contains(&text) {
            self.losses.push(text);
        }
    }

    /// Adds the data to the encoded `output`.
    pub fn insert(self, output: Vec<u8>, format: PictureFormat) -> Result<Bytes> {
        let output = Bytes::from(output);
        Ok(match format {
            PictureFormat::Png => {
                let xmp = self.xmp.as_deref().map(xmp::chunk);
                let mut png = Png::from_bytes(output)?;
                // After the header.
                png.chunks_mut().splice(1..1, self.chunks.into_iter().chain(xmp));
                png.encoder().bytes()
            }
            PictureFormat::Jpeg => {
                let xmp = self.xmp.as_deref().map(xmp::segment);
                let mut jpeg = Jpeg::from_bytes(output)?;
                let segments = jpeg.segments_mut();
                segments.splice(1..1, xmp.into_iter().chain(self.segments));
                // The encoder's own comes first.
                self.jfif.into_iter().for_each(|jfif| segments[0] = jfif);
                jpeg.encoder().bytes()
            }
            PictureFormat::Webp => match self.xmp {
                Some(xmp) => {
                    let mut webp = WebP::from_bytes(output)?;
                    xmp::add(&mut webp, xmp);
                    webp.encoder().bytes()
                }
                None => output,
            },
        })
    }
}

/// A JFIF header without its thumbnail.
fn jfif(data: &[u8]) -> Option<JpegSegment> {
    let fields = [data.get(..12)?, &[0, 0]].concat();
    Some(JpegSegment::new_with_contents(APP0, fields.into()))
}

/// A plain name for the content of a PNG chunk.
fn png_name(kind: [u8; 4]) -> String {
    let name = match &kind {
        b"pHYs" => "resolution",
        b"gAMA" | b"cHRM" | b"sRGB" | b"cICP" => "colour space",
        b"mDCV" | b"cLLI" => "HDR metadata",
        b"tEXt" | b"zTXt" | b"iTXt" => "text",
        b"sPLT" => "suggested palette",
        b"bKGD" => "background colour",
        _ => return format!("application chunk {} (PNG)", String::from_utf8_lossy(&kind)),
    };
    name.to_owned()
}

/// The chunk for a resolution in pixels per metre, across and down.
fn png_resolution([x, y]: [u32; 2]) -> PngChunk {
    let data = [&x.to_be_bytes()[..], &y.to_be_bytes(), &[1]].concat();
    PngChunk::new(*b"pHYs", data.into())
}
