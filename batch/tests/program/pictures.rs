// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures keep size, bit depth, alpha and the metadata of cameras.

use std::{fs, io::BufReader, path::Path};

use image::{
    AnimationDecoder, DynamicImage, Frame, ImageDecoder, ImageEncoder, ImageReader, Rgb, RgbImage,
    Rgba, RgbaImage,
    codecs::{
        jpeg::JpegEncoder,
        png::{PngDecoder, PngEncoder},
        webp::{WebPDecoder, WebPEncoder},
    },
    metadata::LoopCount,
};
use img_parts::{
    Bytes, ImageEXIF,
    jpeg::{Jpeg, JpegSegment, markers},
    png::{Png, PngChunk},
    riff::{RiffChunk, RiffContent},
    webp::{CHUNK_XMP, WebP},
};

use crate::common::{self, Place, contains, edit, ffmpeg::make, find};

/// EXIF with nothing but an orientation: turned by a quarter, clockwise.
pub const TURNED: [u8; 26] =
    [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];

/// 96×64: red on the left, blue on the right.
pub fn flag() -> RgbImage {
    RgbImage::from_fn(96, 64, |x, _| Rgb(if x < 48 { [255, 0, 0] } else { [0, 0, 255] }))
}

pub fn open(path: &Path) -> (DynamicImage, Option<Vec<u8>>, Option<Vec<u8>>) {
    let reader = ImageReader::open(path).unwrap().with_guessed_format().unwrap();
    let mut decoder = reader.into_decoder().unwrap();
    let (icc, exif) = (decoder.icc_profile().unwrap(), decoder.exif_metadata().unwrap());
    (DynamicImage::from_decoder(decoder).unwrap(), icc, exif)
}

