// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output of `check` for good and bad data sets.

use std::{fs, path::Path};

use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::common::{data_set, fails, run};

/// Noise of a few large cells, so that every image has a different hash.
fn picture(seed: u32, size: (u32, u32)) -> RgbImage {
    RgbImage::from_fn(size.0, size.1, |x, y| {
        let cell = (x * 12 / size.0, y * 12 / size.1);
        let mut v =
            seed.wrapping_mul(2_654_435_761) ^ (cell.0 * 73_856_093) ^ (cell.1 * 19_349_663);
        v ^= v >> 13;
        v = v.wrapping_mul(0x5bd1_e995);
        let [r, g, b, _] = (v ^ (v >> 15)).to_le_bytes();
        Rgb([r, g, b])
    })
}

fn said(arguments: &[&str]) -> String {
    String::from_utf8_lossy(&run(arguments).stdout).into_owned()
}

#[test]
fn each_finding_is_one_line_of_advice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for (d, domain) in ["trainA", "trainB", "testA"].into_iter().enumerate() {
        fs::create_dir_all(data.join(domain)).unwrap();
        for i in 0..4 {
            let picture = picture(10 * d as u32 + i, (300, 300));
            picture.save(data.join(domain).join(format!("{i}.png"))).unwrap();
        }
    }
    let at = |path: &str| data.join(path);
    fs::write(at("trainA/broken.jpg"), b"no picture").unwrap();
    picture(50, (200, 300)).save(at("trainA/small.png")).unwrap();
    picture(51, (900, 300)).save(at("trainA/long.png")).unwrap();
    let grey = image::imageops::grayscale(&picture(52, (300, 300)));
    grey.save(at("trainA/grey.png")).unwrap();
    fs::create_dir(at("trainB/more")).unwrap();
    fs::copy(at("testA/1.png"), at("trainA/copy.png")).unwrap();
    fs::copy(at("trainA/2.png"), at("trainB/more/both.png")).unwrap();
    fs::create_dir(at("trainB_mask")).unwrap();
    let mask = |name: &str, size: u32, value: &dyn Fn(u32) -> u8| {
        let mask = GrayImage::from_fn(size, size, |x, _| Luma([value(x)]));
        mask.save(at("trainB_mask").join(name)).unwrap();
    };
    mask("0.png", 300, &|x| if x < 100 { 255 } else { 0 });
    mask("1.png", 300, &|_| 0);
    mask("2.png", 300, &|_| 255);
    mask("3.png", 30, &|_| 255);
    picture(53, (300, 300)).save(at("trainB/4.png")).unwrap();
    mask("4.png", 300, &|x| if x < 100 { 1 } else { 0 });

    let sheet = data.join("sheet.html");
    let check = ["check", "--data", data.to_str().unwrap(), "--sheet", sheet.to_str().unwrap()];
    let said = said(&check);
    for line in [
        "trainA: 8 images, short sides from 200 to 300 pixels",
        "trainB: 6 images, short sides from 300 to 300 pixels, 5 masks",
        "trainA: 1 file cannot be read and will be skipped: ",
        "trainA: 1 image with a short side below 256 (small.png); ",
        "trainA: 1 image without colour (grey.png); ",
        "trainB: 1 image without a mask (both.png); ",
        "trainB: 1 image with an empty mask (1.png); ",
        "trainB: 1 image with a mask whose largest value is below 128 (4.png); ",
        "trainB: 1 image with an all-white mask (2.png); ",
        "trainB: 1 image with a mask that has another size or cannot be read (3.png); ",
        "trainA and testA: 1 identical or nearly identical image (copy.png = 1.png); scores",
        "trainA and trainB: 1 identical or nearly identical image (2.png = both.png); ",
        "trainB has masks and trainA none; ",
        "training can start",
    ] {
        assert_eq!(said.lines().filter(|l| l.starts_with(line)).count(), 1, "{line}: {said}");
    }
    let of_one = |line: &&str| line.contains(": 1 image ");
    for line in said.lines().filter(of_one) {
        assert!(
            ["they ", "these", "the images", "the masks"].iter().all(|s| !line.contains(s)),
            "{line}"
        );
    }
    let page = fs::read_to_string(&sheet).unwrap();
    assert!(page.contains("title=\"grey.png\"") && !page.contains('`'), "{page}");
    assert!(page.contains("trainA, 9 images<") && page.contains("trainB, 6 images, darkened"));
    // The sizes are those that `train` takes for the generator.
    for (more, load) in [(["--net-g", "resnet_9blocks"], 286), (["--mode", "unpaired"], 256)] {
        let said = self::said(&[&check[..3], &more].concat());
        assert!(said.contains(&format!("with a short side below {load} (small.png)")), "{said}");
        // `fast` crops them.
        let is_squashed = said.contains(
            "trainA: 1 image with one side more than twice as long as the other (long.png); ",
        );
        assert_eq!(is_squashed, load == 286, "{said}");
    }
}

