// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs that end after a number of images or minutes, and runs that end because of unusable data.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use serde_json::Value;

use crate::common::{SMALL, data_set, fails, program, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn rates(run: &Path) -> Vec<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rate = |line: &str| serde_json::from_str::<Value>(line).unwrap()["lr"].as_f64().unwrap();
    metrics.lines().map(rate).collect()
}

fn train(data: &Path, out: &Path, more: &[&str]) -> String {
    let fixed = ["train", "--data", text(data), "--out", text(out)];
    let output =
        run(&[&fixed, SMALL, &["--print-freq", "1", "--lr", "1e-3", "--warmup", "0"], more]
            .concat());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn max_images_ends_the_run_at_a_learning_rate_of_0() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 3);
    let said = train(&data, &out, &["--max-images", "16", "--batch-size", "2"]);
    assert!(said.contains("trained 8 iterations"), "{said}");
    let expected = [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25].map(|part| part * 1e-3);
    for (rate, expected) in rates(&out).iter().zip(expected) {
        assert!((rate - expected).abs() < 1e-9, "{:?}", rates(&out));
    }
    let again = run(&["train", "--resume", "--out", text(&out)]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(said.contains("nothing to train"), "{said}");
}

#[test]
fn max_minutes_ends_the_run_at_a_learning_rate_of_0() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 3);
    train(&data, &out, &["--max-minutes", "0.03"]);
    let rates = rates(&out);
    let last = rates[rates.len() - 1];
    assert!(rates[0] == 1e-3 && last < 5e-4, "{rates:?}");
    assert!(rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
    // The minutes before the resume count.
    let again = run(&["train", "--resume", "--out", text(&out), "--max-minutes", "0.0001"]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(said.contains("nothing to train"), "{said}");
}

#[test]
fn metrics_have_the_learning_rate_of_the_generator_that_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 3);
    let only = ["--only", "f", "--lambda-a", "0", "--lambda-b", "0", "--lambda-nce", "1"];
    train(&data, &out, &[&only[..], &["--max-iters", "2"]].concat());
    assert_eq!(rates(&out), [1e-3, 1e-3]);
}

/// Over a hundred consecutive images have no mask.
#[test]
fn many_images_without_masks_do_not_end_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 1);
    let picture = data.join("trainA/000.png");
    for i in 0..120 {
        fs::copy(&picture, data.join(format!("trainA/b_{i:03}.png"))).unwrap();
    }
    train(&data, &out, &["--look-at", "foreground", "--max-iters", "20"]);
}

#[test]
fn a_run_that_ends_for_unusable_data_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 12);
    let corrupt = data.join("trainA/003.png");
    let bytes = fs::read(&corrupt).unwrap();
    fs::write(&corrupt, &bytes[..bytes.len() / 2]).unwrap();
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--strict"];
    let said = fails(
        &[&fixed, SMALL, &["--max-iters", "100", "--seed", "2"]].concat(),
        &["saved after iteration", text(&corrupt)],
    );
    let (_, after) = said.split_once("after iteration ").unwrap();
    let at: u64 = after.split(';').next().unwrap().parse().unwrap();
    assert!(at > 0 && out.join(format!("checkpoints/{at:08}.safetensors")).is_file(), "{said}");
}

/// Nobody may read the output: a closed pipe, or a full disk behind a log file.
#[test]
fn a_run_without_readers_goes_on_and_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 3);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let out = folder.path().join("full");
    let fixed = ["train", "--data", text(&data), "--max-iters", "4", "--print-freq", "1"];
    let mut command = program();
    command.args([&fixed, SMALL, &["--out", text(&out)]].concat());
    let status = command.stdout(full()).stderr(full()).status().unwrap();
    assert!(status.success() && out.join("checkpoints/00000004.safetensors").is_file());

    let check = ["check", "--data", text(&data)];
    let status = program().args(check).stdout(full()).status().unwrap();
    assert_eq!(status.code(), program().args(check).stdout(Stdio::null()).status().unwrap().code());
    let out = folder.path().join("closed");
    let mut command = program();
    command.args([&fixed, SMALL, &["--out", text(&out)]].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(out.join("checkpoints/00000004.safetensors").is_file());
}
