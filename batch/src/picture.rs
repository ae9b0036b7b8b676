// SPDX-License-Identifier: MIT OR Apache-2.0

//! The image formats that can be written, which images are animated, and what not every system can decode.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek},
    path::{Path, PathBuf},
};

use gdk_pixbuf::Pixbuf;
use image::{
    AnimationDecoder, ColorType, ImageDecoder, ImageFormat, ImageReader, ImageResult,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
};
use serde::{Deserialize, Serialize};

use crate::container::extension;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureFormat {
    Jpeg,
    /// PNG, also for BMP, TIFF, TGA, PNM, AVIF, HEIF and a GIF of one frame.
    Png,
    Webp,
}

impl PictureFormat {
    /// The output format for an image of this name; `None` if it is not an image.
    pub fn of_name(path: &Path) -> Option<Self> {
        match extension(path).as_str() {
            "jpg" | "jpeg" | "jpe" | "jfif" => Some(Self::Jpeg),
            "png" | "bmp" | "dib" | "tif" | "tiff" | "tga" | "pnm" | "ppm" | "pgm" | "pbm"
            | "pam" | "gif" | "avif" | "heic" | "heif" | "hif" => Some(Self::Png),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }

    /// The output format for this file; `None` if it is not an image, or an animated one that becomes a video: a GIF, as
    /// its palette cannot hold the result, and any if `keeps_animations` is false.
    pub fn of_file(file: &Path, keeps_animations: bool) -> Option<Self> {
        let format = Self::of_name(file)?;
        let is_kept = keeps_animations && format.is_named(file) && format.can_be_animated();
        (is_kept || !is_animation(file)).then_some(format)
    }

    pub fn can_be_animated(self) -> bool {
        self != Self::Jpeg
    }

    /// Whether an image of this format may have this name.
    pub fn is_named(self, path: &Path) -> bool {
        Self::of_name(path) == Some(self) && self.rename(path) == *path
    }

    pub fn rename(self, path: &Path) -> PathBuf {
        match self {
            Self::Png if extension(path) != "png" => path.with_extension("png"),
            _ => path.to_owned(),
        }
    }
}

/// Why AVIF and HEIF images cannot be decoded on some systems.
pub const LACKS_HEIF: &str =
    "AVIF and HEIF images need a loader of GdkPixbuf (Debian's package heif-gdk-pixbuf)";

/// Whether an image of this name may be decoded on this system.
pub fn has_loader(path: &Path) -> bool {
    let kind = match extension(path).as_str() {
        "avif" => "image/avif",
        "heic" | "heif" | "hif" => "image/heif",
        _ => return true,
    };
    Pixbuf::formats().iter().any(|format| format.mime_types().iter().any(|name| name == kind))
}

pub fn open(image: &Path) -> io::Result<BufReader<File>> {
    File::open(image).map(BufReader::new)
}

/// The colours of an animated PNG or WebP; `None` for other images.
pub fn animated_color(
    image: impl BufRead + Seek,
    format: ImageFormat,
) -> ImageResult<Option<ColorType>> {
    Ok(match format {
        ImageFormat::Png => {
            let png = PngDecoder::new(image)?;
            png.is_apng()?.then(|| png.color_type())
        }
        ImageFormat::WebP => {
            let webp = WebPDecoder::new(image)?;
            webp.has_animation().then(|| webp.color_type())
        }
        _ => None,
    })
}

/// Whether an image has several frames.
pub fn is_animated(image: impl BufRead + Seek, format: ImageFormat) -> ImageResult<bool> {
    Ok(match format {
        ImageFormat::Gif => {
            GifDecoder::new(image)?.into_frames().take(2).filter(Result::is_ok).count() == 2
        }
        _ => animated_color(image, format)?.is_some(),
    })
}

/// The format of an animation that can be decoded; `None` for other files.
pub fn animation_format(file: &Path) -> ImageResult<Option<ImageFormat>> {
    let format = ImageReader::open(file)?.with_guessed_format()?.format();
    let is_animated = match format {
        Some(ImageFormat::Gif) => true,
        // The image crate decodes frames of 8 bits only.
        Some(format) => animated_color(open(file)?, format)?
            .is_some_and(|color| color.bytes_per_pixel() == color.channel_count()),
        None => false,
    };
    Ok(format.filter(|_| is_animated))
}

/// Whether a file has several frames that can be decoded. Does not read a pipe, which may block forever.
fn is_animation(file: &Path) -> bool {
    let has_frames =
        |format| open(file).is_ok_and(|file| is_animated(file, format).unwrap_or(false));
    file.is_file() && animation_format(file).is_ok_and(|format| format.is_some_and(has_frames))
}
