// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVIF and HEIF images (ISO/IEC 23008-12), decoded by GdkPixbuf with the loader of libheif.

use std::sync::mpsc;

use anyhow::{Context, Result, anyhow};
use gdk_pixbuf::{Pixbuf, PixbufError, PixbufLoader, glib, prelude::PixbufLoaderExt};
use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};

use super::{
    metadata::{EXIF_LOST, Metadata, XMP_LOST},
    read::Picture,
};
use crate::{
    picture::LACKS_HEIF,
    protocol::{Say, send_notice},
    worker::containers::isobmff::image::{HeifImage, Unreadable},
};

/// The image in `bytes`. libheif applies the file's rotation; that of EXIF does not count (section 6.5.10).
pub fn read(bytes: &[u8], say: Say) -> Result<Picture> {
    let decoded = decode(bytes)?;
    let image = HeifImage::read(bytes);
    let mut readable = |found: Result<_, Unreadable>, loss| {
        found.unwrap_or_else(|Unreadable| {
            send_notice(say, loss);
            None
        })
    };
    let mut metadata = Metadata {
        icc: decoded.option("icc-profile").map(|profile| glib::base64_decode(&profile)),
        exif: readable(image.exif, EXIF_LOST),
        xmp: readable(image.xmp, XMP_LOST),
    };
    metadata.make_upright(image.is_turned, say);
    Ok(Picture {
        pixels: pixels(&decoded).context("GdkPixbuf returned too few pixels")?,
        metadata,
        is_lossless: false,
        format: ImageFormat::Avif,
    })
}

fn decode(bytes: &[u8]) -> Result<Pixbuf> {
    // libheif's loader prints why it fails, and has no other error.
    let (printed, causes) = mpsc::channel();
    let handler = glib::log_set_handler(
        None,
        glib::LogLevels::LEVEL_WARNING,
        false,
        false,
        move |_, _, cause| drop(printed.send(cause.to_owned())),
    );
    let loader = PixbufLoader::new();
    let written = loader.write(bytes);
    // It must be closed in any case, and decodes only then.
    let closed = loader.close();
    glib::log_remove_handler(None, handler);
    written.and(closed).map_err(|error| match error.kind() {
        Some(PixbufError::UnknownType) => anyhow!("cannot be decoded: {LACKS_HEIF}"),
        _ => anyhow!("is damaged: {}", error.message()),
    })?;
    loader.pixbuf().with_context(|| match causes.try_recv() {
        // A codec that libheif knows, but was built without.
        Ok(cause) if cause.starts_with("Unsupported") || cause.contains("plugin") => {
            format!("cannot be decoded: libheif has no decoder for it: {cause}")
        }
        Ok(cause) => format!("is damaged: {cause}"),
        Err(_) => "is damaged".to_owned(),
    })
}

fn pixels(decoded: &Pixbuf) -> Option<DynamicImage> {
    let (width, height) = (decoded.width() as u32, decoded.height() as u32);
    let row = decoded.n_channels() as usize * width as usize;
    let padded = decoded.read_pixel_bytes();
    let rows = padded.chunks(decoded.rowstride() as usize).map(|padded| &padded[..row]);
    let samples = rows.collect::<Vec<_>>().concat();
    match decoded.has_alpha() {
        true => RgbaImage::from_raw(width, height, samples).map(Into::into),
        false => RgbImage::from_raw(width, height, samples).map(Into::into),
    }
}
