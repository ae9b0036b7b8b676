// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scores of runs and of files.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{fs, path::Path};

use common::{SMALL, data_set, fails, run, say_skipped};
use serde_json::Value;

fn scores(path: &Path) -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_and_its_export_score_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair) = (path("data"), path("run"), path("pair"));
    data_set(Path::new(&data), 4);
    let arguments = ["train", "--data", &data, "--out", &out, "--mask-head", "--max-iters", "6"];
    run(&[&arguments, SMALL].concat());
    run(&["export", "--run", &out, "--out", &pair]);
    let (json, page) = (path("scores.json"), path("scores.html"));
    let common = ["eval", "--data", &data, "--size", "48", "--json", &json, "--html", &page];
    run(&[&common[..], &["--run", &out]].concat());
    let of_run = scores(Path::new(&json));
    run(&[&common[..], &["--model", &pair]].concat());
    let of_files = scores(Path::new(&json));
    assert_eq!(of_run.len(), 2);
    for (a, b) in of_run.iter().zip(&of_files) {
        for key in ["direction", "images", "cycle", "change_inside", "change_outside"] {
            assert!(!a[key].is_null(), "{key}");
            assert_eq!(a[key], b[key], "{key}");
        }
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("A2B") && page.contains("data:image/jpeg;base64,"));
}

#[test]
fn a_file_that_is_no_generator_is_named() {
    let folder = tempfile::tempdir().unwrap();
    data_set(&folder.path().join("data"), 2);
    let data = folder.path().join("data");
    let model = folder.path().join("G.onnx");
    fs::write(&model, b"no model").unwrap();
    let (data, model) = (data.to_str().unwrap(), model.to_str().unwrap());
    fails(&["eval", "--data", data, "--model", model], &[model, "not an ONNX model"]);
}

/// The row of a published generator, measured elsewhere as 87.5 % and 6.48.
#[test]
fn the_reference_scores_as_published() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let model = shared.join("models/reference_horse2zebra.onnx");
    if !model.is_file() || std::env::var_os("CYCLEGAN_TEST_SLOW").is_none() {
        say_skipped("SKIP: needs CYCLEGAN_TEST_SLOW and the shared models");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("scores.json");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let data = text(&shared.join("data/horse2zebra"));
    let features = text(&shared.join("models/efficientnet_lite0.onnx"));
    let (model, json) = (text(&model), text(&json));
    let arguments = ["eval", "--data", &data, "--model", &model, "--features", &features];
    run(&[&arguments[..], &["--class-b", "340", "--json", &json]].concat());
    let score = &scores(Path::new(&json))[0];
    assert_eq!(score["target_class"], 0.875);
    assert!((score["kid_x100"].as_f64().unwrap() - 6.48).abs() < 0.5, "{score}");
}
