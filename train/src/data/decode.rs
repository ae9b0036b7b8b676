// SPDX-License-Identifier: MIT OR Apache-2.0

//! Decodes image files.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use super::jpeg;

/// An image that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}", path = path.display())]
pub struct DecodeError {
    /// The file.
    pub path: PathBuf,
    /// The problem.
    pub problem: String,
}

/// Reads an image as RGB: applies the EXIF orientation, converts greyscale to three channels and drops
/// alpha.
pub fn rgb(path: &Path) -> Result<RgbImage, DecodeError> {
    Ok(decode(path)?.into_rgb8())
}

/// Reads a mask: 0 is outside, 255 inside.
pub fn mask(path: &Path) -> Result<GrayImage, DecodeError> {
    Ok(decode(path)?.into_luma8())
}

fn decode(path: &Path) -> Result<DynamicImage, DecodeError> {
    let error =
        |e: &dyn std::fmt::Display| DecodeError { path: path.to_owned(), problem: e.to_string() };
    let is_file = std::fs::metadata(path).map_err(|e| error(&e))?.is_file();
    if !is_file {
        return Err(error(&"not a file"));
    }
    let bytes = std::fs::read(path).map_err(|e| error(&e))?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format();
    let reader = reader.map_err(|e| error(&e))?;
    // The decoder fills the rest with grey.
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_complete(&bytes) {
        return Err(error(&"truncated"));
    }
    let decoder = reader.into_decoder();
    let mut decoder = decoder.map_err(|e| error(&e))?;
    let orientation = decoder.orientation().map_err(|e| error(&e))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| error(&e))?;
    image.apply_orientation(orientation);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG of 2×1 pixels, black then white, with an EXIF block that says `orientation`.
    fn jpeg(orientation: u8) -> Vec<u8> {
        let picture = RgbImage::from_fn(16, 8, |x, _| image::Rgb([if x < 8 { 0 } else { 255 }; 3]));
        let mut plain = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut plain);
        picture.write_with_encoder(encoder).unwrap();
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat()
    }

    #[test]
    fn exif_orientation_is_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.jpg");
        std::fs::write(&path, jpeg(6)).unwrap();
        let turned = rgb(&path).unwrap();
        assert_eq!(turned.dimensions(), (8, 16));
        assert!(turned.get_pixel(4, 2).0[0] < 30 && turned.get_pixel(4, 13).0[0] > 225);
    }

    #[test]
    fn greyscale_and_transparent_images_become_rgb() {
        let folder = tempfile::tempdir().unwrap();
        let grey = folder.path().join("grey.png");
        GrayImage::from_pixel(2, 2, image::Luma([77])).save(&grey).unwrap();
        assert_eq!(rgb(&grey).unwrap().get_pixel(0, 0).0, [77; 3]);
        let clear = folder.path().join("clear.png");
        let pixel = image::Rgba([1, 2, 3, 0]);
        image::RgbaImage::from_pixel(2, 2, pixel).save(&clear).unwrap();
        assert_eq!(rgb(&clear).unwrap().get_pixel(1, 1).0, [1, 2, 3]);
    }

    #[test]
    fn a_truncated_image_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let picture = RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 3, y as u8 * 5, 77]));
        for name in ["x.jpg", "x.png", "x.webp", "x.bmp", "x.tiff"] {
            let path = folder.path().join(name);
            picture.save(&path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for percent in [5, 40, 60, 80] {
                std::fs::write(&path, &whole[..whole.len() * percent / 100]).unwrap();
                let error = rgb(&path).map(|_| ()).expect_err(name).to_string();
                assert!(error.contains(name), "{percent} %: {error}");
            }
        }
    }

    /// A thumbnail in the metadata has an end of its own; some programs add bytes after the end.
    #[test]
    fn the_end_of_a_jpeg_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jpg");
        let plain = jpeg(1);
        let comment = [0xff, 0xfe, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let commented = [&plain[..2], &comment, &plain[2..]].concat();
        std::fs::write(&path, &commented[..commented.len() - 2]).unwrap();
        let error = rgb(&path).unwrap_err().to_string();
        assert!(error.contains("x.jpg: truncated"), "{error}");
        std::fs::write(&path, [&commented[..], b"\0\xff\0trailer"].concat()).unwrap();
        rgb(&path).unwrap();
    }

    #[test]
    fn the_error_names_a_corrupt_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.jpg");
        std::fs::write(&path, &jpeg(1)[..40]).unwrap();
        let error = rgb(&path).unwrap_err().to_string();
        assert!(error.contains("cut.jpg"), "{error}");
    }
}
