// SPDX-License-Identifier: MIT OR Apache-2.0

//! What phones and photo libraries put into the files of images, and outputs of another format.

use std::fs;

use image::{
    DynamicImage, ImageBuffer, ImageEncoder, Rgb, Rgba, RgbaImage, codecs::png::PngEncoder,
};

use crate::{
    common::{Place, contains, edit, text},
    pictures::{TURNED, flag, open, with_chunks},
};

pub const XMP: &[u8] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>4 stars</x:xmpmeta>";

/// The `iTXt` chunk of XMP.
fn chunk_of(xmp: &[u8]) -> Vec<u8> {
    [b"XML:com.adobe.xmp\0\0\0\0\0", xmp].concat()
}

#[test]
fn a_video_in_the_same_file_is_noted() {
    let place = Place::unchanged();
    let photograph = place.path("in/motion.jpg");
    flag().save(&photograph).unwrap();
    edit(&photograph, |bytes| {
        bytes.extend(b"\0\0\0\x18ftypmp42 a video with \xFF\xD9 and \xFF\xDA in it")
    });
    let said = place.run(&["in"]);
    assert!(said.contains("note: in/motion.jpg: the video in the same file is left out"), "{said}");
    assert_eq!(said.matches("note:").count(), 1, "{said}");
}

/// ExifTool and ImageMagick have written metadata there.
#[test]
fn metadata_after_the_pixels_are_kept() {
    let place = Place::unchanged();
    flag().save(place.path("plain.png")).unwrap();
    let plain = fs::read(place.path("plain.png")).unwrap();
    let chunks: [(&[u8; 4], &[u8]); 2] = [(b"iTXt", &chunk_of(XMP)), (b"eXIf", &TURNED)];
    // Encoded as chunks after the header, and moved behind the pixels.
    let early = with_chunks(&plain, &chunks);
    let moved = &early[33..early.len() - (plain.len() - 33)];
    let end = plain.len() - 12;
    let late = [&plain[..end], moved, &plain[end..]].concat();
    fs::write(place.path("in/late.png"), late).unwrap();
    let said = place.run(&["in"]);
    assert!(!said.contains("note:"), "{said}");
    let (picture, _, exif) = open(&place.out("late.png"));
    assert_eq!((picture.width(), picture.height()), (64, 96));
    assert!(exif.is_some());
    assert!(contains(&fs::read(place.out("late.png")).unwrap(), XMP));
}

#[test]
fn what_a_jpeg_cannot_hold_is_noted() {
    let place = Place::unchanged();
    RgbaImage::from_pixel(96, 64, Rgba([200, 30, 30, 40])).save(place.input("clear.png")).unwrap();
    RgbaImage::from_pixel(96, 64, Rgba([200, 30, 30, 255]))
        .save(place.input("opaque.png"))
        .unwrap();
    let deep = ImageBuffer::from_pixel(96, 64, Rgb([16448_u16; 3]));
    DynamicImage::ImageRgb16(deep).save(place.input("deep.png")).unwrap();
    let mut described = Vec::new();
    let mut encoder = PngEncoder::new(&mut described);
    encoder.set_exif_metadata([&TURNED[..], &[0; 70_000]].concat()).unwrap();
    flag().write_with_encoder(encoder).unwrap();
    let history = [XMP, &[b' '; 70_000]].concat();
    described = with_chunks(&described, &[(b"iTXt", &chunk_of(&history))]);
    fs::write(place.input("described.png"), described).unwrap();
    flag().save(place.input("dense.bmp")).unwrap();
    edit(&place.input("dense.bmp"), |bitmap| {
        bitmap[38..46].copy_from_slice(&[0x23, 0x2E, 0, 0, 0x23, 0x2E, 0, 0])
    });
    for (name, notes) in [
        ("clear.png", &["its transparency is left out"][..]),
        ("opaque.png", &[]),
        ("deep.png", &["its 16-bit colours become 8-bit"]),
        ("described.png", &["its EXIF is left out", "its XMP metadata is left out"]),
        ("dense.bmp", &[]),
    ] {
        let output = place.path(name).with_extension("jpg");
        let mut program = place.program();
        let ran = program.arg(place.input(name)).arg("--out").arg(&output).arg("--verify").output();
        let said = text(&ran.unwrap());
        assert!(said.contains("1 translated"), "{name}: {said}");
        assert!(notes.iter().all(|note| said.contains(note)), "{name}: {said}");
        assert_eq!(said.matches("note:").count(), notes.len(), "{name}: {said}");
        open(&output);
        // 300 dots per inch.
        let is_dense = fs::read(&output).unwrap()[13..18] == [1, 1, 44, 1, 44];
        assert_eq!(is_dense, name == "dense.bmp", "{name}");
    }
}

#[test]
fn a_dry_run_names_what_images_would_lose() {
    let place = Place::unchanged();
    flag().save(place.path("in/a.jpg")).unwrap();
    flag().save(place.path("in/b.png")).unwrap();
    edit(&place.path("in/b.png"), |bytes| bytes.truncate(bytes.len() - 40));
    flag().save(place.path("in/c.png")).unwrap();
    edit(&place.path("in/c.png"), |png| *png = with_chunks(png, &[(b"vpAg", &[0; 9])]));
    let said = place.said(&["in", "--dry-run"]);
    assert!(
        said.contains("note: in/c.png: its application chunk vpAg (PNG) is left out"),
        "{said}"
    );
    assert!(said.contains("error: in/b.png: is damaged: "), "{said}");
    assert!(!said.contains("in/a.jpg: is") && !place.path("out").exists(), "{said}");
}
