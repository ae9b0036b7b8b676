// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loss terms that need extra networks or images.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use crate::common::{SMALL, data_set, fails, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The values of a loss, one per line of metrics.
fn course(run: &Path, name: &str) -> Vec<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let value = |line: &str| {
        let line: Map<String, Value> = serde_json::from_str(line).unwrap();
        line.get(name).and_then(Value::as_f64)
    };
    metrics.lines().filter_map(value).collect()
}

/// Asserts that a run that is stopped after `stop` iterations and resumed to `end` has the same checkpoint as an
/// uninterrupted one.
fn goes_on(data: &Path, folder: &Path, more: &[&str], stop: &str, end: &str) {
    let [whole, parts] = ["whole", "parts"].map(|name| folder.join(name));
    let train = |out: &Path, most: &str| {
        let fixed = ["train", "--data", text(data), "--out", text(out), "--mask-head"];
        run(&[&fixed, SMALL, more, &["--max-iters", most]].concat());
    };
    train(&whole, end);
    train(&parts, stop);
    run(&["train", "--resume", "--out", text(&parts), "--max-iters", end]);
    let last = |run: &Path| {
        let mut all: Vec<_> =
            fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        fs::read(all.pop().unwrap()).unwrap()
    };
    assert!(last(&whole) == last(&parts), "the checkpoints differ");
}

#[test]
fn patchnce_can_replace_the_cycle_loss() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 4);
    let nce = ["--lambda-nce", "1", "--lambda-a", "0", "--lambda-b", "0"];
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--lr", "2e-3"];
    run(&[&fixed[..], SMALL, &nce, &["--max-iters", "100", "--print-freq", "20"]].concat());
    for name in ["nce_A", "nce_B"] {
        let course = course(&out, name);
        assert!(course[4] < 0.8 * course[0], "{name}: {course:?}");
    }
    assert!(course(&out, "cycle_A").is_empty());
    goes_on(&data, folder.path(), &nce, "3", "6");
    // The option can be switched on and off on resume.
    let on = ["train", "--resume", "--out", text(&out), "--max-iters"];
    run(&[&on[..], &["101", "--lambda-nce", "0"]].concat());
    run(&[&on[..], &["102", "--lambda-nce", "1"]].concat());
}

#[test]
fn one_generator_is_trained_alone() {
    let folder = tempfile::tempdir().unwrap();
    let [data, both, out, pair, again] =
        ["data", "both", "run", "pair", "again"].map(|name| folder.path().join(name));
    data_set(&data, 4);
    let nce = [
        "--lambda-nce",
        "1",
        "--lambda-a",
        "0",
        "--lambda-b",
        "0",
        "--max-iters",
        "2",
        "--print-freq",
        "1",
    ];
    let validated = ["--eval-every", "1", "--val-features", "none", "--best-by", "negatives"];
    let negatives = data.join("trainB");
    let negatives = ["--negatives", text(&negatives)];
    let fixed = ["train", "--data", text(&data), "--out"];
    run(&[&fixed[..], &[text(&both)], SMALL, &nce, &validated, &negatives].concat());
    let only = ["--only", "g"];
    run(&[&fixed[..], &[text(&out)], SMALL, &nce, &validated, &negatives, &only].concat());
    // G is trained the same as together with F, and F is not trained.
    for name in ["nce_A", "D_A", "val_negative_A"] {
        assert!(!course(&out, name).is_empty(), "{name}");
        assert_eq!(course(&out, name), course(&both, name), "{name}");
    }
    for name in ["nce_B", "D_B", "val_negative_B", "val_cycle_A"] {
        assert!(course(&out, name).is_empty(), "{name}");
    }
    run(&["export", "--run", text(&out), "--out", text(&pair), "--variants", "fp16"]);
    let mut files: Vec<_> =
        fs::read_dir(&pair).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["G.fp16.onnx", "G.onnx", "README.md"]);
    let card = fs::read_to_string(pair.join("README.md")).unwrap();
    assert!(card.contains("G translates A to B. Made"), "{card}");
    let scores = ["eval", "--data", text(&data), "--features", "none"];
    run(&[&scores[..], &["--run", text(&out)]].concat());
    let on = ["train", "--resume", "--out", text(&out), "--max-iters", "3"];
    fails(&[&on[..], &["--lambda-a", "1"]].concat(), &["--only", "--lambda-a 0"]);

    // The files of one generator are enough to average it, and to train it further alone.
    run(&["export", "--run", text(&out), "--out", text(&again), "--average-with", text(&pair)]);
    let next = folder.path().join("next");
    let from = [text(&next), "--init-from", text(&pair), "--lambda-init", "1"];
    let fixed = [&fixed[..], &from].concat();
    fails(&[&fixed[..], SMALL, &nce].concat(), &["F.onnx", "a run with --only g does not need"]);
    run(&[&fixed[..], SMALL, &nce, &only].concat());
}

