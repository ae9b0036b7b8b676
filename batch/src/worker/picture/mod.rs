// SPDX-License-Identifier: MIT OR Apache-2.0

//! Still images, read and written with their EXIF and colour profile.

pub mod ancillary;
mod animated;
pub mod animation;
pub mod exif;
mod heif;
mod jpeg;
mod metadata;
mod photoshop;
pub mod pixels;
mod png;
pub mod tiff;
pub mod xmp;

use std::{fs, io::Cursor, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
    metadata::Orientation,
};
use img_parts::{
    Bytes, ImageEXIF, ImageICC,
    webp::{CHUNK_VP8L, WebP},
};

use self::{
    ancillary::Ancillary,
    metadata::{Metadata, PROFILE_LOST},
    pixels::{ImagePipeline, as_color},
};
use crate::{
    picture::{PictureFormat, is_animated},
    protocol::{Say, Setup, note, note_all},
    worker::{containers::isobmff::image::is_image, pipeline::fault},
};

/// Quality of JPEG and lossy WebP, of 100.
pub const QUALITY: u8 = 95;

/// An upright image and its metadata.
struct Picture {
    pixels: DynamicImage,
    metadata: Metadata,
    /// Whether its file is lossless.
    is_lossless: bool,
    /// The format of its file.
    format: ImageFormat,
}

/// Translates the image `input` into `output`, and returns its number of frames; in a dry run it only notes what the
/// output would lack.
pub fn translate(
    setup: &Setup,
    input: &Path,
    output: &Path,
    format: PictureFormat,
    say: Say,
) -> Result<u64> {
    // What fails here fails below too, with its cause.
    if let Some(animation) = animated::format(input, format).unwrap_or(None) {
        return animated::translate(setup, (input, animation), (output, format), say);
    }
    if setup.dry_run {
        let bytes = fs::read(input)?;
        encode(read(&bytes, input, say)?, &bytes, format, say)?;
        return Ok(1);
    }
    translate_through(&ImagePipeline::filter(setup)?, input, output, format, say)?;
    if setup.verify {
        let written = ImageReader::open(output)?.with_guessed_format()?;
        written.decode().context("the output cannot be decoded")?;
    }
    Ok(1)
}

/// Translates the image `input` into `output` with a filter that has already seen the previous images.
pub fn translate_through(
    filter: &ImagePipeline,
    input: &Path,
    output: &Path,
    format: PictureFormat,
    say: Say,
) -> Result<()> {
    let bytes = fs::read(input)?;
    let mut picture = read(&bytes, input, say)?;
    picture.pixels = filter.translate(&picture.pixels)?;
    let expected = (picture.pixels.width(), picture.pixels.height());
    let encoded = encode(picture, &bytes, format, say)?;
    save(output, &encoded, expected)
}

