// SPDX-License-Identifier: MIT OR Apache-2.0

//! Decodes image files.

use std::{
    io::BufReader,
    path::{Path, PathBuf},
};

use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage};

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
    let file = std::fs::File::open(path).map_err(|e| error(&e))?;
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format();
    let decoder = reader.map_err(|e| error(&e))?.into_decoder();
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
    fn the_error_names_a_corrupt_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.jpg");
        std::fs::write(&path, &jpeg(1)[..40]).unwrap();
        let error = rgb(&path).unwrap_err().to_string();
        assert!(error.contains("cut.jpg"), "{error}");
    }
}
