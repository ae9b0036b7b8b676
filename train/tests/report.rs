// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report page in a real browser.

mod common;

use std::{path::Path, process::Command};

use common::{SMALL, data_set, run, say_skipped};

#[test]
fn a_browser_shows_curves_and_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, shot) = (path("data"), path("run"), path("shot.png"));
    data_set(Path::new(&data), 4);
    let arguments = ["train", "--data", &data, "--out", &out, "--mask-head", "--max-iters", "20"];
    run(&[&arguments, SMALL, &["--print-freq", "1", "--display-freq", "10"]].concat());
    let page = format!("{out}/report/index.html");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(!text.contains("http://") && !text.contains("https://"), "the page loads something");
    for part in ["http-equiv=\"refresh\"", "Iteration 20", "Iteration 10", "identity", "mask"] {
        assert!(text.contains(part), "the page lacks {part}");
    }
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"])
        .args(["--window-size=1000,2600", &format!("--screenshot={shot}")])
        .arg(format!("file://{page}"))
        .env("HOME", folder.path())
        .output();
    if browser.is_err() {
        say_skipped("SKIP: no chromium to look at the page with");
        return;
    }
    let shot = image::open(&shot).unwrap().into_rgb8();
    let near = |colour: [u8; 3]| {
        let close = |p: &image::Rgb<u8>| p.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 24);
        shot.pixels().filter(|p| close(p)).count()
    };
    let (blue, orange, disc) = (near([0, 114, 178]), near([213, 94, 0]), near([200, 120, 40]));
    assert!(blue > 300 && orange > 300, "curves: {blue} blue and {orange} orange pixels");
    assert!(disc > 2000, "samples: {disc} pixels of the discs");
}
