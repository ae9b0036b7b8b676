// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of TIFF files (TIFF 6.0) that the image crate does not support: some colour spaces, pages, resolution, text.

use std::io::Cursor;

use anyhow::{Result, anyhow};
use image::{DynamicImage, metadata::Orientation};
use tiff::{
    decoder::{Decoder, ifd::Value},
    tags::Tag,
};

use super::pixels::{ImagePipeline, image_of};

const CMYK: u16 = 5;
const PALETTE: u16 = 3;
const YCBCR: u16 = 6;
const JPEG: u16 = 7;
const REFERENCE_BLACK_WHITE: Tag = Tag::Unknown(532);

/// Colour spaces (PhotometricInterpretation) and their names.
const COLOURS: [(u16, &str); 11] = [
    (0, "grey"),
    (1, "grey"),
    (2, "RGB"),
    (PALETTE, "a palette"),
    (CMYK, "CMYK"),
    (YCBCR, "Y'CbCr"),
    (8, "CIE L*a*b*"),
    (9, "ICC L*a*b*"),
    (32_803, "raw camera data"),
    (32_844, "LogL"),
    (32_845, "LogLuv"),
];

/// Text fields of TIFF, and their keywords in PNG (PNG, third edition, section 11.3.3.1).
const TEXTS: [(Tag, &str); 4] = [
    (Tag::ImageDescription, "Description"),
    (Tag::Artist, "Author"),
    (Tag::Copyright, "Copyright"),
    (Tag::DateTime, "Creation Time"),
];
/// Other fields and their names, for notices.
const LOST: [(Tag, &str); 2] = [
    (Tag::GeoKeyDirectoryTag, "map coordinates (GeoTIFF) are"),
    (Tag::Unknown(33_723), "IPTC record is"),
];
/// Fields that only EXIF has.
const OF_EXIF: [Tag; 5] =
    [Tag::ExifDirectory, Tag::GpsDirectory, Tag::Make, Tag::Model, Tag::Software];
const XMP: Tag = Tag::Unknown(700);

/// Data of a TIFF besides its first picture.
#[derive(Debug, Default)]
pub struct Details {
    /// Pixels per metre, across and down.
    pub resolution: Option<[u32; 2]>,
    /// Text, each with its keyword in PNG.
    pub texts: Vec<(&'static str, String)>,
    /// What is not in the output.
    pub losses: Vec<String>,
}

/// A picture in a colour space that the image crate does not support.
pub struct Decoded {
    /// Its pixels as RGB.
    pub pixels: DynamicImage,
    /// Its orientation.
    pub orientation: Orientation,
}

type Tiff<'a> = Decoder<Cursor<&'a [u8]>>;

/// Whether it is a BigTIFF.
pub fn is_big(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II\x2B\0") || bytes.starts_with(b"MM\0\x2B")
}

/// Decodes a picture with a palette, or in Y'CbCr without JPEG; `None` for others, which the image crate decodes.
pub fn decoded(bytes: &[u8]) -> Result<Option<Decoded>> {
    let damaged = |error| anyhow!("is damaged: {error}");
    let mut tiff = Tiff::new(Cursor::new(bytes)).map_err(damaged)?;
    let colorimetry = match number(&mut tiff, Tag::PhotometricInterpretation) {
        Some(PALETTE) => String::new(),
        Some(YCBCR) if number(&mut tiff, Tag::Compression) != Some(JPEG) => {
            // Section 20: by default the matrix of BT.601, and black is 0.
            let black = tiff.find_tag(REFERENCE_BLACK_WHITE)?.and_then(first_of);
            let range = if black.is_none_or(|black| black == 0) { 1 } else { 2 };
            format!("! capssetter caps=video/x-raw,colorimetry=(string){range}:4:0:0")
        }
        _ => return Ok(None),
    };
    let decoder = ImagePipeline::new(&format!(
        "avdec_tiff {colorimetry} ! videoconvert ! video/x-raw,format=RGB"
    ))?;
    let caps = gst::Caps::new_empty_simple("image/tiff");
    let pixels = decoder.push_last(gst::Buffer::from_slice(bytes.to_vec()), &caps)?;
    let turn = number(&mut tiff, Tag::Orientation).and_then(|turn| u8::try_from(turn).ok());
    Ok(Some(Decoded {
        pixels: image_of(&pixels)?,
        orientation: turn.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms),
    }))
}

