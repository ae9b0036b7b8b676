// SPDX-License-Identifier: MIT OR Apache-2.0

//! Still images, read and written with their EXIF and colour profile.

mod ancillary;
pub mod animation;
mod encode;
mod exif;
mod heif;
mod jpeg;
mod metadata;
mod photoshop;
pub mod pixels;
mod png;
mod read;
mod tiff;
mod xmp;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use image::ImageReader;

use self::{
    encode::{encode, save},
    pixels::ImagePipeline,
    read::read,
};
use crate::{
    picture::PictureFormat,
    protocol::{Say, Setup},
};

pub use self::{
    encode::QUALITY,
    read::{is_picture, open},
};

/// Translates the image `input` into `output`, and returns its number of frames; in a dry run it only reports what the
/// output would lack.
pub fn translate(
    setup: &Setup,
    input: &Path,
    output: &Path,
    format: PictureFormat,
    say: Say,
) -> Result<u64> {
    // What fails here fails below too, with its cause.
    if let Some(animation) = animation::encode::format(input, format).unwrap_or(None) {
        return animation::encode::translate(setup, (input, animation), (output, format), say);
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
