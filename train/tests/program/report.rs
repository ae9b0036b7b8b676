// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report page in a real browser.

use std::path::Path;

use cyclegan_test_support::browser;

use crate::common::{SMALL, data_set, run, say_skipped};

/// As a first try of an option is.
#[test]
fn a_short_run_has_figures_and_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out) = (path("data"), path("run"));
    data_set(Path::new(&data), 4);
    let arguments = ["train", "--data", &data, "--out", &out, "--max-iters", "3"];
    let output = run(&[&arguments, SMALL].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("images 3 "), "{said}");
    let page = std::fs::read_to_string(format!("{out}/report/index.html")).unwrap();
    for part in ["After 3 images", "identity"] {
        assert!(page.contains(part), "the page lacks {part}: {page}");
    }
}

#[test]
fn a_browser_renders_curves_and_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out) = (path("data"), path("run"));
    data_set(Path::new(&data), 4);
    let arguments = ["train", "--data", &data, "--out", &out, "--mask-head", "--max-iters", "20"];
    run(&[&arguments, SMALL, &["--print-freq", "1", "--display-freq", "10"]].concat());
    let page = format!("{out}/report/index.html");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(!text.contains("http://") && !text.contains("https://"), "the page loads something");
    for part in ["http-equiv=\"refresh\"", "After 20 images", "After 10 images", "identity", "mask"]
    {
        assert!(text.contains(part), "the page lacks {part}");
    }
    let Some(shot) = browser::screenshot(Path::new(&page), folder.path(), 1000, 2600) else {
        return say_skipped("SKIP: no chromium to look at the page with");
    };
    let near = |colour| browser::near(&shot, colour, 24);
    let (blue, orange, disc) = (near([0, 114, 178]), near([213, 94, 0]), near([200, 120, 40]));
    assert!(blue > 300 && orange > 300, "curves: {blue} blue and {orange} orange pixels");
    assert!(disc > 2000, "samples: {disc} pixels of the discs");
}