/// The colour profile. The image crate does not read one that is large beside its picture.
pub fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    Tiff::new(Cursor::new(bytes)).ok()?.get_tag_u8_vec(Tag::IccProfile).ok()
}

/// The XMP metadata.
pub fn xmp(bytes: &[u8]) -> Option<Vec<u8>> {
    Tiff::new(Cursor::new(bytes)).ok()?.get_tag_u8_vec(XMP).ok()
}

/// Whether it has fields that only EXIF has.
pub fn has_exif(bytes: &[u8]) -> bool {
    let found = Tiff::new(Cursor::new(bytes));
    found.is_ok_and(|mut tiff| OF_EXIF.iter().any(|tag| matches!(tiff.find_tag(*tag), Ok(Some(_)))))
}

/// A description of the colour space of the first picture.
pub fn colours(bytes: &[u8]) -> Option<String> {
    let mut tiff = Tiff::new(Cursor::new(bytes)).ok()?;
    let kind = number(&mut tiff, Tag::PhotometricInterpretation)?;
    let name = COLOURS.iter().find(|(number, _)| *number == kind);
    let name = name.map_or(format!("kind {kind}"), |(_, name)| (*name).to_owned());
    let depth = tiff.get_tag_u16_vec(Tag::BitsPerSample).ok()?.first().copied()?;
    Some(format!("{name} with {depth} bits per component"))
}

/// Whether the colours of the first picture are premultiplied with alpha (section 18: associated alpha).
pub fn is_premultiplied(bytes: &[u8]) -> bool {
    let kinds =
        Tiff::new(Cursor::new(bytes)).map(|mut tiff| tiff.get_tag_u16_vec(Tag::ExtraSamples));
    kinds.is_ok_and(|kinds| kinds.is_ok_and(|kinds| kinds.first() == Some(&1)))
}

/// Reads what the TIFF in `bytes` has besides its picture.
pub fn details(bytes: &[u8]) -> Result<Details> {
    let mut tiff = Tiff::new(Cursor::new(bytes))?;
    let mut losses = Vec::new();
    if number(&mut tiff, Tag::PhotometricInterpretation) == Some(CMYK) {
        losses.push("its CMYK becomes RGB".to_owned());
    }
    let channels = number(&mut tiff, Tag::SamplesPerPixel).unwrap_or(1);
    if tiff.colortype().is_ok_and(|color| channels > color.num_samples()) {
        losses.push("its channels besides colour and alpha are left out".to_owned());
    }
    for (tag, name) in LOST {
        if tiff.find_tag(tag)?.is_some() {
            losses.push(format!("its {name} left out"));
        }
    }
    let mut text = |tag: Tag| tiff.find_tag(tag).ok()??.into_string().ok();
    let texts = TEXTS.map(|(tag, name)| (name, text(tag)));
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
    let resolution = resolution(&mut tiff);
    if tiff.more_images() {
        losses.push("has several pages, but only the first is translated".to_owned());
    }
    Ok(Details { resolution, texts, losses })
}

/// The first of one or more fractions, rounded down.
fn first_of(value: Value) -> Option<u32> {
    match value {
        Value::List(values) => first_of(values.into_iter().next()?),
        Value::Rational(number, of) => number.checked_div(of),
        _ => None,
    }
}

fn number(tiff: &mut Tiff<'_>, tag: Tag) -> Option<u16> {
    tiff.find_tag_unsigned(tag).ok().flatten()
}

/// The resolution; `None` if it only states the pixel aspect ratio.
fn resolution(tiff: &mut Tiff<'_>) -> Option<[u32; 2]> {
    let metres = match number(tiff, Tag::ResolutionUnit).unwrap_or(2) {
        2 => 0.0254,
        3 => 0.01,
        _ => return None,
    };
    let mut along = |tag: Tag| match tiff.find_tag(tag).ok()?? {
        Value::Rational(pixels, units) => {
            Some((f64::from(pixels) / f64::from(units) / metres).round() as u32)
        }
        _ => None,
    };
    Some([along(Tag::XResolution)?, along(Tag::YResolution)?]).filter(|size| !size.contains(&0))
}
