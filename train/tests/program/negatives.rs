// SPDX-License-Identifier: MIT OR Apache-2.0

//! `--negatives`: images of neither domain, which the generators learn to leave unchanged.

use std::{fs, path::Path};

use cyclegan_train::data::{folder::Domain, loader::Loader, sampler::Plan};
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

use crate::common::{SMALL, data_set, fails, plan, program, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The values of a loss, one per line of metrics.
fn values(run: &Path, name: &str) -> Vec<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let value = |line: &str| serde_json::from_str::<Value>(line).unwrap()[name].as_f64().unwrap();
    metrics.lines().map(value).collect()
}

#[test]
fn the_generators_learn_to_leave_negatives_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 3);
    let inner = folder.path().join("neither/of/them");
    fs::create_dir_all(&inner).unwrap();
    for i in 0..3u8 {
        let picture = RgbImage::from_fn(60, 50, |x, y| Rgb([x as u8 * 4, y as u8 * 5, i * 80]));
        picture.save(inner.join(format!("{i}.png"))).unwrap();
    }
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--mask-head"];
    let more =
        ["--negatives", "neither", "--letterbox", "0.5", "--max-iters", "60", "--lr", "5e-3"];
    let arguments = [&fixed, SMALL, &more, &["--batch-size", "2"]].concat();
    let output = program().current_dir(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["negative_mask_A", "negative_mask_B"] {
        let values = values(&out, name);
        let (first, last) = (values[0], values[values.len() - 1]);
        assert!(last < first * 0.7, "{name}: {values:?}");
    }
    assert!(values(&out, "negative_A").iter().all(|v| v.is_finite()));
    // A resumed run has the folder in its config.toml.
    run(&["train", "--resume", "--out", text(&out), "--max-iters", "61"]);
}

#[test]
fn a_missing_or_empty_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 2);
    let none = folder.path().join("none");
    let train = ["train", "--data", text(&data), "--out", text(&out), "--negatives", text(&none)];
    fails(&[&train, SMALL].concat(), &[text(&none), "no such folder", "--negatives"]);
    fs::create_dir(&none).unwrap();
    fails(&[&train, SMALL].concat(), &[text(&none), "no images", "--negatives"]);
    assert!(!out.exists(), "a run that never began left a folder");
}

#[test]
fn foreground_is_pasted_onto_negatives() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["trainA", "trainB", "trainA_mask", "neither"] {
        fs::create_dir(path(name)).unwrap();
    }
    // A white square on black.
    let level = |x, y| if (12..28).contains(&x) && (12..28).contains(&y) { 255 } else { 0 };
    let picture = RgbImage::from_fn(40, 40, |x, y| Rgb([level(x, y); 3]));
    picture.save(path("trainA/1.png")).unwrap();
    picture.save(path("trainB/1.png")).unwrap();
    let mask = GrayImage::from_fn(40, 40, |x, y| Luma([level(x, y)]));
    mask.save(path("trainA_mask/1.png")).unwrap();
    RgbImage::from_pixel(60, 50, Rgb([128; 3])).save(path("neither/1.png")).unwrap();
    let domains = ["trainA", "trainB"].map(|name| Domain::open(folder.path(), name, None).unwrap());
    let negatives = vec![path("neither/1.png")];
    let plan = Plan { paste: 1.0, negatives, need_mask: false, ..plan(domains, false) };
    let mut loader = Loader::start(plan, 0, 1);
    for _ in 0..5 {
        let [a, b] = loader.next_crops().unwrap();
        assert_eq!(a.known, [1.0; 3]);
        assert!(a.masks.unwrap().iter().any(|&mask| mask > 127), "no foreground is left");
        assert!(a.images.seen().iter().all(|&level| level > 100), "the old surroundings are left");
        // B has no masks.
        assert!(b.images.seen().contains(&0));
    }
}
