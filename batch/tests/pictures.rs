// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures keep what they are: size, depth, transparency, what cameras write into them.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{fs, path::Path};

use common::Place;
use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageReader, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};

/// EXIF with nothing but an orientation: turned by a quarter, clockwise.
const TURNED: [u8; 26] =
    [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];

/// 96×64: red on the left, blue on the right.
fn flag() -> RgbImage {
    RgbImage::from_fn(96, 64, |x, _| Rgb(if x < 48 { [255, 0, 0] } else { [0, 0, 255] }))
}

fn open(path: &Path) -> (DynamicImage, Option<Vec<u8>>, Option<Vec<u8>>) {
    let reader = ImageReader::open(path).unwrap().with_guessed_format().unwrap();
    let mut decoder = reader.into_decoder().unwrap();
    let (icc, exif) = (decoder.icc_profile().unwrap(), decoder.exif_metadata().unwrap());
    (DynamicImage::from_decoder(decoder).unwrap(), icc, exif)
}

#[test]
fn pictures_keep_what_they_are() {
    let place = Place::unchanged();
    let input = |name: &str| place.path("in").join(name);
    let profile = b"a profile".to_vec();

    let mut turned =
        JpegEncoder::new_with_quality(fs::File::create(input("turned.jpg")).unwrap(), 95);
    turned.set_exif_metadata(TURNED.to_vec()).unwrap();
    turned.set_icc_profile(profile.clone()).unwrap();
    flag().write_with_encoder(turned).unwrap();
    let mut turned = PngEncoder::new(fs::File::create(input("turned.png")).unwrap());
    turned.set_exif_metadata(TURNED.to_vec()).unwrap();
    flag().write_with_encoder(turned).unwrap();
    let mut turned = WebPEncoder::new_lossless(fs::File::create(input("turned.webp")).unwrap());
    turned.set_exif_metadata(TURNED.to_vec()).unwrap();
    flag().write_with_encoder(turned).unwrap();

    RgbaImage::from_pixel(96, 64, Rgba([255, 0, 0, 40])).save(input("alpha.webp")).unwrap();
    let grey = image::ImageBuffer::from_pixel(96, 64, Rgb([16448_u16; 3]));
    DynamicImage::ImageRgb16(grey).save(input("deep.png")).unwrap();
    image::GrayImage::from_pixel(96, 64, image::Luma([77])).save(input("grey.jpg")).unwrap();
    // More than the 4096 bytes that a decoder without a parser sees.
    flag().save(input("large.bmp")).unwrap();
    flag().save(input("large2.tiff")).unwrap();
    flag().save(input("large3.tga")).unwrap();
    flag().save(input("large4.ppm")).unwrap();

    let said = place.run(&["in"]);
    assert!(said.contains("10 translated") && !said.contains("note:"), "{said}");
    for name in ["turned.jpg", "turned.png", "turned.webp"] {
        let (picture, icc, exif) = open(&place.out(name));
        assert_eq!((picture.width(), picture.height()), (64, 96), "{name}");
        // It stands upright: a viewer shall not turn it again.
        let orientation = exif.expect(name);
        assert!(!orientation.windows(2).any(|bytes| bytes == [0, 6]), "{name} {orientation:?}");
        let top = picture.to_rgb8().get_pixel(20, 20).0;
        assert!(top[0] > 240 && top[2] < 15, "{name} {top:?}");
        assert_eq!(icc.is_some(), name == "turned.jpg", "{name}");
    }
    assert_eq!(open(&place.out("turned.jpg")).1.unwrap(), profile);
    assert_eq!(open(&place.out("alpha.webp")).0.to_rgba8().get_pixel(9, 9).0, [255, 0, 0, 40]);
    let deep = open(&place.out("deep.png")).0;
    assert!(deep.color().bytes_per_pixel() == 6, "{:?}", deep.color());
    assert!(deep.to_rgb16().get_pixel(9, 9).0[0].abs_diff(16448) < 16);
    assert_eq!(open(&place.out("grey.jpg")).0.color(), image::ColorType::L8);
    for name in ["large.png", "large2.png", "large3.png", "large4.png"] {
        assert_eq!(open(&place.out(name)).0.to_rgb8(), flag(), "{name}");
    }
}
