// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVIF and HEIF images of libheif's own program and of ffmpeg.

use std::{fs, path::Path, process::Command};

use image::{ImageEncoder, Rgba, RgbaImage, codecs::jpeg::JpegEncoder};

use crate::{
    common::{
        Place, contains, edit,
        ffmpeg::{is_installed, make},
        find, text,
    },
    photographs::XMP,
    pictures::{TURNED, flag, open},
};

fn encode(image: &Path, output: &Path, options: &[&str]) {
    let mut program = Command::new("heif-enc");
    program.args(["-q", "95"]).args(options).arg(image).arg("-o").arg(output);
    let made = program.output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
}

/// A folder for `test`; prints a `SKIP:` line if libheif's program is not installed.
fn place(test: &str) -> Option<Place> {
    is_installed("heif-enc", test).then(Place::unchanged)
}

/// An AVIF by ffmpeg, which is shown turned by 90° anticlockwise as often as `turns` says.
fn turned(avif: &[u8], turns: u8) -> Vec<u8> {
    let mut avif = avif.to_vec();
    // The offset of the pixels, and the sizes of the boxes that grow.
    let offset = find(&avif, b"iloc") + 18;
    let meta = [b"meta", b"iprp"].map(|name| (find(&avif, name) - 4, 10));
    let lists = [(find(&avif, b"ipco") - 4, 9), (find(&avif, b"ipma") - 4, 1)];
    for (place, more) in [(offset, 10)].into_iter().chain(meta).chain(lists) {
        let number = u32::from_be_bytes(*avif[place..].first_chunk().unwrap()) + more;
        avif[place..][..4].copy_from_slice(&number.to_be_bytes());
    }
    let associations = find(&avif, b"ipma") - 4;
    avif.splice(associations..associations, *b"\0\0\0\x09irot\x03");
    avif[associations + 8] = turns;
    let count = associations + 9 + 18;
    avif[count] += 1;
    let end = count + usize::from(avif[count]);
    avif.insert(end, 0x80 | avif[count]);
    avif
}

#[test]
fn photographs_of_phones_become_pngs_with_their_metadata() {
    let Some(place) = place("photographs_of_phones_become_pngs_with_their_metadata") else {
        return;
    };
    let photograph = place.path("photograph.jpg");
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    let upright = TURNED.map(|byte| if byte == 6 { 1 } else { byte });
    encoder.set_exif_metadata(upright.to_vec()).unwrap();
    encoder.set_icc_profile(b"a profile".to_vec()).unwrap();
    flag().write_with_encoder(encoder).unwrap();
    let segment = [b"http://ns.adobe.com/xap/1.0/\0", XMP].concat();
    let header = [0xFF, 0xE1, 0, segment.len() as u8 + 2];
    jpeg.splice(2..2, [&header, &segment[..]].concat());
    fs::write(&photograph, jpeg).unwrap();
    // The second has the extension of a JPEG, as some programs send it.
    let files: [(&str, &[&str]); 3] = [("a.heic", &[]), ("b.jpg", &[]), ("c.avif", &["-A"])];
    for (name, options) in files {
        encode(&photograph, &place.path("b.heic"), options);
        // Newer versions of the program would turn the image as its EXIF says.
        edit(&place.path("b.heic"), |bytes| {
            let exif = find(bytes, &upright);
            bytes[exif..exif + TURNED.len()].copy_from_slice(&TURNED);
        });
        fs::rename(place.path("b.heic"), place.input(name)).unwrap();
    }
    let said = place.run(&["in"]);
    assert!(said.contains("3 translated") && !said.contains("note:"), "{said}");
    for name in ["a.png", "b.jpg", "c.png"] {
        let (picture, icc, exif) = open(&place.out(name));
        assert_eq!((picture.width(), picture.height()), (96, 64), "{name}");
        let left = picture.to_rgb8().get_pixel(20, 20).0;
        assert!(left[0] > 230 && left[2] < 25, "{name} {left:?}");
        assert_eq!(icc.as_deref(), Some(&b"a profile"[..]), "{name}");
        // The file has no rotation of its own, and viewers ignore that of EXIF.
        assert!(exif.is_some_and(|exif| !contains(&exif, &[0, 6])), "{name}");
        assert!(contains(&fs::read(place.out(name)).unwrap(), XMP), "{name}");
    }
}

#[test]
fn images_of_ffmpeg_are_upright_and_less_depth_is_noted() {
    let test = "images_of_ffmpeg_are_upright_and_less_depth_is_noted";
    let Some(place) = Place::of_ffmpeg(test) else { return };
    flag().save(place.path("flag.png")).unwrap();
    let still = "-i flag.png -c:v libaom-av1 -still-picture 1";
    make(&place.path("in/a.avif"), &format!("{still} -pix_fmt yuv444p"));
    let upright = fs::read(place.path("in/a.avif")).unwrap();
    fs::write(place.path("in/b.avif"), turned(&upright, 3)).unwrap();
    // Options for ffmpeg 5, and properties of the frames for later versions.
    let hdr = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc \
               -vf format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc";
    make(&place.path("in/c.avif"), &format!("{still} {hdr}"));
    let said = place.run(&["in"]);
    let picture = open(&place.out("b.png")).0.to_rgb8();
    assert_eq!(picture.dimensions(), (64, 96));
    let top = picture.get_pixel(20, 20).0;
    assert!(top[0] > 230 && top[2] < 25, "{top:?}");
    assert!(said.contains("note: in/c.avif: its 10-bit colours become 8-bit"), "{said}");
    assert!(contains(&fs::read(place.out("c.png")).unwrap(), b"cICP\x09\x10\0\x01"), "{said}");
    assert_eq!(said.matches("note:").count(), 1, "{said}");
}

#[test]
fn transparency_is_kept_and_damage_and_a_missing_decoder_are_named() {
    let test = "transparency_is_kept_and_damage_and_a_missing_decoder_are_named";
    let Some(place) = place(test) else { return };
    let clear = place.path("clear.png");
    RgbaImage::from_pixel(96, 64, Rgba([200, 30, 30, 40])).save(&clear).unwrap();
    encode(&clear, &place.path("in/a.heic"), &[]);
    let program = || {
        let mut program = place.program();
        // GdkPixbuf without loaders.
        program.env("GDK_PIXBUF_MODULE_FILE", "/dev/null");
        program
    };
    let needs =
        "AVIF and HEIF images need a loader of GdkPixbuf (Debian's package heif-gdk-pixbuf)";
    let said = text(&program().args(["in", "--dry-run"]).output().unwrap());
    assert!(said.contains(&format!("in/a.heic is skipped: {needs}")), "{said}");
    let said = text(&program().arg("in/a.heic").output().unwrap());
    assert!(said.contains(&format!("error: in/a.heic: cannot be decoded: {needs}")), "{said}");

    let whole = fs::read(place.path("in/a.heic")).unwrap();
    fs::write(place.path("in/b.heic"), &whole[..whole.len() - 30]).unwrap();
    let said = place.said(&["in"]);
    assert!(said.contains("error: in/b.heic: is damaged: "), "{said}");
    assert!(said.contains("1 translated") && !said.contains("note:"), "{said}");
    let pixel = open(&place.out("a.png")).0.to_rgba8().get_pixel(48, 32).0;
    assert!(pixel.iter().zip([200, 30, 30, 40]).all(|(a, b)| a.abs_diff(b) < 8), "{pixel:?}");
}