#[test]
fn pictures_keep_what_they_are() {
    let place = Place::unchanged();
    let profile = b"a profile".to_vec();

    let mut turned =
        JpegEncoder::new_with_quality(fs::File::create(place.input("turned.jpg")).unwrap(), 95);
    turned.set_exif_metadata(TURNED.to_vec()).unwrap();
    turned.set_icc_profile(profile.clone()).unwrap();
    flag().write_with_encoder(turned).unwrap();
    let mut turned = PngEncoder::new(fs::File::create(place.input("turned.png")).unwrap());
    turned.set_exif_metadata(TURNED.to_vec()).unwrap();
    flag().write_with_encoder(turned).unwrap();
    let mut turned =
        WebPEncoder::new_lossless(fs::File::create(place.input("turned.webp")).unwrap());
    turned.set_exif_metadata(TURNED.to_vec()).unwrap();
    flag().write_with_encoder(turned).unwrap();

    RgbaImage::from_pixel(96, 64, Rgba([255, 0, 0, 40])).save(place.input("alpha.webp")).unwrap();
    let grey = image::ImageBuffer::from_pixel(96, 64, Rgb([16448_u16; 3]));
    DynamicImage::ImageRgb16(grey).save(place.input("deep.png")).unwrap();
    image::GrayImage::from_pixel(96, 64, image::Luma([77])).save(place.input("grey.jpg")).unwrap();
    // More than the 4096 bytes that a decoder without a parser sees.
    flag().save(place.input("large.bmp")).unwrap();
    flag().save(place.input("large2.tiff")).unwrap();
    flag().save(place.input("large3.tga")).unwrap();
    flag().save(place.input("large4.ppm")).unwrap();

    let said = place.run(&["in"]);
    assert!(said.contains("10 translated") && !said.contains("note:"), "{said}");
    for name in ["turned.jpg", "turned.png", "turned.webp"] {
        let (picture, icc, exif) = open(&place.out(name));
        assert_eq!((picture.width(), picture.height()), (64, 96), "{name}");
        // It is upright, so a viewer must not rotate it again.
        let orientation = exif.expect(name);
        assert!(!contains(&orientation, &[0, 6]), "{name} {orientation:?}");
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

#[test]
fn animated_images_stay_animated() {
    let Some(place) = Place::of_ffmpeg("animated images") else { return };
    let source = "-f lavfi -i testsrc2=size=96x64:rate=10:duration=0.8";
    make(&place.path("in/lossy.webp"), &format!("{source} -c:v libwebp_anim -quality 95 -loop 3"));
    make(&place.path("in/lossless.webp"), &format!("{source} -c:v libwebp_anim -lossless 1"));
    make(
        &place.path("in/half.png"),
        &format!("{source} -vf format=rgba,colorchannelmixer=aa=0.5 -f apng -plays 2"),
    );
    let said = place.run(&["in", "--verify"]);
    assert!(!said.contains("note: "), "{said}");
    let names = [("lossy.webp", 3, 6.0), ("lossless.webp", 1, 0.0), ("half.png", 2, 0.0)];
    for (name, plays, difference) in names {
        let (input, output) = (frames(&place.input(name)), frames(&place.out(name)));
        assert_eq!((input.0, output.0), (plays, plays), "{name}");
        assert_eq!((input.1.len(), output.1.len()), (8, 8), "{name}");
        for (input, output) in input.1.iter().zip(&output.1) {
            assert_eq!(input.delay().numer_denom_ms(), output.delay().numer_denom_ms(), "{name}");
            let pairs = input.buffer().iter().zip(output.buffer().iter());
            let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
            let mean = sum / input.buffer().len() as f64;
            assert!(mean <= difference, "{name}: {mean}");
        }
    }
    // Only a video has a container.
    place.run(&["in", "--out", "videos", "--container", "mkv"]);
    for name in ["lossy.mkv", "lossless.mkv", "half.mkv"] {
        assert!(place.path("videos").join(name).is_file(), "{name}");
    }
}

/// How often an animated image is played, and its frames.
fn frames(path: &Path) -> (u32, Vec<Frame>) {
    fn read<'a>(decoder: impl AnimationDecoder<'a>) -> (u32, Vec<Frame>) {
        let LoopCount::Finite(plays) = decoder.loop_count() else { panic!("it plays forever") };
        (plays.get(), decoder.into_frames().collect_frames().unwrap())
    }
    let file = BufReader::new(fs::File::open(path).unwrap());
    match path.extension().unwrap() == "png" {
        true => read(PngDecoder::new(file).unwrap().apng().unwrap()),
        false => read(WebPDecoder::new(file).unwrap()),
    }
}

/// Cameras write a thumbnail, which is not translated, and width and height before rotation.
#[test]
fn exif_shows_the_image_as_it_is_now() {
    let place = Place::unchanged();
    for (order, name) in [(b"II", "little"), (b"MM", "big")] {
        let bytes = |number: usize, size: usize| {
            let mut bytes = number.to_be_bytes()[8 - size..].to_vec();
            if order == b"II" {
                bytes.reverse();
            }
            bytes
        };
        let entry = |tag: usize, value: usize| {
            [bytes(tag, 2), bytes(4, 2), bytes(1, 4), bytes(value, 4)].concat()
        };
        let turned = [bytes(0x112, 2), bytes(3, 2), bytes(1, 4), bytes(6, 2), bytes(0, 2)].concat();
        let directories = [
            [&order[..], &bytes(42, 2), &bytes(8, 4)].concat(),
            [bytes(3, 2), turned, entry(0x8769, 80), entry(0x9205, 77), bytes(50, 4)].concat(),
            [bytes(2, 2), entry(0x201, 110), entry(0x202, 9), bytes(0, 4)].concat(),
            [bytes(2, 2), entry(0xA002, 96), entry(0xA003, 64), bytes(0, 4)].concat(),
            b"a picture, and more".to_vec(),
        ];
        let exif = directories.concat();
        let file = |extension: &str| {
            fs::File::create(place.input(name).with_extension(extension)).unwrap()
        };
        let mut jpeg = JpegEncoder::new_with_quality(file("jpg"), 95);
        jpeg.set_exif_metadata(exif.clone()).unwrap();
        flag().write_with_encoder(jpeg).unwrap();
        let mut webp = WebPEncoder::new_lossless(file("webp"));
        webp.set_exif_metadata([b"Exif\0\0", &exif[..]].concat()).unwrap();
        flag().write_with_encoder(webp).unwrap();
    }
    let said = place.run(&["in"]);
    for name in ["little.jpg", "little.webp", "big.jpg", "big.webp"] {
        let (picture, _, exif) = open(&place.out(name));
        let exif = exif.unwrap();
        assert!(!contains(&exif, b"a picture") && contains(&exif, b", and more"), "{name}");
        // Rotated by 90°.
        assert_eq!((picture.width(), picture.height()), (64, 96), "{name}");
        let sides: &[&[u8]] = match name.starts_with("big") {
            true => &[b"\xA0\x02\0\x04\0\0\0\x01\0\0\0\x40", b"\xA0\x03\0\x04\0\0\0\x01\0\0\0\x60"],
            false => {
                &[b"\x02\xA0\x04\0\x01\0\0\0\x40\0\0\0", b"\x03\xA0\x04\0\x01\0\0\0\x60\0\0\0"]
            }
        };
        assert!(sides.iter().all(|side| contains(&exif, side)), "{name}: {exif:?}");
        assert!(said.contains(&format!("in/{name}: its thumbnail is left out")), "{said}");
    }
}

/// `png` with more chunks after its header. The decoder does not check the checksums of unknown chunks.
pub fn with_chunks(png: &[u8], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let chunk = |(name, data): &(&[u8; 4], &[u8])| {
        PngChunk::new(**name, data.to_vec().into()).encoder().bytes()
    };
    [&png[..33], &chunks.iter().flat_map(chunk).collect::<Vec<_>>(), &png[33..]].concat()
}

#[test]
fn resolution_colours_and_text_are_kept_or_noted() {
    let place = Place::unchanged();
    flag().save(place.input("plain.png")).unwrap();
    let plain = fs::read(place.input("plain.png")).unwrap();
    let resolution = [0, 0, 0x2E, 0x23, 0, 0, 0x2E, 0x23, 1];
    let linear = 100_000_u32.to_be_bytes();
    let kept: &[(&[u8; 4], &[u8])] =
        &[(b"gAMA", &linear), (b"pHYs", &resolution), (b"tEXt", b"Comment\0a flag")];
    let chunks = with_chunks(&plain, kept);
    fs::write(place.input("kept.png"), &chunks).unwrap();
    fs::write(place.input("named.jpg"), &chunks).unwrap();
    fs::write(place.input("other.png"), with_chunks(&plain, &[(b"vpAg", &[0; 9])])).unwrap();

    flag().save(place.input("plain.jpg")).unwrap();
    let mut jpeg = fs::read(place.input("plain.jpg")).unwrap();
    jpeg[13..18].copy_from_slice(&[1, 1, 44, 1, 44]);
    let segments: [&[u8]; 2] = [b"\xFF\xFE\x00\x08a flag", b"\xFF\xE2\x00\x08MPF\0\0\0"];
    jpeg.splice(20..20, segments.concat());
    fs::write(place.input("kept.jpg"), &jpeg).unwrap();
    flag().save(place.input("dense.bmp")).unwrap();
    edit(&place.input("dense.bmp"), |bitmap| {
        bitmap[38..46].copy_from_slice(&[0x23, 0x2E, 0, 0, 0x23, 0x2E, 0, 0])
    });

    let said = place.run(&["in"]);
    let png = fs::read(place.out("kept.png")).unwrap();
    for (name, data) in kept {
        assert!(contains(&png, &[&name[..], data].concat()), "{said}");
    }
    let dense = fs::read(place.out("dense.png")).unwrap();
    assert!(contains(&dense, &[b"pHYs", &resolution[..]].concat()), "{said}");
    assert_eq!(open(&place.out("dense.png")).0.to_rgb8(), flag());
    for name in ["kept.jpg", "named.jpg"] {
        assert_eq!(fs::read(place.out(name)).unwrap()[13..18], [1, 1, 44, 1, 44], "{name}");
    }
    let jpeg = fs::read(place.out("kept.jpg")).unwrap();
    assert!(contains(&jpeg, segments[0]) && !contains(&jpeg, b"MPF\0"), "{said}");
    for note in [
        "in/kept.jpg: other pictures in the same file, such as a gain map, are left out",
        "in/named.jpg: its text is left out",
        "in/other.png: its application chunk vpAg (PNG) is left out",
    ] {
        assert!(said.contains(note), "{note}\n{said}");
    }
    assert!(!said.contains("note: in/kept.png") && !said.contains("note: in/dense"), "{said}");
}

/// A field of TIFF: tag, type, count, and the value or its offset.
type Field = (u16, u16, u32, u32);

/// A TIFF with one strip of 96×64 pixels, all `pixel`, with more `fields` and pages. `extra` is at byte 8.
fn tiff(extra: &[u8], fields: &[Field], pixel: &[u8], pages: usize) -> Vec<u8> {
    let mut bytes = [&b"II\x2A\0\0\0\0\0"[..], extra].concat();
    let strip = bytes.len() as u32;
    bytes.extend(pixel.repeat(96 * 64));
    let mut link = 4;
    for _ in 0..pages {
        let at = bytes.len() as u32;
        bytes[link..link + 4].copy_from_slice(&at.to_le_bytes());
        let size = (pixel.len() * 96 * 64) as u32;
        let mut all = vec![
            (256, 4, 1, 96),
            (257, 4, 1, 64),
            (259, 3, 1, 1),
            (273, 4, 1, strip),
            (277, 3, 1, pixel.len() as u32),
            (278, 4, 1, 64),
            (279, 4, 1, size),
        ];
        all.extend_from_slice(fields);
        all.sort();
        bytes.extend((all.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in all {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        }
        link = bytes.len();
        bytes.extend([0; 4]);
    }
    bytes
}

/// JPEG decoders tolerate a missing end, others fail.
#[test]
fn truncated_images_are_named() {
    let place = Place::unchanged();
    for name in ["whole.jpg", "cut.jpg", "cut.png", "short.gif"] {
        let input = place.input(name);
        flag().save(&input).unwrap();
        if name != "whole.jpg" {
            edit(&input, |bytes| bytes.truncate(bytes.len() - 20));
        }
    }
    let said = place.said(&["in"]);
    assert!(said.contains("note: in/cut.jpg: is truncated: its last rows are missing"), "{said}");
    for name in ["cut.png", "short.gif"] {
        assert!(said.contains(&format!("error: in/{name}: is damaged: ")), "{said}");
    }
    assert_eq!(said.matches("damaged").count(), 2, "{said}");
    assert!(!said.contains("in/whole.jpg: "), "{said}");
}

/// FFmpeg's decoders crash on formats that GStreamer does not know, such as JPEG in 4:1:1, 4:4:0 and CMYK.
#[test]
fn jpegs_of_unusual_sampling_are_translated_or_named() {
    let place = Place::unchanged();
    let frames = "videotestsrc num-buffers=COUNT ! video/x-raw,format=Y41B,width=96,height=64,framerate=25/1 ! jpegenc";
    for (name, count, mux) in [("a.jpg", "1", ""), ("b.avi", "5", "! avimux")] {
        let frames = frames.replace("COUNT", count);
        common::media::make(&place.input(name), &format!("{frames} {mux} ! OUT"));
    }
    let said = place.said(&["in"]);
    assert!(said.contains("1 translated") && !said.contains("worker process"), "{said}");
    assert!(said.contains("error: in/b.avi: has a pixel format that GStreamer does"), "{said}");
    assert!(place.out("a.jpg").is_file() && !said.contains("note: "), "{said}");
}

/// The decoder of the image crate accepts damaged data.
#[test]
fn damaged_jpegs_are_named() {
    let place = Place::unchanged();
    let pixel = |x: u32, y: u32| Rgb([(x * y) as u8, (x * 7 + y * y) as u8, (x ^ y) as u8]);
    for name in ["whole.jpg", "damaged.jpg"] {
        let input = place.input(name);
        RgbImage::from_fn(160, 120, pixel).save(&input).unwrap();
        if name == "damaged.jpg" {
            common::damage(&input, 20);
        }
    }
    let said = place.run(&["in"]);
    assert!(said.contains("note: in/damaged.jpg: is damaged: its decoder reports "), "{said}");
    assert!(!said.contains("in/whole.jpg: "), "{said}");
}

#[test]
fn codings_of_jpeg_without_a_decoder_are_named() {
    let place = Place::unchanged();
    let mut jpeg = Vec::new();
    flag().write_with_encoder(JpegEncoder::new(&mut jpeg)).unwrap();
    let start = find(&jpeg, &[0xFF, 0xC0]);
    for (name, marker) in [("lossless", 0xC3), ("arithmetic", 0xC9), ("arithmetic", 0xCA)] {
        jpeg[start + 1] = marker;
        fs::write(place.path("in/a.jpg"), &jpeg).unwrap();
        let said = place.said(&["in"]);
        let error = format!("error: in/a.jpg: is a JPEG with {name} coding, which cannot");
        assert!(said.contains(&error) && !said.contains("note:"), "{said}");
    }
}

#[test]
fn tiff_of_every_colour_is_translated_or_its_loss_named() {
    let place = Place::unchanged();
    let write = |name: &str, bytes: Vec<u8>| fs::write(place.input(name), bytes).unwrap();
    let mut palette = vec![0_u16; 768];
    [palette[7], palette[256 + 7], palette[512 + 7]] = [200 * 257, 30 * 257, 60 * 257];
    let palette: Vec<u8> = palette.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let (depth, colours) = ((258, 3, 1, 8), (320, 3, 768, 8));
    write("palette.tif", tiff(&palette, &[depth, (262, 3, 1, 3), colours], &[7], 1));
    let mut damaged = tiff(&palette, &[depth, (262, 3, 1, 3), colours], &[7], 1);
    damaged.drain(2000..7000);
    let at = damaged.len() as u32 - 126;
    damaged[4..8].copy_from_slice(&at.to_le_bytes());
    write("damaged.tif", damaged);
    // 300 pixels per inch, rotated by 90°, with a description.
    let resolution =
        [[300_u32, 1]; 2].concat().iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    let extra = [&resolution[..], b"a flag, red\0"].concat();
    let fields = [
        (258, 3, 1, 8),
        (262, 3, 1, 1),
        (270, 2, 12, 24),
        (274, 3, 1, 6),
        (282, 5, 1, 8),
        (283, 5, 1, 16),
        (296, 3, 1, 2),
    ];
    write("pages.tif", tiff(&extra, &fields, &[77], 2));
    let mut profile = vec![0; 128];
    profile[16..20].copy_from_slice(b"CMYK");
    let icc = (34_675, 7, 128, 8);
    write("cmyk.tif", tiff(&profile, &[(258, 3, 1, 8), (262, 3, 1, 5), icc], &[0, 255, 255, 0], 1));
    // A profile that is large beside the picture.
    profile.resize(100_000, 0);
    profile[16..20].copy_from_slice(b"RGB ");
    let extra = [&profile[..], b"Maker\0"].concat();
    let (make, icc) = ((271, 2, 6, 100_008), (34_675, 7, 100_000, 8));
    let profiled = [(258, 3, 1, 8), (262, 3, 1, 2), make, icc];
    write("profiled.tif", tiff(&extra, &profiled, &[200, 30, 60], 1));
    write("deep.tif", tiff(&[], &[(258, 3, 1, 32), (262, 3, 1, 1)], &[1, 2, 3, 4], 1));

    let associated = [(258, 3, 1, 8), (262, 3, 1, 2), (338, 3, 1, 1)];
    write("dimmed.tif", tiff(&[], &associated, &[100, 15, 30, 128], 1));
    let full = (530, 3, 2, 0x1_0001);
    write("ycc.tif", tiff(&[], &[(258, 3, 1, 8), (262, 3, 1, 6), full], &[150, 100, 160], 1));
    write("lab.tif", tiff(&[], &[(258, 3, 1, 8), (262, 3, 1, 8)], &[150, 100, 160], 1));
    write("masks.tif", tiff(&[], &[(258, 3, 1, 8), (262, 3, 1, 2), (338, 3, 2, 0)], &[9; 5], 1));

    let said = place.said(&["in"]);
    let pixel = |name: &str| open(&place.out(name)).0.to_rgb8().get_pixel(9, 9).0;
    assert!(place.out("palette.png").is_file(), "{said}");
    assert_eq!(pixel("palette.png"), [200, 30, 60]);
    let pages = fs::read(place.out("pages.png")).unwrap();
    assert_eq!(open(&place.out("pages.png")).0.height(), 96);
    assert!(contains(&pages, b"pHYs\0\0\x2E\x23\0\0\x2E\x23\x01"), "{said}");
    assert!(contains(&pages, b"iTXtDescription\0\0\0\0\0a flag, red"), "{said}");
    assert_eq!(pixel("cmyk.png"), [255, 0, 0]);
    assert!(open(&place.out("cmyk.png")).1.is_none(), "{said}");
    assert_eq!(open(&place.out("profiled.png")).1.map(|icc| icc.len()), Some(100_000), "{said}");
    let ycc = pixel("ycc.png");
    assert!(ycc.iter().zip([195, 137, 100]).all(|(a, b)| a.abs_diff(b) < 4), "{ycc:?}");
    let dimmed = open(&place.out("dimmed.png")).0;
    assert_eq!(dimmed.to_rgba8().get_pixel(9, 9).0, [199, 30, 60, 128]);
    for text in [
        "note: in/pages.tif: has several pages, but only the first is translated",
        "note: in/cmyk.tif: its CMYK becomes RGB",
        "note: in/cmyk.tif: its colour profile is left out",
        "note: in/masks.tif: its channels besides colour and alpha are left out",
        "error: in/damaged.tif: is damaged: nothing in it can be decoded",
        "error: in/lab.tif: cannot be decoded: a TIFF of CIE L*a*b* with 8 bits per component; \
         convert it to RGB of 8 or 16 bits first",
        "error: in/deep.tif: cannot be decoded: a TIFF of grey with 32 bits per component",
    ] {
        assert!(said.contains(text), "{text}\n{said}");
    }
    assert!(said.contains("7 translated") && !said.contains("note: in/palette"), "{said}");
}

/// A TIFF has the fields of EXIF in its own directory, between those that describe its pixels.
#[test]
fn exif_of_tiff_is_kept() {
    let place = Place::unchanged();
    // At byte 8, the directories of EXIF and GPS; the latter ends at byte 44, where the texts begin.
    let directory = |entry: Field| {
        let (tag, kind, count, value) = entry;
        let entry = [tag.to_le_bytes(), kind.to_le_bytes()].concat();
        [&[1, 0], &entry[..], &count.to_le_bytes(), &value.to_le_bytes(), &[0; 4]].concat()
    };
    // ISO 400, and north.
    let directories = [directory((0x8827, 3, 1, 400)), directory((1, 2, 2, b'N'.into()))].concat();
    let extra = [&directories[..], b"Maker\0"].concat();
    let fields = [
        (258, 3, 1, 8),
        (262, 3, 1, 2),
        (271, 2, 6, 44),
        (274, 3, 1, 6),
        (34_665, 4, 1, 8),
        (34_853, 4, 1, 26),
    ];
    let input = place.path("in/a.tif");
    fs::write(&input, tiff(&extra, &fields, &[200, 30, 60], 1)).unwrap();

    let said = place.run(&["in"]);
    assert!(said.contains("1 translated") && !said.contains("note: "), "{said}");
    let (picture, _, written) = open(&place.out("a.png"));
    assert_eq!((picture.width(), picture.height()), (64, 96), "{said}");
    let written = exif::Reader::new().read_raw(written.unwrap()).unwrap();
    let field = |tag| {
        written.get_field(tag, exif::In::PRIMARY).map(|field| field.display_value().to_string())
    };
    assert_eq!(field(exif::Tag::Make).unwrap(), "\"Maker\"");
    assert_eq!(field(exif::Tag::PhotographicSensitivity).unwrap(), "400");
    assert_eq!(field(exif::Tag::GPSLatitudeRef).unwrap(), "N");
    // The image is upright, and PNG describes its own pixels.
    assert_eq!(field(exif::Tag::Orientation), None);
    assert_eq!(field(exif::Tag::StripOffsets), None);
}

const XMP: &[u8] = b"<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF \
    xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" \
    xmlns:tiff=\"http://ns.adobe.com/tiff/1.0/\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" \
    tiff:Orientation=\"6\" xmp:Rating=\"5\"/></rdf:RDF></x:xmpmeta>";

/// XMP has the ratings, keywords and captions of photo libraries.
#[test]
fn xmp_is_kept() {
    let place = Place::unchanged();
    let turned = Bytes::from(TURNED.to_vec());
    let add = |name: &str, xmp: &[u8]| {
        flag().save(place.input(name)).unwrap();
        let bytes = fs::read(place.input(name)).unwrap().into();
        let written = match name.rsplit_once('.').unwrap().1 {
            "jpg" => {
                let mut jpeg = Jpeg::from_bytes(bytes).unwrap();
                let data = [&b"http://ns.adobe.com/xap/1.0/\0"[..], xmp].concat();
                let segment = JpegSegment::new_with_contents(markers::APP1, data.into());
                jpeg.segments_mut().insert(1, segment);
                jpeg.set_exif(Some(turned.clone()));
                jpeg.encoder().bytes()
            }
            "png" => {
                let mut png = Png::from_bytes(bytes).unwrap();
                let data = [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], xmp].concat();
                png.chunks_mut().insert(1, PngChunk::new(*b"iTXt", data.into()));
                png.set_exif(Some(turned.clone()));
                png.encoder().bytes()
            }
            _ => {
                let mut webp = WebP::from_bytes(bytes).unwrap();
                webp.set_exif(Some(turned.clone()));
                let data = RiffContent::Data(xmp.to_vec().into());
                webp.chunks_mut().push(RiffChunk::new(CHUNK_XMP, data));
                webp.encoder().bytes()
            }
        };
        fs::write(place.input(name), written).unwrap();
    };
    for name in ["a.jpg", "a.png", "a.webp"] {
        add(name, XMP);
    }
    add("gain.jpg", b"<x:xmpmeta xmlns:hdrgm=\"http://ns.adobe.com/hdr-gain-map/1.0/\"/>");
    let fields = [(258, 3, 1, 8), (262, 3, 1, 2), (700, 1, XMP.len() as u32, 8)];
    fs::write(place.input("b.tif"), tiff(XMP, &fields, &[200, 30, 60], 1)).unwrap();

    let said = place.run(&["in"]);
    for name in ["a.jpg", "a.png", "a.webp", "b.png"] {
        let mut decoder = ImageReader::open(place.out(name)).unwrap().into_decoder().unwrap();
        let xmp = decoder.xmp_metadata().unwrap().unwrap_or_default();
        let xmp = String::from_utf8(xmp).unwrap();
        assert!(xmp.contains("xmp:Rating=\"5\""), "{name}: {xmp}\n{said}");
        assert!(xmp.contains("tiff:Orientation=\"1\""), "{name}: {xmp}\n{said}");
    }
    assert!(said.contains("note: in/gain.jpg: its XMP metadata is left out"), "{said}");
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
}

/// A GIF of several frames is a video.
#[test]
fn a_still_gif_is_an_image() {
    let Some(place) = Place::of_ffmpeg("GIF") else { return };
    let still = "-f lavfi -i testsrc2=size=64x48:d=0.1 -frames:v 1 -vf format=rgba,colorkey=white";
    make(&place.path("in/still.gif"), still);
    make(&place.path("in/moving.gif"), "-f lavfi -i testsrc2=size=64x48:rate=10:d=0.5");
    let said = place.run(&["in"]);
    assert!(place.out("moving.mkv").is_file(), "{said}");
    let pixels = |path: &Path| image::open(path).unwrap().into_rgba8();
    let alpha = |path: &Path| pixels(path).pixels().map(|pixel| pixel[3]).collect::<Vec<_>>();
    assert_eq!(alpha(&place.out("still.png")), alpha(&place.path("in/still.gif")));
    place.run(&["in/moving.gif", "--out", "moving.mp4"]);
}
