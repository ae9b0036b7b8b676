// SPDX-License-Identifier: MIT OR Apache-2.0

//! A run that is stopped and resumed ends the same as an uninterrupted one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use cyclegan_train::{checkpoint, run_folder::RunFolder};
use serde_json::Value;
use tch::Device;

use crate::common::{SMALL, data_set, fails, program, run};

fn train<'a>(data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let arguments = ["train", "--data", data, "--out", out, "--mask-head", "--seed", "5"];
    [&arguments, SMALL, more].concat()
}

fn on_threads<'a>(threads: &'a str, mut arguments: Vec<&'a str>) -> Vec<&'a str> {
    let option = arguments.iter().position(|a| *a == "--threads").unwrap();
    arguments[option + 1] = threads;
    arguments
}

fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(300), "no {}", path.display());
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_and_resumed_run_is_byte_identical() {
    killed_and_resumed("1");
}

#[test]
fn a_resumed_run_is_byte_identical_with_two_threads() {
    killed_and_resumed("2");
}

fn killed_and_resumed(threads: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 6);
    let data = data.to_str().unwrap();
    let whole = folder.path().join("whole");
    let begin = train(data, whole.to_str().unwrap(), &["--max-iters", "20"]);
    run(&on_threads(threads, begin));

    let parts = folder.path().join("parts");
    let out = parts.to_str().unwrap();
    let more = ["--max-iters", "100000", "--save-latest-freq", "10", "--keep", "100000"];
    let mut child = program().args(on_threads(threads, train(data, out, &more))).spawn().unwrap();
    wait_for(&parts.join("checkpoints/00000010.safetensors"));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended before it was killed");
    // The iteration at which the signal arrives depends on the machine.
    for checkpoint in fs::read_dir(parts.join("checkpoints")).unwrap() {
        let checkpoint = checkpoint.unwrap();
        if checkpoint.file_name() != "00000010.safetensors" {
            fs::remove_file(checkpoint.path()).unwrap();
        }
    }
    run(&["train", "--resume", "--out", out, "--max-iters", "20", "--keep", "3"]);

    let last = "checkpoints/00000020.safetensors";
    let (whole, parts) = (fs::read(whole.join(last)).unwrap(), fs::read(parts.join(last)).unwrap());
    assert!(whole == parts, "the checkpoints differ");
}

/// Learning rate and epoch of each line of metrics, by its image count.
fn course(run: &Path) -> BTreeMap<u64, (f64, u64)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let point = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let course = (line["lr"].as_f64().unwrap(), line["epoch"].as_u64().unwrap());
        (line["images"].as_u64().unwrap(), course)
    };
    text.lines().map(point).collect()
}

#[test]
fn another_batch_size_continues_at_the_same_learning_rate() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 4);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, one, two) = (data.to_str().unwrap(), path("one"), path("two"));
    let more = [
        "--print-freq",
        "4",
        "--n-epochs",
        "2",
        "--n-epochs-decay",
        "4",
        "--lr",
        "1e-4",
        "--warmup",
        "0",
    ];
    run(&train(data, &one, &more));
    run(&train(data, &two, &[&more[..], &["--max-iters", "12"]].concat()));
    let resume = ["train", "--resume", "--out", &two, "--batch-size", "4", "--crop-size", "40"];
    let said = run(&[&resume[..], &["--max-iters", "1000"]].concat());
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("trained 15 iterations, 24 images"), "{said}");
    let (one, two) = (course(Path::new(&one)), course(Path::new(&two)));
    assert_eq!(one.keys().copied().collect::<Vec<_>>(), [4, 8, 12, 16, 20, 24]);
    // A batch of four has the learning rate of its first image.
    for (images, at_four) in [(4, 4), (12, 12), (16, 16), (20, 20), (24, 24)] {
        assert_eq!(one[&images], two[&at_four], "after {images} images");
    }
    assert!(one[&24].0 < one[&4].0 / 2.0);
}

/// A learning rate that a plateau lowered belongs to that policy.
#[test]
fn a_lowered_learning_rate_is_not_that_of_another_policy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 4);
    let out = folder.path().join("run");
    let more = ["--lr-policy", "plateau", "--max-iters", "4", "--print-freq", "1", "--warmup", "0"];
    run(&train(data.to_str().unwrap(), out.to_str().unwrap(), &more));
    let folder = RunFolder::open(&out).unwrap();
    let (_, mut model) = checkpoint::open_newest(&folder, Device::Cpu).unwrap();
    model.plateau.factor = 0.2;
    checkpoint::save(&folder.checkpoints(), &model, 1).unwrap();
    let resume = ["train", "--resume", "--out", out.to_str().unwrap(), "--lr", "1e-4"];
    run(&[&resume[..], &["--max-iters", "5"]].concat());
    run(&[&resume[..], &["--max-iters", "6", "--lr-policy", "linear"]].concat());
    let rates: Vec<f64> = course(&out).values().map(|point| point.0).collect();
    assert!((rates[4] - 0.2e-4).abs() < 1e-12 && (rates[5] - 1e-4).abs() < 1e-12, "{rates:?}");
}

