// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads still images of any format.

use std::{borrow::Cow, fs, io::Cursor, path::Path};

use anyhow::{Context, Result, anyhow};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation,
};
use img_parts::{
    Bytes,
    riff::{RiffChunk, RiffContent},
    webp::{CHUNK_ANMF, CHUNK_VP8L, WebP},
};

use super::{heif, jpeg, metadata::Metadata, pixels::as_color, tiff};
use crate::{
    picture::is_animated,
    protocol::{Say, send_notice},
    worker::containers::isobmff::image::is_image,
};

/// An upright image and its metadata.
pub struct Picture {
    pub pixels: DynamicImage,
    pub metadata: Metadata,
    /// Whether its file is lossless.
    pub is_lossless: bool,
    /// The format of its file.
    pub format: ImageFormat,
}

/// The upright image of a file; the first frame of an animation.
pub fn open(input: &Path, say: Say) -> Result<DynamicImage> {
    Ok(read(&fs::read(input)?, input, say)?.pixels)
}

/// Whether a file is an image that can be opened.
pub fn is_picture(input: &Path) -> bool {
    let reader = ImageReader::open(input).ok().and_then(|reader| reader.with_guessed_format().ok());
    reader.is_some_and(|reader| reader.format().is_some())
}

/// The image in `bytes`, the contents of `input`.
pub fn read(bytes: &[u8], input: &Path, say: Say) -> Result<Picture> {
    if is_image(bytes) {
        return heif::read(bytes, say);
    }
    let format = reader(bytes, input)?.format();
    let format = format.context("is not an image, or too damaged to be recognised")?;
    let mut bytes = Cow::Borrowed(bytes);
    if format == ImageFormat::Jpeg {
        jpeg::check(&bytes, say)?;
        jpeg::complete(&mut bytes);
    }
    let bytes = &*bytes;
    let reader = reader(bytes, input)?;
    if is_animated(Cursor::new(bytes), format).unwrap_or(false) {
        send_notice(say, "is animated, but only its first frame is translated");
    }
    let is_tiff = format == ImageFormat::Tiff;
    let decoded = if is_tiff { tiff::decoded(bytes)? } else { None };
    let (mut pixels, orientation, mut metadata) = match decoded {
        Some(tiff::Decoded { pixels, orientation }) => {
            (pixels, orientation, Metadata::of_tiff(bytes, say))
        }
        None => {
            let fault = |error| fault_of(error, bytes, format);
            let mut decoder = reader.into_decoder().map_err(fault)?;
            let metadata = match is_tiff {
                true => Metadata::of_tiff(bytes, say),
                false => Metadata::of(&mut decoder).completed(bytes, format, say),
            };
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            (DynamicImage::from_decoder(decoder).map_err(fault)?, orientation, metadata)
        }
    };
    // The decoder does not know the prefix.
    let stated = metadata.exif.as_deref().and_then(Orientation::from_exif_chunk);
    let width = pixels.width();
    pixels.apply_orientation(stated.unwrap_or(orientation));
    metadata.make_upright(pixels.width() != width, say);
    if is_tiff && tiff::is_premultiplied(bytes) {
        pixels = straight(pixels);
    }
    if matches!(pixels, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        send_notice(say, "its floating-point colours become 16-bit");
    }
    Ok(Picture { pixels, metadata, is_lossless: is_lossless(bytes, format), format })
}

/// A reader for `bytes`, the contents of `input`. It has no format if that is not an image.
fn reader<'a>(bytes: &'a [u8], input: &Path) -> Result<ImageReader<Cursor<&'a [u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    // TGA has no magic number.
    let is_tga = ImageFormat::from_path(input).is_ok_and(|format| format == ImageFormat::Tga);
    if reader.format().is_none() && is_tga {
        reader.set_format(ImageFormat::Tga);
    }
    if tiff::is_big(bytes) {
        reader.set_format(ImageFormat::Tiff);
    }
    Ok(reader)
}

/// Why an image cannot be decoded.
fn fault_of(error: ImageError, bytes: &[u8], format: ImageFormat) -> anyhow::Error {
    match error {
        ImageError::Unsupported(error) => {
            let colours = tiff::colours(bytes).filter(|_| format == ImageFormat::Tiff);
            let what = colours.map_or(error.to_string(), |colours| format!("a TIFF of {colours}"));
            anyhow!("cannot be decoded: {what}; convert it to RGB of 8 or 16 bits first")
        }
        error => anyhow!("is damaged: {error}"),
    }
}

/// The bytes of a frame of an animated WebP before those of its image (RFC 9649, section 2.7.1.1).
const FRAME_HEADER: usize = 16;

/// Whether the pixels of an image are stored without loss; of an animation, those of its first frame.
pub fn is_lossless(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => false,
        ImageFormat::WebP => WebP::from_bytes(Bytes::copy_from_slice(bytes)).is_ok_and(|webp| {
            let frame = webp.chunk_by_id(CHUNK_ANMF).map(RiffChunk::content);
            let frame = frame.and_then(RiffContent::data);
            webp.has_chunk(CHUNK_VP8L)
                || frame.is_some_and(|frame| {
                    frame.get(FRAME_HEADER..).is_some_and(|frame| frame.starts_with(&CHUNK_VP8L))
                })
        }),
        _ => true,
    }
}

/// Divides the colours of an image by its alpha, since PNG stores them unmultiplied.
fn straight(picture: DynamicImage) -> DynamicImage {
    let mut pixels = picture.to_rgba32f();
    for pixel in pixels.pixels_mut() {
        let [.., alpha] = pixel.0;
        if alpha > 0.0 {
            pixel.0[..3].iter_mut().for_each(|color| *color /= alpha);
        }
    }
    as_color(pixels.into(), picture.color())
}
