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

/// `png` with more chunks after its header; the decoder checks no sums of those that it does not know.
fn with_chunks(png: &[u8], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let chunk = |(name, data): &(&[u8; 4], &[u8])| {
        [&(data.len() as u32).to_be_bytes()[..], *name, data, &crc32(&[&name[..], data].concat())]
            .concat()
    };
    [&png[..33], &chunks.iter().flat_map(chunk).collect::<Vec<_>>(), &png[33..]].concat()
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
    let add = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    (!bytes.iter().fold(!0, add)).to_be_bytes()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn resolution_colours_and_text_are_kept_or_noted() {
    let place = Place::unchanged();
    let input = |name: &str| place.path("in").join(name);
    flag().save(input("plain.png")).unwrap();
    let plain = fs::read(input("plain.png")).unwrap();
    let resolution = [0, 0, 0x2E, 0x23, 0, 0, 0x2E, 0x23, 1];
    let linear = 100_000_u32.to_be_bytes();
    let kept: &[(&[u8; 4], &[u8])] =
        &[(b"gAMA", &linear), (b"pHYs", &resolution), (b"tEXt", b"Comment\0a flag")];
    let chunks = with_chunks(&plain, kept);
    fs::write(input("kept.png"), &chunks).unwrap();
    fs::write(input("named.jpg"), &chunks).unwrap();
    fs::write(input("other.png"), with_chunks(&plain, &[(b"vpAg", &[0; 9])])).unwrap();

    flag().save(input("plain.jpg")).unwrap();
    let mut jpeg = fs::read(input("plain.jpg")).unwrap();
    jpeg[13..18].copy_from_slice(&[1, 1, 44, 1, 44]);
    let segments: [&[u8]; 2] = [b"\xFF\xFE\x00\x08a flag", b"\xFF\xE2\x00\x08MPF\0\0\0"];
    jpeg.splice(20..20, segments.concat());
    fs::write(input("kept.jpg"), &jpeg).unwrap();
    flag().save(input("dense.bmp")).unwrap();
    let mut bitmap = fs::read(input("dense.bmp")).unwrap();
    bitmap[38..46].copy_from_slice(&[0x23, 0x2E, 0, 0, 0x23, 0x2E, 0, 0]);
    fs::write(input("dense.bmp"), bitmap).unwrap();

    let said = place.run(&["in"]);
    let png = fs::read(place.out("kept.png")).unwrap();
    for (name, data) in kept {
        assert!(contains(&png, &[&name[..], data].concat()), "{said}");
    }
    let dense = fs::read(place.out("dense.png")).unwrap();
    assert!(contains(&dense, &[b"pHYs", &resolution[..]].concat()), "{said}");
    assert_eq!(open(&place.out("dense.png")).0.to_rgb8(), flag());
    let jpeg = fs::read(place.out("kept.jpg")).unwrap();
    assert_eq!(jpeg[13..18], [1, 1, 44, 1, 44]);
    assert!(contains(&jpeg, segments[0]) && !contains(&jpeg, b"MPF\0"), "{said}");
    for note in [
        "in/kept.jpg: other pictures in the same file, such as a gain map, are left out",
        "in/named.jpg: its PNG chunk pHYs is left out",
        "in/other.png: its PNG chunk vpAg is left out",
    ] {
        assert!(said.contains(note), "{note}\n{said}");
    }
    assert!(!said.contains("note: in/kept.png") && !said.contains("note: in/dense"), "{said}");
}
