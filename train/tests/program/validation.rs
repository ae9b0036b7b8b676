// SPDX-License-Identifier: MIT OR Apache-2.0

//! `--eval-every`: validation scores of a run, and its best checkpoint.

use std::{fs, path::Path};

use cyclegan_train::{checkpoint, run_folder::RunFolder};
use serde_json::{Map, Value};
use tch::Device;

use crate::common::{SMALL, data_set, fails, run, say_skipped};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Image count and value of the lines of metrics that have `name`.
fn course(run: &Path, name: &str) -> Vec<(u64, f64)> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let point = |line: &str| {
        let line: Map<String, Value> = serde_json::from_str(line).unwrap();
        Some((line["images"].as_u64().unwrap(), line.get(name)?.as_f64().unwrap()))
    };
    metrics.lines().filter_map(point).collect()
}

#[test]
fn a_run_is_scored_and_its_best_checkpoint_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out, pair] = ["data", "run", "pair"].map(|name| folder.path().join(name));
    data_set(&data, 8);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--mask-head"];
    let neither = data.join("trainB_mask");
    let scored = ["--eval-every", "4", "--val-features", "none", "--best-by", "cycle"];
    // The learning rate is so large that the first score is the best.
    let more = ["--max-images", "14", "--lr", "0.02", "--negatives", text(&neither)];
    run(&[&fixed[..], SMALL, &scored, &more, &["--max-iters", "10"]].concat());
    let best = out.join("checkpoints/best.safetensors");
    run(&["train", "--resume", "--out", text(&out), "--max-iters", "100"]);
    let [a, b] = ["val_cycle_A", "val_cycle_B"].map(|name| course(&out, name));
    assert_eq!(a.iter().map(|p| p.0).collect::<Vec<_>>(), [4, 8, 10, 12, 14]);
    assert_eq!(course(&out, "val_negative_B").len(), 5);
    let sums: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a.1 + b.1).collect();
    let least = sums.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    // The checkpoint has its image count.
    let bytes = fs::read(&best).unwrap();
    let state = String::from_utf8_lossy(&bytes[..4096.min(bytes.len())]).into_owned();
    let images = format!("\\\"images\\\":{},", a[least].0);
    assert!(state.contains(&images), "{images} of {sums:?}: {state}");
    let page = fs::read_to_string(out.join("report/index.html")).unwrap();
    assert!(page.contains("Validation: cycle error"));

    run(&["export", "--run", text(&out), "--best", "--out", text(&pair)]);
    let card = fs::read_to_string(pair.join("README.md")).unwrap();
    assert!(card.contains(&format!("iteration {} of", a[least].0)), "{card}");
    fs::remove_file(&best).unwrap();
    let export = ["export", "--run", text(&out), "--best", "--out", text(&pair)];
    fails(&export, &["best.safetensors", "--eval-every"]);
}

/// The image count of the best checkpoint.
fn images_of_best(run: &Path) -> u64 {
    let bytes = fs::read(run.join("checkpoints/best.safetensors")).unwrap();
    let state = String::from_utf8_lossy(&bytes[..4096.min(bytes.len())]).into_owned();
    let (_, images) = state.split_once("\\\"images\\\":").unwrap();
    images.split(',').next().unwrap().parse().unwrap()
}

/// The best checkpoint is compared with later ones by the new score.
#[test]
fn another_score_or_other_networks_choose_another_best_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out, pair] = ["data", "run", "pair"].map(|name| folder.path().join(name));
    data_set(&data, 8);
    let neither = data.join("trainB_mask");
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--mask-head"];
    let scored = ["--eval-every", "2", "--val-features", "none", "--best-by", "cycle"];
    // The learning rate is so large that the first score is the best.
    let more = ["--lr", "0.02", "--negatives", text(&neither), "--norm", "instance"];
    run(&[&fixed[..], SMALL, &scored, &more, &["--max-iters", "4"]].concat());
    let kept = images_of_best(&out);
    let resume = ["train", "--resume", "--out", text(&out), "--max-iters"];
    run(&[&resume[..], &["8", "--best-by", "negatives"]].concat());
    let [a, b] = ["val_negative_A", "val_negative_B"].map(|name| course(&out, name));
    let sums = a.iter().zip(&b).map(|(a, b)| (a.0, a.1 + b.1));
    let compared = sums.filter(|(images, _)| *images == kept || *images > 4);
    let expected = compared.min_by(|x, y| x.1.total_cmp(&y.1)).unwrap().0;
    assert_eq!(images_of_best(&out), expected, "{a:?} {b:?}");

    // Worse, but of the networks that the run now has.
    run(&[&resume[..], &["9", "--norm", "frozen", "--lr", "0.3"]].concat());
    assert_eq!(images_of_best(&out), 9);
    run(&["export", "--run", text(&out), "--best", "--out", text(&pair)]);
}

