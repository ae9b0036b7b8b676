// SPDX-License-Identifier: MIT OR Apache-2.0

//! `--context` and `--skip`, from an exported pair without them to int8 files.

use std::{fs, path::Path};

use cyclegan_contract::onnx::{Message, ModelProto};

use crate::common::{SMALL, data_set, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The number of nodes of an operator in a file.
fn count(path: &Path, operator: &str) -> usize {
    let model = ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap();
    model.graph.unwrap().node.iter().filter(|node| node.op_type == operator).count()
}

#[test]
fn a_skip_is_added_to_a_pair_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [data, first, pair, out, again] = ["data", "first", "pair", "out", "again"].map(path);
    data_set(&data, 3);
    let train = |out: &Path, more: &[&str]| {
        let fixed = ["train", "--data", text(&data), "--out", text(out), "--mask-head"];
        run(&[&fixed, SMALL, more].concat());
    };
    let export = |run_folder: &Path, out: &Path, more: &[&str]| {
        let fixed = ["export", "--run", text(run_folder), "--out", text(out)];
        run(&[&fixed[..], more].concat());
    };
    train(&first, &["--max-iters", "2"]);
    export(&first, &pair, &[]);
    train(&out, &["--skip", "--init-from", text(&pair), "--max-iters", "5", "--lr", "1e-2"]);
    export(&out, &again, &["--variants", "int8,fp16", "--calibration-images", "2"]);
    for file in ["G.onnx", "F.int8.onnx", "F.fp16.onnx"] {
        let more = count(&again.join(file), "Conv") - 7;
        assert_eq!(more, 0, "{file}: stem, down, two of a block, up, skip and head");
    }
    // A pruned student keeps its teacher's skip.
    let student = path("student");
    let compress =
        ["compress", "--run", text(&out), "--out", text(&student), "--max-macs", "3.8e5"];
    run(&[&compress[..], &["--size", "32", "--max-iters", "2"]].concat());
    let config = fs::read_to_string(student.join("config.toml")).unwrap();
    assert!(config.contains("skip = true") && config.contains("pruned"), "{config}");
}

#[test]
fn context_is_added_to_a_pair_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (data, first, pair) = (path("data"), path("first"), path("pair"));
    data_set(&data, 3);
    let train = |out: &Path, more: &[&str]| {
        let fixed = ["train", "--data", text(&data), "--out", text(out), "--mask-head"];
        run(&[&fixed, SMALL, more].concat());
    };
    train(&first, &["--max-iters", "2"]);
    run(&["export", "--run", text(&first), "--out", text(&pair)]);
    // Once untrained, with zeros, and once trained.
    for (name, rate) in [("begun", "1e-30"), ("trained", "1e-2")] {
        let (out, exported) = (path(name), path(&format!("{name}-pair")));
        train(&out, &["--context", "--init-from", text(&pair), "--max-iters", "5", "--lr", rate]);
        let variants = ["--variants", "int8,fp16", "--calibration-images", "2"];
        run(&[&["export", "--run", text(&out), "--out", text(&exported)], &variants[..]].concat());
        for file in ["G.onnx", "F.int8.onnx", "F.fp16.onnx"] {
            assert_eq!(count(&exported.join(file), "GlobalAveragePool"), 1, "{file}");
        }
        // A run that starts with such files has the context path too.
        let (on, again) = (path(&format!("{name}-on")), path(&format!("{name}-again")));
        train(&on, &["--init-from", text(&exported), "--max-iters", "1"]);
        run(&["export", "--run", text(&on), "--out", text(&again)]);
        assert_eq!(count(&again.join("G.onnx"), "GlobalAveragePool"), 1);
    }
}