/// The feature network is a generator that was trained before.
#[test]
fn d_features_trains_discriminators_on_a_networks_features() {
    let folder = tempfile::tempdir().unwrap();
    let [data, first, pair, out] =
        ["data", "first", "pair", "run"].map(|name| folder.path().join(name));
    data_set(&data, 4);
    let fixed = ["train", "--data", text(&data), "--mask-head", "--out"];
    run(&[&fixed[..], &[text(&first), "--max-iters", "1"], SMALL].concat());
    run(&["export", "--run", text(&first), "--out", text(&pair)]);
    let features = pair.join("G.onnx");
    let looks = ["--d-features", text(&features)];
    // While the generators do not train, the loss of the discriminators falls.
    let more = ["--max-iters", "160", "--print-freq", "40", "--lr", "2e-3"];
    let waiting = ["--discriminators-first", "160"];
    run(&[&fixed[..], &[text(&out)], SMALL, &looks, &more, &waiting].concat());
    for name in ["DF_A", "DF_B"] {
        let course = course(&out, name);
        assert!(course[3] < 0.9 * course[0], "{name}: {course:?}");
    }
    // The generators learn from these discriminators.
    let weighted = |weight: &str| {
        let out = folder.path().join(format!("weight{weight}"));
        let weight = ["--lambda-d-features", weight, "--max-iters", "2"];
        run(&[&fixed[..], &[text(&out)], SMALL, &looks, &weight].concat());
        fs::read(out.join("checkpoints/00000002.safetensors")).unwrap()
    };
    assert!(weighted("0") != weighted("3"));
    // They learn without the usual discriminators as well.
    let alone = folder.path().join("alone");
    let more = ["--lambda-gan", "0", "--max-iters", "2", "--print-freq", "1"];
    run(&[&fixed[..], &[text(&alone)], SMALL, &looks, &more].concat());
    assert_eq!(course(&alone, "DF_A").len(), 2);
    assert!(course(&alone, "D_A").is_empty());
    let foreground = [&looks[..], &["--look-at", "foreground", "--lambda-flow", "1"]].concat();
    goes_on(&data, folder.path(), &foreground, "3", "6");

    let judged = ["--val-features", text(&features), "--max-iters", "1"];
    let none = folder.path().join("none");
    let again = [&fixed[..], &[text(&none)], SMALL, &looks, &judged].concat();
    fails(&again, &["--d-features", "scores with"]);
    let no = folder.path().join("trainA.onnx");
    fs::write(&no, "nothing").unwrap();
    fails(
        &[&fixed[..], &[text(&none)], SMALL, &["--d-features", text(&no)]].concat(),
        &["trainA.onnx"],
    );
    assert!(!none.exists());
}

#[test]
fn extra_images_are_used_only_by_the_generators() {
    let folder = tempfile::tempdir().unwrap();
    let [data, other] = ["data", "other"].map(|name| folder.path().join(name));
    data_set(&data, 4);
    data_set(&other, 3);
    // An unreadable image is reported and skipped.
    fs::write(other.join("trainA/broken.png"), "nothing").unwrap();
    let (of_a, of_b) = (other.join("trainA"), other.join("trainB"));
    let extra = ["--extra-a", text(&of_a), "--extra-b", text(&of_b), "--extra-share", "0.8"];
    let terms = ["--lambda-flow", "1", "--lambda-nce", "1", "--batch-size", "2"];
    goes_on(&data, folder.path(), &[&extra[..], &terms].concat(), "3", "6");

    // While the generators do not train, the discriminators are the same with and without extra images.
    let trained = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "3"];
        run(&[&fixed[..], SMALL, more].concat());
        fs::read(out.join("checkpoints/00000003.safetensors")).unwrap()
    };
    let waiting = ["--discriminators-first", "3"];
    assert!(trained("one", &waiting) == trained("two", &[&waiting[..], &extra].concat()));
    assert!(trained("three", &[]) != trained("four", &extra));

    let none = folder.path().join("none");
    let nobody = ["train", "--data", text(&data), "--out", text(&none)];
    let unused = ["--lambda-b", "0", "--lambda-flow", "0"];
    fails(&[&nobody[..], &unused, SMALL, &extra].concat(), &["--extra-b", "--lambda-nce"]);
    fails(
        &[&nobody[..4], &[text(&none)], SMALL, &["--extra-a", text(&data.join("trainC"))]].concat(),
        &["trainC"],
    );
}
