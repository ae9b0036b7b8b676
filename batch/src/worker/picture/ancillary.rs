// SPDX-License-Identifier: MIT OR Apache-2.0

//! PNG chunks (PNG, third edition, section 11.3) and JPEG segments (ITU-T T.81, annex B) that the image crate does
//! not keep: resolution, colour space, text; and what else is in the file of an image.

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

use super::{jpeg, photoshop, tiff, xmp};
use crate::{
    picture::PictureFormat,
    protocol::{Say, send_notice, send_notices},
    worker::containers::{bytes::Reader, isobmff::image::HeifImage},
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
/// Metres.
const INCH: f64 = 0.0254;

/// Data of an image file that go into the output unchanged.
#[derive(Debug, Default)]
pub struct Ancillary {
    /// Chunks for a PNG.
    chunks: Vec<PngChunk>,
    /// The JFIF header, which has the resolution, and other segments for a JPEG.
    jfif: Option<JpegSegment>,
    segments: Vec<JpegSegment>,
    /// Pixels per metre, across and down, if neither a chunk nor the JFIF header has them.
    resolution: Option<[u32; 2]>,
}

impl Ancillary {
    /// Reads `bytes`, an image in `format`, for an image in `output`, and reports what that will lack.
    pub fn of(bytes: &[u8], format: ImageFormat, output: PictureFormat, say: Say) -> Self {
        let found = match format {
            ImageFormat::Png => Self::of_png(bytes, output == PictureFormat::Png, say),
            ImageFormat::Jpeg => Self::of_jpeg(bytes, output == PictureFormat::Jpeg, say),
            ImageFormat::Bmp => Self::of_bmp(bytes),
            ImageFormat::Tiff => Self::of_tiff(tiff::details(bytes).unwrap_or_default(), say),
            ImageFormat::Avif => Self::of_heif(bytes, output == PictureFormat::Png, say),
            _ => Self::default(),
        };
        if output == PictureFormat::Webp && found.resolution.is_some() {
            lose(say, "resolution");
        }
        found
    }

    fn of_heif(bytes: &[u8], is_kept: bool, say: Say) -> Self {
        let mut found = Self::default();
        let image = HeifImage::read(bytes);
        match image.color {
            Some([primaries, transfer]) if is_kept => {
                // The matrix is that of RGB, and the range is full.
                found.chunks.push(PngChunk::new(*b"cICP", vec![primaries, transfer, 0, 1].into()));
            }
            Some(_) => lose(say, "colour space"),
            None => {}
        }
        if image.is_hdr {
            lose(say, "HDR metadata");
        }
        if image.depth > 8 {
            send_notice(say, format!("its {}-bit colours become 8-bit", image.depth));
        }
        for (is_lost, loss) in [
            (image.has_others, OTHER_PICTURES),
            (image.has_video, jpeg::VIDEO_LOST),
            (image.has_frames, "is animated, but only its first frame is translated"),
        ] {
            if is_lost {
                send_notice(say, loss);
            }
        }
        found
    }

    fn of_tiff(details: tiff::Details, say: Say) -> Self {
        let text = |(keyword, text): (&str, String)| {
            let text = [keyword.as_bytes(), &[0; 5], text.as_bytes()].concat();
            PngChunk::new(*b"iTXt", text.into())
        };
        let chunks = details.texts.into_iter().map(text).collect();
        send_notices(say, details.losses);
        Self { chunks, resolution: details.resolution, ..Self::default() }
    }

    fn of_png(bytes: &[u8], is_kept: bool, say: Say) -> Self {
        let mut found = Self::default();
        let mut rest = Bytes::copy_from_slice(bytes.get(PNG_SIGNATURE..).unwrap_or_default());
        // Ends at a damaged chunk.
        while let Ok(chunk) = PngChunk::from_bytes(&mut rest) {
            let name = chunk.kind();
            if READ.contains(&&name) || chunk.contents().starts_with(xmp::IN_PNG) {
                continue;
            }
            match chunk.contents().as_ref() {
                _ if is_kept && KEPT.contains(&&name) => found.chunks.push(chunk),
                // In pixels per metre.
                [sides @ .., 1] if name == *b"pHYs" => {
                    let [x, y] = [0, 4].map(|at| Reader::at(sides, at).big(4).unwrap_or(0) as u32);
                    found.resolution = Some([x, y]);
                }
                _ => lose(say, &png_name(name)),
            }
        }
        found
    }

    fn of_jpeg(bytes: &[u8], is_kept: bool, say: Say) -> Self {
        let mut found = Self::default();
        let jpeg = Jpeg::from_bytes(Bytes::copy_from_slice(bytes));
        for segment in jpeg.iter().flat_map(Jpeg::segments) {
            let data = segment.contents();
            let begins = |with: &[&[u8]]| with.iter().any(|start| data.starts_with(start));
            match segment.marker() {
                APP0 if begins(&[b"JFIF\0"]) && is_kept => found.jfif = jfif(data),
                APP0 if begins(&[b"JFIF\0"]) => found.resolution = jfif_resolution(data),
                APP1 if begins(&[b"Exif\0", b"http://ns.adobe.com/"]) => {}
                APP2 if begins(&[b"ICC_PROFILE\0"]) => {}
                APP2 if begins(&[b"MPF\0"]) => send_notice(say, OTHER_PICTURES),
                APP13 if is_kept && begins(&[photoshop::START]) => {
                    let (kept, has_thumbnail) = photoshop::without_thumbnail(data);
                    found.segments.push(JpegSegment::new_with_contents(APP13, kept.into()));
                    if has_thumbnail {
                        lose(say, "thumbnail");
                    }
                }
                COM | APP13 if is_kept => found.segments.push(segment.clone()),
                COM => lose(say, "comment"),
                APP13 if begins(&[photoshop::START]) => lose(say, "IPTC record"),
                // JFIF thumbnails, and what only Photoshop's export and the decoder use.
                APP0 | APP12 | APP14 => {}
                other @ APP1..=APP15 => {
                    lose(say, &format!("application segment APP{} (JPEG)", other - APP0));
                }
                _ => {}
            }
        }
        if jpeg::has_video(bytes) {
            send_notice(say, jpeg::VIDEO_LOST);
        }
        found
    }

    fn of_bmp(bytes: &[u8]) -> Self {
        let number = |at| Reader::at(bytes, at).little(4).unwrap_or(0) as u32;
        let (x, y) = (number(38), number(42));
        // A shorter header has no resolution.
        let has_resolution = number(14) >= 40 && x > 0 && y > 0;
        Self { resolution: has_resolution.then_some([x, y]), ..Self::default() }
    }

    /// Adds the data, and `xmp`, to the encoded `output`.
    pub fn insert(
        self,
        xmp: Option<Vec<u8>>,
        output: Vec<u8>,
        format: PictureFormat,
    ) -> Result<Bytes> {
        let output = Bytes::from(output);
        Ok(match format {
            PictureFormat::Png => {
                let more = self.resolution.map(png_resolution);
                let more = more.into_iter().chain(xmp.as_deref().map(xmp::chunk));
                let mut png = Png::from_bytes(output)?;
                // After the header.
                png.chunks_mut().splice(1..1, self.chunks.into_iter().chain(more));
                png.encoder().bytes()
            }
            PictureFormat::Jpeg => {
                let xmp = xmp.as_deref().map(xmp::segment);
                let mut jpeg = Jpeg::from_bytes(output)?;
                let segments = jpeg.segments_mut();
                segments.splice(1..1, xmp.into_iter().chain(self.segments));
                // The encoder's own comes first.
                let jfif = self.jfif.or_else(|| self.resolution.map(jfif_with));
                jfif.into_iter().for_each(|jfif| segments[0] = jfif);
                jpeg.encoder().bytes()
            }
            PictureFormat::Webp => match xmp {
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

fn lose(say: Say, what: &str) {
    send_notice(say, format!("its {what} is left out"));
}

/// A JFIF header without its thumbnail.
fn jfif(data: &[u8]) -> Option<JpegSegment> {
    let fields = [data.get(..12)?, &[0, 0]].concat();
    Some(JpegSegment::new_with_contents(APP0, fields.into()))
}

/// The resolution in a JFIF header (JFIF 1.02: units, then dots across and down); `None` for an aspect ratio.
fn jfif_resolution(data: &[u8]) -> Option<[u32; 2]> {
    let per_metre = match data.get(7)? {
        1 => 1.0 / INCH,
        2 => 100.0,
        _ => return None,
    };
    let sides = [8, 10].map(|at| Reader::at(data, at).big(2).unwrap_or(0) as f64 * per_metre);
    Some(sides.map(|side| side.round() as u32)).filter(|sides| !sides.contains(&0))
}

/// A JFIF header with this resolution, in dots per inch.
fn jfif_with(resolution: [u32; 2]) -> JpegSegment {
    let [x, y] = resolution.map(|side| (f64::from(side) * INCH).round() as u16);
    let fields = [b"JFIF\0\x01\x02\x01", &x.to_be_bytes()[..], &y.to_be_bytes(), &[0, 0]];
    JpegSegment::new_with_contents(APP0, fields.concat().into())
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