/// Writes an encoded image of this width and height.
fn save(output: &Path, encoded: &[u8], expected: (u32, u32)) -> Result<()> {
    fs::write(output, encoded).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => anyhow!(fault::NO_SPACE),
        _ => error.into(),
    })?;
    // Before it gets its final name, it must be readable.
    let written = ImageReader::open(output)?.with_guessed_format()?;
    let size = written.into_dimensions().context("the output cannot be opened")?;
    if size != expected {
        bail!("the output is {}×{} px", size.0, size.1);
    }
    Ok(())
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
fn read(bytes: &[u8], input: &Path, say: Say) -> Result<Picture> {
    if is_image(bytes) {
        return heif::read(bytes, say);
    }
    let reader = reader(bytes, input)?;
    let format = reader.format().context("is not an image, or too damaged to be recognised")?;
    if format == ImageFormat::Jpeg {
        jpeg::check(bytes, say)?;
    }
    if is_animated(Cursor::new(bytes), format).unwrap_or(false) {
        note(say, "is animated, but only its first frame is translated");
    }
    let is_tiff = format == ImageFormat::Tiff;
    let decoded = if is_tiff { tiff::decoded(bytes)? } else { None };
    let (mut pixels, orientation, mut metadata) = match decoded {
        Some(tiff::Decoded { pixels, orientation }) => {
            (pixels, orientation, Metadata::of_tiff(bytes, say))
        }
        None => {
            let damaged = |error| fault_of(error, bytes, format);
            let mut decoder = reader.into_decoder().map_err(damaged)?;
            let metadata = match is_tiff {
                true => Metadata::of_tiff(bytes, say),
                false => Metadata::of(&mut decoder).completed(bytes, format, say),
            };
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            (DynamicImage::from_decoder(decoder).map_err(damaged)?, orientation, metadata)
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
        note(say, "its floating-point colours become 16-bit");
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

fn is_lossless(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => false,
        ImageFormat::WebP => WebP::from_bytes(Bytes::copy_from_slice(bytes))
            .is_ok_and(|webp| webp.has_chunk(CHUNK_VP8L)),
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

/// Encodes `picture`, which was read from `bytes`, in this format, with all that it can hold of the file.
fn encode(mut picture: Picture, bytes: &[u8], format: PictureFormat, say: Say) -> Result<Bytes> {
    if format == PictureFormat::Jpeg {
        picture.metadata.fit_jpeg(say);
    }
    picture.pixels = fitting(picture.pixels, format, say);
    let encoded = encode_pixels(&picture, format, say)?;
    let mut ancillary = Ancillary::of(bytes, picture.format, format);
    ancillary.xmp = picture.metadata.xmp;
    note_all(say, ancillary.losses.drain(..));
    ancillary.insert(encoded, format)
}

/// The pixels as this format can hold them.
fn fitting(pixels: DynamicImage, format: PictureFormat, say: Say) -> DynamicImage {
    if format == PictureFormat::Png {
        return pixels;
    }
    let color = pixels.color();
    if color.bytes_per_pixel() > color.channel_count() {
        note(say, "its 16-bit colours become 8-bit");
    }
    let has_alpha = color.has_alpha() && pixels.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255);
    match format {
        PictureFormat::Jpeg => {
            if has_alpha {
                note(say, "its transparency is left out");
            }
            match pixels {
                DynamicImage::ImageLuma8(_) => pixels,
                other => other.into_rgb8().into(),
            }
        }
        _ if color.has_alpha() => pixels.into_rgba8().into(),
        _ => pixels.into_rgb8().into(),
    }
}

fn encode_pixels(picture: &Picture, format: PictureFormat, say: Say) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    match format {
        PictureFormat::Jpeg => {
            encode_with(JpegEncoder::new_with_quality(&mut file, QUALITY), picture, say)?;
        }
        PictureFormat::Png => {
            let encoder = PngEncoder::new_with_quality(
                &mut file,
                CompressionType::Default,
                FilterType::Adaptive,
            );
            encode_with(encoder, picture, say)?;
        }
        PictureFormat::Webp if picture.is_lossless => {
            encode_with(WebPEncoder::new_lossless(&mut file), picture, say)?;
        }
        PictureFormat::Webp => {
            let encoder = ImagePipeline::new(&format!("webpenc quality={QUALITY}"))?;
            let encoded = encoder.push(&picture.pixels)?;
            let encoded = encoded.buffer().context("no image")?.map_readable()?.to_vec();
            // `webpenc` writes no metadata, and the image crate no lossy WebP.
            let mut webp = WebP::from_bytes(encoded.into()).context("the encoder's WebP")?;
            let profile = picture.metadata.icc_for(picture.pixels.color(), say);
            webp.set_icc_profile(profile.map(Bytes::from));
            webp.set_exif(picture.metadata.exif.clone().map(Bytes::from));
            file = webp.encoder().bytes().into();
        }
    }
    Ok(file)
}

fn encode_with(mut encoder: impl ImageEncoder, picture: &Picture, say: Say) -> Result<()> {
    let pixels = &picture.pixels;
    if let Some(icc) = picture.metadata.icc_for(pixels.color(), say)
        && encoder.set_icc_profile(icc).is_err()
    {
        note(say, PROFILE_LOST);
    }
    if let Some(exif) = &picture.metadata.exif
        && encoder.set_exif_metadata(exif.clone()).is_err()
    {
        note(say, "its EXIF is left out");
    }
    Ok(pixels.write_with_encoder(encoder)?)
}