/// A run that is killed after it has kept its best checkpoint resumes before it.
#[test]
fn a_best_checkpoint_of_a_later_iteration_is_replaced_only_by_a_better_one() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 6);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "2"];
    let scored = ["--eval-every", "2", "--val-features", "none", "--best-by", "cycle"];
    run(&[&fixed[..], SMALL, &scored].concat());
    let run_folder = RunFolder::open(&out).unwrap();
    let (_, mut model) = checkpoint::open_newest(&run_folder, Device::Cpu).unwrap();
    model.images = 9;
    let scores = ["val_cycle_A", "val_cycle_B"].map(|name| (name.to_owned(), 0.0.into()));
    checkpoint::save_best(&run_folder.checkpoints(), &model, &Map::from_iter(scores)).unwrap();
    run(&["train", "--resume", "--out", text(&out), "--max-iters", "4"]);
    assert_eq!(images_of_best(&out), 9);
}

/// The checkpoint is written before its score.
#[test]
fn a_score_that_a_killed_run_lacks_is_measured_when_it_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 6);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "4"];
    let scored = ["--eval-every", "2", "--val-features", "none", "--best-by", "cycle"];
    run(&[&fixed[..], SMALL, &scored].concat());
    let metrics = out.join("metrics.jsonl");
    let whole = course(&out, "val_cycle_A");
    let without_last = || {
        let lines = fs::read_to_string(&metrics).unwrap();
        let kept =
            lines.lines().filter(|line| !line.contains("\"images\":4") || line.contains("G_A"));
        fs::write(&metrics, kept.flat_map(|line| [line, "\n"]).collect::<String>()).unwrap();
        fs::remove_file(out.join("checkpoints/best.safetensors")).unwrap();
    };
    // A complete run, and one that continues.
    for most in ["4", "5"] {
        without_last();
        assert_eq!(course(&out, "val_cycle_A"), whole[..1]);
        run(&["train", "--resume", "--out", text(&out), "--max-iters", most]);
        assert_eq!(course(&out, "val_cycle_A")[..2], whole, "--max-iters {most}");
        assert!(images_of_best(&out) >= 4);
    }
}

/// Scores of other images are not comparable, here of fewer, and perfect ones.
#[test]
fn another_validation_set_chooses_another_best_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    validated_data_set(&data);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "2"];
    let scored = ["--eval-every", "2", "--val-features", "none", "--best-by", "cycle"];
    run(&[&fixed[..], SMALL, &scored].concat());
    let run_folder = RunFolder::open(&out).unwrap();
    let scores = |value: f64| {
        let mut kept = checkpoint::scores_of_best(&run_folder.checkpoints()).unwrap();
        for name in ["val_cycle_A", "val_cycle_B"] {
            kept.insert(name.to_owned(), value.into());
        }
        kept
    };
    let (_, model) = checkpoint::open_newest(&run_folder, Device::Cpu).unwrap();
    checkpoint::save_best(&run_folder.checkpoints(), &model, &scores(0.0)).unwrap();
    let resume = |most: &str| {
        let said = run(&["train", "--resume", "--out", text(&out), "--max-iters", most]).stdout;
        String::from_utf8_lossy(&said).contains("is of other validation images")
    };
    assert!(!resume("4"));
    assert_eq!(images_of_best(&out), 2);
    fs::rename(data.join("valA/002.png"), data.join("valA/003.png")).unwrap();
    assert!(resume("6"));
    assert_eq!(images_of_best(&out), 6);
}

#[test]
fn a_run_that_is_shorter_than_the_interval_is_scored_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 6);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "3"];
    let scored = ["--eval-every", "100", "--val-features", "none", "--best-by", "cycle"];
    run(&[&fixed[..], SMALL, &scored].concat());
    assert_eq!(images_of_best(&out), 3);
}