#[test]
fn an_interrupt_saves_a_checkpoint_and_the_run_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 4);
    let run_folder = folder.path().join("run");
    let out = run_folder.to_str().unwrap();
    let more = ["--n-epochs", "100000", "--max-iters", "100000", "--save-latest-freq", "5"];
    let mut arguments = train(data.to_str().unwrap(), out, &more);
    let print_freq = arguments.iter().position(|a| *a == "--print-freq").unwrap();
    arguments[print_freq + 1] = "100000";
    let mut command = program();
    command.args(arguments).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_for(&run_folder.join("checkpoints/00000005.safetensors"));
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("bash").args(["-c", &interrupt]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    // A script with `set -e` must not go on with a run that is not finished.
    assert_eq!(ended.status.code(), Some(130), "{said}");
    let (_, after) = said.split_once("stopped after iteration ").unwrap();
    let (at, rest) = after.split_once(' ').unwrap();
    assert!(
        rest.starts_with(&format!("of 100000; `train --resume --out {out}` continues")),
        "{said}"
    );
    let at: u64 = at.parse().unwrap();
    assert!(run_folder.join(format!("checkpoints/{at:08}.safetensors")).is_file());
    // A resumed run reads there how long it has trained.
    assert_eq!(course(&run_folder).last_key_value().unwrap().0, &at);

    let end = (at + 2).to_string();
    let ended = run(&["train", "--resume", "--out", out, "--max-iters", &end]);
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(said.contains(&format!("trained {end} iterations")), "{said}");
}

/// Two processes would overwrite each other's checkpoints.
#[test]
fn a_run_is_trained_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 4);
    let run_folder = folder.path().join("run");
    let out = run_folder.to_str().unwrap();
    let more = ["--n-epochs", "100000", "--max-iters", "100000", "--save-latest-freq", "2"];
    let mut child = program().args(train(data.to_str().unwrap(), out, &more)).spawn().unwrap();
    wait_for(&run_folder.join("checkpoints/00000002.safetensors"));
    let resume = ["train", "--resume", "--out", out, "--max-iters", "3"];
    fails(&resume, &[out, "another process trains this run"]);
    // Nor is the folder to be deleted.
    let again = train(data.to_str().unwrap(), out, &more);
    fails(&again, &[out, "another process trains this run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    run(&resume);
}

#[test]
fn only_the_newest_checkpoints_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 4);
    let out = folder.path().join("run");
    let more = ["--max-iters", "9", "--save-latest-freq", "2", "--keep", "2"];
    run(&train(data.to_str().unwrap(), out.to_str().unwrap(), &more));
    let listing = fs::read_dir(out.join("checkpoints")).unwrap();
    let mut names: Vec<_> =
        listing.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["00000008.safetensors", "00000009.safetensors"]);
}

#[test]
fn a_damaged_checkpoint_is_skipped_for_the_previous_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 4);
    let run_folder = folder.path().join("run");
    let out = run_folder.to_str().unwrap();
    let checkpoint = |n: u32| run_folder.join(format!("checkpoints/{n:08}.safetensors"));
    run(&train(data.to_str().unwrap(), out, &["--max-iters", "6", "--save-latest-freq", "2"]));
    let newest = fs::read(checkpoint(6)).unwrap();
    fs::write(checkpoint(6), &newest[..1000]).unwrap();

    let says = |arguments: &[&str]| {
        let stderr = String::from_utf8_lossy(&run(arguments).stderr).into_owned();
        let part = "00000006.safetensors: not a checkpoint, or truncated";
        assert!(stderr.contains(part), "{stderr}");
        assert_eq!(stderr.matches("warning: ").count(), 1, "{stderr}");
        assert!(stderr.contains(&format!("using {} instead", checkpoint(4).display())), "{stderr}");
    };
    let pair = folder.path().join("pair");
    says(&["export", "--run", out, "--out", pair.to_str().unwrap()]);
    let card = fs::read_to_string(pair.join("README.md")).unwrap();
    assert!(card.contains("iteration 4 of a run"), "{card}");
    // The run ends before the iteration of the damaged checkpoint, which must neither count as the newest nor be
    // kept instead of a valid one.
    says(&["train", "--resume", "--out", out, "--max-iters", "5", "--keep", "1"]);
    assert_eq!(fs::read_dir(run_folder.join("checkpoints")).unwrap().count(), 1);
    run(&["train", "--resume", "--out", out, "--max-iters", "6"]);
    assert!(fs::read(checkpoint(6)).unwrap() == newest, "the checkpoints differ");
}