/// The partners show the same scene, and A has no colours.
#[test]
fn partners_may_look_alike_and_lack_colour() {
    let folder = tempfile::tempdir().unwrap();
    for domain in ["trainA", "trainB", "testA", "testB"] {
        fs::create_dir_all(folder.path().join(domain)).unwrap();
    }
    for (set, first) in [("train", 0), ("test", 2)] {
        for i in first..first + 3 {
            let of = |domain| folder.path().join(format!("{set}{domain}/{i}.png"));
            let grey = image::imageops::grayscale(&picture(i, (300, 300)));
            grey.save(of("A")).unwrap();
            let tinted = RgbImage::from_fn(300, 300, |x, y| {
                let level = grey.get_pixel(x, y).0[0];
                Rgb([level, level, level / 2])
            });
            tinted.save(of("B")).unwrap();
        }
    }
    let check = ["check", "--data", folder.path().to_str().unwrap()];
    let paired = said(&[&check[..], &["--mode", "paired"]].concat());
    for nothing in ["without colour", "trainA and trainB", "testA and testB"] {
        assert!(!paired.contains(nothing), "{paired}");
    }
    // The test set has an image of the training set.
    assert!(paired.contains("trainB and testB: 1 identical"), "{paired}");
    let unpaired = said(&check);
    for line in ["trainA: 3 images without colour", "trainA and trainB: 3 identical"] {
        assert!(unpaired.contains(line), "{unpaired}");
    }
}

#[test]
fn validation_images_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    data_set(folder.path(), 3);
    for name in ["testA", "valA", "valB"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("valA/broken.png"), b"no picture").unwrap();
    picture(60, (300, 300)).save(at("valA/1.png")).unwrap();
    fs::copy(at("valA/1.png"), at("testA/2.png")).unwrap();
    fs::copy(at("trainB/000.png"), at("valB/3.png")).unwrap();
    fs::create_dir(at("valA_mask")).unwrap();
    fs::copy(at("trainA_mask/000.png"), at("valA_mask/1.png")).unwrap();
    let said = said(&["check", "--data", folder.path().to_str().unwrap(), "--distance", "1"]);
    assert!(said.contains("valA: 1 image, short sides from 300 to 300 pixels, 1 mask\n"), "{said}");
    for line in [
        "valA: 1 file cannot be read and will be skipped: ",
        "testA and valA: 1 identical or nearly identical image (2.png = 1.png); test scores",
        "trainB and valB: 1 identical or nearly identical image (000.png = 3.png); scores on training",
    ] {
        assert_eq!(said.lines().filter(|l| l.starts_with(line)).count(), 1, "{line}: {said}");
    }
}

#[test]
fn a_good_data_set_has_no_findings() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path(), 3);
    let sheet = folder.path().join("sheet.png");
    let data = folder.path().to_str().unwrap();
    let check = ["check", "--data", data, "--load-size", "40", "--distance", "0", "--sheet"];
    let said = said(&[&check[..], &[sheet.to_str().unwrap()]].concat());
    let lines: Vec<&str> = said.lines().collect();
    let few = |l: &&&str| l.contains("several hundred");
    assert_eq!((lines.len(), lines.iter().filter(few).count()), (5, 2), "{said}");
    assert_eq!(image::open(sheet).unwrap().to_rgb8().dimensions(), (12 * 128, 4 * 128));
}

#[test]
fn an_unusable_data_set_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let check = ["check", "--data", data];
    fails(&check, &["trainA", "no such folder"]);
    data_set(folder.path(), 2);
    for i in 0..2 {
        fs::write(folder.path().join(format!("trainB/00{i}.png")), b"broken").unwrap();
    }
    fails(&check, &["training cannot start: trainB has no usable image"]);
    fs::remove_file(Path::new(data).join("trainB/000.png")).unwrap();
    fs::rename(Path::new(data).join("trainB/001.png"), Path::new(data).join("trainB/x.png"))
        .unwrap();
    fs::remove_dir_all(Path::new(data).join("trainB_mask")).unwrap();
    fails(&[&check[..], &["--mode", "paired"]].concat(), &["same base name"]);
}