/// A data set with three validation images in each domain.
fn validated_data_set(data: &Path) {
    data_set(data, 6);
    for name in ["valA", "valB"] {
        fs::create_dir(data.join(name)).unwrap();
        for file in ["000.png", "001.png", "002.png"] {
            let from = data.join(name.replace("val", "train")).join(file);
            fs::copy(from, data.join(name).join(file)).unwrap();
        }
    }
}

#[test]
fn a_resumed_run_warns_that_it_has_trained_on_validation_images() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 6);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "1"];
    let said = run(&[&fixed[..], SMALL].concat()).stdout;
    assert!(String::from_utf8_lossy(&said).contains("trained 1 iteration, 1 image\n"));
    let warns = |most: &str| {
        let scored = ["--eval-every", "1", "--val-features", "none", "--best-by", "cycle"];
        let resume = ["train", "--resume", "--out", text(&out), "--max-iters", most];
        let said = run(&[&resume[..], &scored].concat()).stderr;
        String::from_utf8_lossy(&said).contains("warning: --eval-every: the run has trained")
    };
    assert_eq!([warns("2"), warns("3")], [true, false]);
}

#[test]
fn validation_does_not_change_training() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    validated_data_set(&data);
    let trained = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "6"];
        run(&[&fixed[..], SMALL, more].concat());
        fs::read(out.join("checkpoints/00000006.safetensors")).unwrap()
    };
    let scored = ["--eval-every", "2", "--val-features", "none", "--best-by", "cycle"];
    assert!(trained("one", &[]) == trained("other", &scored));
}

#[test]
fn kid_is_measured_if_the_network_is_present() {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache"));
    if !Path::new(&cache)
        .join("cycleganfilter/efficientnet-lite0/efficientnet_lite0.onnx")
        .is_file()
    {
        return say_skipped("SKIP: no feature network, fetch it with `./dev setup eval`");
    }
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 6);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-images", "4"];
    run(&[&fixed[..], SMALL, &["--eval-every", "2"]].concat());
    for name in ["val_kid_A", "val_kid_B"] {
        let course = course(&out, name);
        assert!(course.len() == 2 && course.iter().all(|p| p.1.is_finite()), "{name} {course:?}");
    }
    assert!(out.join("checkpoints/best.safetensors").is_file());
}

#[test]
fn a_corrupt_validation_image_is_skipped_unless_strict() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    validated_data_set(&data);
    let corrupt = data.join("valA/003.png");
    fs::write(&corrupt, "no image").unwrap();
    let [out, strict] = ["run", "strict"].map(|name| folder.path().join(name));
    let fixed = ["train", "--data", text(&data), "--max-iters", "4"];
    let scored = ["--eval-every", "2", "--val-features", "none", "--best-by", "cycle"];
    let to = |more: &[&'static str]| [&fixed[..], SMALL, &scored, more].concat();
    let output = run(&[&to(&[])[..], &["--out", text(&out)]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("skipped: ") && said.contains(text(&corrupt)), "{said}");
    assert_eq!(course(&out, "val_cycle_A").len(), 2);
    let strict = ["--out", text(&strict)];
    fails(&[&to(&["--strict"])[..], &strict].concat(), &[text(&corrupt)]);
    fs::remove_file(data.join("valA/000.png")).unwrap();
    let parts = ["--eval-every: 2 readable validation images of A, expected at least 3"];
    fails(&[&to(&[])[..], &strict].concat(), &parts);
}

#[test]
fn missing_scores_are_errors_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "run"].map(|name| folder.path().join(name));
    data_set(&data, 6);
    let fixed = ["train", "--data", text(&data), "--out", text(&out), "--eval-every", "2"];
    let refused = |more: &[&str], parts: &[&str]| {
        fails(&[&fixed[..], SMALL, more].concat(), parts);
        assert!(!out.exists());
    };
    refused(&["--val-features", "none"], &["--val-features none", "--best-by"]);
    let by = ["--val-features", "none", "--best-by", "negatives"];
    refused(&by, &["--best-by negatives", "--negatives"]);
    refused(&["--val-features", "nowhere.onnx"], &["nowhere.onnx"]);
    refused(&["--max-dataset-size", "3"], &["trainA", "more than the 3"]);
}
