// SPDX-License-Identifier: MIT OR Apache-2.0

//! Students learn from a teacher, and their run is one as any other.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{fs, path::Path};

use common::{SMALL, data_set, fails, program, run};
use serde_json::{Map, Value};

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        data_set(&folder.path().join("data"), 3);
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Trains a pair of `more` in `name` and exports it to `name.pair`.
    fn teacher(&self, name: &str, more: &[&str]) {
        let (data, out, pair) =
            (self.path("data"), self.path(name), self.path(&format!("{name}.pair")));
        let arguments = ["train", "--data", &data, "--out", &out, "--max-iters", "2"];
        let domains = ["--domain-a", "disc", "--domain-b", "stripes"];
        run(&[&arguments[..], &domains, SMALL, more].concat());
        run(&["export", "--run", &out, "--out", &pair]);
    }

    /// The last line of a run's metrics.
    fn last_metrics(&self, name: &str) -> Map<String, Value> {
        let text = fs::read_to_string(Path::new(&self.path(name)).join("metrics.jsonl")).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

#[test]
fn an_onnx_generator_teaches_its_direction_and_the_run_goes_on() {
    let case = Case::new();
    case.teacher("big", &["--net-g", "resnet_6blocks"]);
    let (data, g, out) = (case.path("data"), case.path("big.pair/G.onnx"), case.path("small"));
    let arguments = ["compress", "--teacher", &g, "--data", &data, "--out", &out];
    let more = ["--mask-head", "--print-freq", "1", "--max-iters", "2", "--lambda-inverse", "1"];
    run(&[&arguments, SMALL, &more].concat());

    let teacher = Path::new(&out).join("teacher");
    let folders: Vec<_> = fs::read_dir(teacher).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let painted: Vec<_> = fs::read_dir(&folders[0]).unwrap().collect();
    assert_eq!(painted.len(), 3, "{painted:?}");
    let told = |name: &str| case.last_metrics("small").get(name).and_then(Value::as_f64);
    assert!(told("recon_A").unwrap() > 0.0 && told("inverse_A").unwrap() > 0.0);
    assert_eq!(told("recon_B"), None, "F has no teacher");

    run(&["train", "--resume", "--out", &out, "--max-iters", "3"]);
    assert_eq!(told("step"), Some(3.0));
    assert!(told("recon_A").unwrap() > 0.0, "the teacher is gone after --resume");
    let pair = case.path("small.pair");
    run(&["export", "--run", &out, "--out", &pair]);
    let card = fs::read_to_string(Path::new(&pair).join("README.md")).unwrap();
    assert!(card.contains("disc ⇄ stripes"), "{card}");
}

#[test]
fn two_files_teach_both_directions() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (data, out) = (case.path("data"), case.path("small"));
    let (g, f) = (case.path("big.pair/G.onnx"), case.path("big.pair/F.onnx"));
    let arguments = ["compress", "--teacher", &g, "--teacher", &f, "--data", &data, "--out", &out];
    run(&[&arguments, SMALL, &["--print-freq", "1", "--max-iters", "1"]].concat());
    let told = case.last_metrics("small");
    assert!(told.contains_key("recon_A") && told.contains_key("recon_B"), "{told:?}");
}

#[test]
fn teachers_that_cannot_teach_are_refused_and_leave_no_run() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (data, out, g) = (case.path("data"), case.path("small"), case.path("big.pair/G.onnx"));
    let picture = case.path("data/trainA/000.png");
    let compress = |more: &[&str], parts: &[&str]| {
        let arguments = ["compress", "--data", &data, "--out", &out];
        fails(&[&arguments[..], SMALL, more].concat(), parts);
        assert!(!Path::new(&out).exists(), "a run that never began left a folder");
    };
    compress(&["--teacher", &g, "--teacher", &g], &[&g, "A2B"]);
    compress(&["--teacher", &picture], &[&picture]);
    compress(&["--teacher", &g, "--lambda-recon-a", "-1"], &["--lambda-recon-a", "-1"]);
    let none = program().args(["compress", "--data", &data, "--out", &out]).output().unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("--teacher"));
}
