// SPDX-License-Identifier: MIT OR Apache-2.0

//! Images that belong together: paired images of the two domains, and successive frames.

use std::{fs, path::Path};

use cyclegan_contract::Generator;
use cyclegan_train::data::{
    batch::Crops, folder::Domain, loader::Loader, pairs::matched, sampler::Plan,
};
use image::{Rgb, RgbImage};

use crate::common::{SMALL, data_set, fails, plan, run};

/// Writes `count` smooth images, each a little brighter than the one before.
fn clip(folder: &Path, name: &str, count: u32, brightness: u32) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        let add = brightness + 4 * i;
        let picture =
            RgbImage::from_fn(60, 50, |x, y| Rgb([2 * x + add, 2 * y + add, add].map(|v| v as u8)));
        picture.save(folder.join(format!("{name}{i:04}.png"))).unwrap();
    }
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(b) - f64::from(a)).sum::<f64>() / a.len() as f64
}

#[test]
fn partners_and_following_frames_are_cropped_alike() {
    let data = tempfile::tempdir().unwrap();
    clip(&data.path().join("trainA"), "clip_shot0001_", 5, 0);
    clip(&data.path().join("trainB"), "clip_shot0001_", 5, 50);
    let open = |name: &str| Domain::open(data.path(), name, None).unwrap();
    let mut domains = matched(open("trainA"), open("trainB"), None).unwrap();
    assert_eq!(domains.each_mut().map(Domain::find_next), [4, 4]);
    for mosaic in [0.0, 0.7] {
        let plan = Plan { mosaic, ..plan(domains.clone(), true) };
        let mut loader = Loader::start(plan, 0, 1);
        let mut seams = 0;
        for _ in 0..6 {
            let [a, b] = loader.next_crops().unwrap();
            assert!((mean_difference(a.images.seen(), b.images.seen()) - 50.0).abs() < 0.5);
            for Crops { images, next, followed, .. } in [&a, &b] {
                let pixels = images.seen();
                let area = 32 * 32 * 3;
                assert_eq!(next.len(), followed.len() * area);
                for (next, &place) in next.chunks(area).zip(followed) {
                    let frame = &pixels[place as usize * area..][..area];
                    assert!((mean_difference(frame, next) - 4.0).abs() < 0.5);
                }
                seams += pixels.chunks(area).filter(|crop| has_seam(crop)).count();
            }
        }
        assert_eq!(seams > 0, mosaic > 0.0, "{seams} of 36 crops with mosaic {mosaic}");
    }
}

/// Whether the two middle pixels of the top row of a crop of 32 pixels differ by more than a smooth image's.
fn has_seam(crop: &[u8]) -> bool {
    crop[15 * 3].abs_diff(crop[16 * 3]) > 16
}

#[test]
fn pairs_train_and_export() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair) = (path("data"), path("run"), path("pair"));
    data_set(Path::new(&data), 4);
    let more = ["--mode", "paired", "--net-g", "fast", "--max-iters", "4", "--print-freq", "1"];
    run(&[&["train", "--data", &data, "--out", &out], SMALL, &more, &["--display-freq", "2"]]
        .concat());
    let metrics = fs::read_to_string(Path::new(&out).join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("L1_A") && metrics.contains("D_B"), "{metrics}");
    assert!(!metrics.contains("cycle") && !metrics.contains("idt"), "{metrics}");
    let page = fs::read_to_string(Path::new(&out).join("report/index.html")).unwrap();
    assert!(page.contains("partner"));
    run(&["export", "--run", &out, "--out", &pair]);

    fs::remove_dir_all(Path::new(&data).join("trainB_mask")).unwrap();
    let alone = Path::new(&data).join("trainB");
    for file in fs::read_dir(&alone).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        fs::rename(&file, alone.join(format!("other{name}"))).unwrap();
    }
    let out = path("never");
    let arguments =
        [&["train", "--data", &data, "--out", &out, "--mode", "paired"], SMALL].concat();
    fails(&[&arguments[..], &["--net-g", "fast"]].concat(), &["trainB", "same base name"]);
}

#[test]
fn pix2pix_as_published_trains_and_exports() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair) = (path("data"), path("run"), path("pair"));
    data_set(Path::new(&data), 1);
    let more = ["--mode", "paired", "--max-iters", "1", "--crop-size", "256", "--load-size", "286"];
    run(&[&["train", "--data", &data, "--out", &out], SMALL, &more].concat());
    run(&["export", "--run", &out, "--out", &pair]);
    let g = Generator::read(&Path::new(&pair).join("G.onnx")).unwrap().metadata;
    let found = (g.arch.as_deref(), g.multiple_of, g.size);
    assert_eq!(found, (Some("unet_256"), 256, Some(256)));
}

#[test]
fn lambda_diff_uses_next_frames_and_refuses_unnumbered_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out) = (path("data"), path("run"));
    for domain in ["trainA", "trainB"] {
        clip(&Path::new(&data).join(domain), "clip_", 4, 0);
    }
    let more = ["--lambda-diff", "10", "--max-iters", "6", "--print-freq", "6"];
    let arguments = [&["train", "--data", &data, "--out", &out], SMALL, &more].concat();
    let said = run(&arguments).stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("3 of 4 in A") && said.contains("diff_A"), "{said}");
    for domain in ["trainA", "trainB"] {
        for i in [1, 3] {
            fs::remove_file(Path::new(&data).join(domain).join(format!("clip_{i:04}.png")))
                .unwrap();
        }
    }
    let out = path("never");
    let arguments = [&["train", "--data", &data, "--out", &out], SMALL, &more].concat();
    fails(&arguments, &["--lambda-diff", "numbered"]);
}
