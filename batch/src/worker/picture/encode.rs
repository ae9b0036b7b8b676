// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writes still images with all that their format can hold.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use image::{
    DynamicImage, ImageEncoder, ImageReader,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
};
use img_parts::{Bytes, ImageEXIF, ImageICC, webp::WebP};

use super::{
    ancillary::Ancillary,
    metadata::{EXIF_LOST, PROFILE_LOST},
    pixels::ImagePipeline,
    read::Picture,
};
use crate::{
    picture::PictureFormat,
    protocol::{Say, send_notice},
    worker::pipeline::fault,
};

/// Quality of JPEG and lossy WebP, of 100.
pub const QUALITY: u8 = 95;

/// Encodes `picture`, which was read from `bytes`, in this format, with all that it can hold of the file.
pub fn encode(
    mut picture: Picture,
    bytes: &[u8],
    format: PictureFormat,
    say: Say,
) -> Result<Bytes> {
    if format == PictureFormat::Jpeg {
        picture.metadata.fit_jpeg(say);
    }
    picture.pixels = fitting(picture.pixels, format, say);
    let encoded = encode_pixels(&picture, format, say)?;
    let ancillary = Ancillary::of(bytes, picture.format, format, say);
    ancillary.insert(picture.metadata.xmp, encoded, format)
}

/// The pixels as this format can hold them.
fn fitting(pixels: DynamicImage, format: PictureFormat, say: Say) -> DynamicImage {
    if format == PictureFormat::Png {
        return pixels;
    }
    let color = pixels.color();
    if color.bytes_per_pixel() > color.channel_count() {
        send_notice(say, "its 16-bit colours become 8-bit");
    }
    let has_alpha = color.has_alpha() && pixels.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255);
    match format {
        PictureFormat::Jpeg => {
            if has_alpha {
                send_notice(say, "its transparency is left out");
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

pub fn encode_pixels(picture: &Picture, format: PictureFormat, say: Say) -> Result<Vec<u8>> {
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
        send_notice(say, PROFILE_LOST);
    }
    if let Some(exif) = &picture.metadata.exif
        && encoder.set_exif_metadata(exif.clone()).is_err()
    {
        send_notice(say, EXIF_LOST);
    }
    Ok(pixels.write_with_encoder(encoder)?)
}

/// Writes an encoded image of this width and height.
pub fn save(output: &Path, encoded: &[u8], expected: (u32, u32)) -> Result<()> {
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
