// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bad input ends with one line that says what is wrong and where.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{SMALL, data_set, fails, program, run, say_skipped};

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(images: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        data_set(&folder.path().join("data"), images);
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn train(&self, more: &[&str]) -> Vec<String> {
        let (data, out) = (self.data(), self.out());
        let fixed = ["train", "--data", text(&data), "--out", text(&out), "--max-iters", "4"];
        [&fixed, SMALL, more].concat().into_iter().map(str::to_owned).collect()
    }

    fn trained(images: u32) -> Self {
        let case = Self::new(images);
        run(&refs(&case.train(&[])));
        case
    }

    fn checkpoint(&self) -> PathBuf {
        self.out().join("checkpoints/00000004.safetensors")
    }

    fn fails_to_resume(&self, more: &[&str], parts: &[&str]) {
        let out = self.out();
        fails(&[&["train", "--resume", "--out", text(&out)], more].concat(), parts);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn refs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn missing_and_empty_folders_are_errors_that_leave_no_run() {
    let case = Case::new(2);
    let b = case.data().join("trainB");
    fs::remove_dir_all(&b).unwrap();
    fails(&refs(&case.train(&[])), &[text(&b)]);
    fs::create_dir(&b).unwrap();
    fails(&refs(&case.train(&[])), &[text(&b), "no images"]);
    assert!(!case.out().exists(), "a run that never began left a folder");
}

#[test]
fn one_image_per_domain_is_enough() {
    let case = Case::trained(1);
    assert!(case.checkpoint().is_file());
}

#[test]
fn images_smaller_than_the_crop_are_refused() {
    let case = Case::new(2);
    let more = ["--preprocess", "crop", "--crop-size", "64", "--load-size", "64"];
    fails(&refs(&case.train(&more)), &["trainA", "no usable image among 2:"]);
    fails(&refs(&case.train(&[&more[..], &["--strict"]].concat())), &["48×48", "64"]);
}

#[test]
fn a_corrupt_image_is_skipped_unless_strict() {
    let case = Case::new(2);
    let corrupt = case.data().join("trainA/001.png");
    let bytes = fs::read(&corrupt).unwrap();
    fs::write(&corrupt, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(&refs(&case.train(&[])));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("skipped: ") && said.contains(text(&corrupt)), "{said}");
    fs::remove_dir_all(case.out()).unwrap();
    fails(&refs(&case.train(&["--strict"])), &[text(&corrupt)]);
}

#[test]
fn a_run_is_not_overwritten() {
    let case = Case::trained(2);
    fails(&refs(&case.train(&[])), &[text(&case.out()), "--resume"]);
}

#[test]
fn an_export_keeps_a_readme_of_the_users() {
    let case = Case::trained(2);
    let (run_folder, pair) = (case.out(), case.folder.path().join("pair"));
    let readme = pair.join("README.md");
    fs::create_dir(&pair).unwrap();
    fs::write(&readme, "my own").unwrap();
    let export = ["export", "--run", text(&run_folder), "--out", text(&pair)];
    let said = String::from_utf8_lossy(&run(&export).stderr).into_owned();
    assert!(said.contains(text(&readme)) && said.contains("kept"), "{said}");
    assert_eq!(fs::read(&readme).unwrap(), b"my own");
    assert!(pair.join("F.onnx").is_file());
    fs::remove_file(&readme).unwrap();
    assert_eq!(run(&export).stderr, b"");
    let card = fs::read_to_string(&readme).unwrap();
    assert!(card.contains("iteration 4 of a run"));
    // `export` replaces a README.md that it wrote.
    fs::write(&readme, card.replace("iteration 4", "iteration 3")).unwrap();
    assert_eq!(run(&export).stderr, b"");
    assert_eq!(fs::read_to_string(&readme).unwrap(), card);
}

#[test]
fn a_run_of_a_newer_version_says_so() {
    let case = Case::trained(2);
    let path = case.out().join("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let newer = config.replace("[train]\n", "[train]\nfrom-tomorrow = 3\n");
    fs::write(&path, newer).unwrap();
    let parts = [text(&path), "unknown field `from-tomorrow`", "newer version"];
    case.fails_to_resume(&[], &parts);
}

/// Optional folders are often made before their images.
#[test]
fn an_empty_test_folder_is_no_test_folder() {
    let case = Case::new(2);
    fs::create_dir(case.data().join("testA")).unwrap();
    run(&refs(&case.train(&[])));
}

#[test]
fn a_number_that_a_run_cannot_keep_is_refused() {
    let case = Case::new(2);
    let large = ["--seed", "18446744073709551615"];
    fails(&refs(&case.train(&large)), &["--seed is 18446744073709551615", "at most"]);
}

#[test]
fn a_folder_without_a_run_is_not_resumed() {
    let case = Case::new(2);
    case.fails_to_resume(&[], &[text(&case.out()), "config.toml"]);
}

#[test]
fn a_run_without_a_checkpoint_is_started_again() {
    let case = Case::trained(2);
    let out = case.out();
    fs::remove_dir_all(out.join("checkpoints")).unwrap();
    case.fails_to_resume(&[], &[text(&out), "no checkpoint", "delete its folder"]);
    let parts = [text(&out), "before its first checkpoint", "delete this folder"];
    fails(&refs(&case.train(&[])), &parts);
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let case = Case::trained(2);
    let checkpoint = case.checkpoint();
    case.fails_to_resume(&["--ngf", "8"], &[text(&checkpoint), "another architecture", "stem"]);
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let case = Case::trained(2);
    let path = case.checkpoint();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    case.fails_to_resume(&[], &[text(&path), "truncated"]);
    let mut wrong = bytes.clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    fs::write(&path, wrong).unwrap();
    case.fails_to_resume(&[], &[text(&path), "checksum"]);
}

#[test]
fn sizes_and_numbers_of_threads_have_limits() {
    let case = Case::new(2);
    let huge: [(&[&str], &[&str]); 3] = [
        (
            &["--preprocess", "multi_scale_crop", "--load-size", "100000", "--crop-size", "32"],
            &["--load-size is 100000", "8192"],
        ),
        (&["--num-threads", "100000"], &["--num-threads is 100000", "1024"]),
        (&["--threads", "100000"], &["--threads is 100000", "1024"]),
    ];
    for (more, parts) in huge {
        fails(&refs(&case.train(more)), parts);
    }
    let data = case.data();
    let eval = ["eval", "--data", text(&data), "--run", "run"];
    let commands: [&[&str]; 12] = [
        &[&eval[..], &["--clip-frames", "0"]].concat(),
        &[&eval[..], &["--clip-frames", "1"]].concat(),
        &[&eval[..], &["--max-images", "0"]].concat(),
        &["extract", "clip.mp4", "--out", "frames", "--stall-timeout", "0"],
        &["extract", "clip.mp4", "--out", "frames", "--distance", "65"],
        &["check", "--data", text(&data), "--distance", "65"],
        &["export", "--run", "run", "--out", "pair", "--size", "0"],
        &["export", "--run", "run", "--out", "pair", "--size", "100000"],
        &["extract", "clip.mp4", "--out", "frames", "--size", "100000"],
        &["extract", "clip.mp4", "--out", "frames", "--max-per-shot", "0"],
        &["check", "--data", text(&data), "--load-size", "100000"],
        &["eval", "--data", text(&data), "--run", "run", "--size", "100000"],
    ];
    for command in commands {
        let output = program().args(command).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command:?}: {stderr}");
        assert!(stderr.contains("is not in "), "{command:?}: {stderr}");
    }
}

#[test]
fn an_option_that_needs_images_or_a_network_says_so() {
    let case = Case::new(2);
    let file = case.folder.path().join("notes.txt");
    fs::write(&file, "hello\n").unwrap();
    let (file, missing) = (text(&file), "/nonexistent");
    for option in ["--negatives", "--extra-a"] {
        let images = format!("expected a folder of images for {option}");
        fails(&refs(&case.train(&[option, file])), &[file, "a file", &images]);
        fails(&refs(&case.train(&[option, missing])), &[missing, "no such folder", &images]);
    }
    fails(&refs(&case.train(&["--d-features", file])), &[file, "not an ONNX model but text"]);
    fails(&["masks", "--data", "data", "--model", file], &[file, "not an ONNX model but text"]);
    let backbone = ["--mask-head", "--backbone", file];
    fails(&refs(&case.train(&backbone)), &[file, "not an ONNX model but text"]);
    let extract = ["extract", file, "--out", file];
    fails(&extract, &[file, "a file, expected a folder"]);
}

#[test]
fn shares_for_masks_are_within_their_range() {
    let (hue, model) = (["--hue", "0-90"], ["--model", "u2net.onnx"]);
    for (source, option, value) in [
        (hue, "--saturation", "1.5"),
        (hue, "--saturation", "NaN"),
        (hue, "--chroma", "-0.1"),
        (model, "--threshold", "2"),
    ] {
        let found = format!("{option} is {value}, expected 0 to 1");
        let masks = [&["masks", "--data", "data"][..], &source, &[option, value]];
        fails(&masks.concat(), &[&found]);
    }
}

#[test]
fn options_of_a_network_for_masks_are_refused_with_hues() {
    let (hue, model) = (["--hue", "0-90"], ["--model", "u2net.onnx"]);
    for (source, option) in [
        (hue, &["--soft"][..]),
        (hue, &["--threshold", "0.3"]),
        (hue, &["--class", "3"]),
        (hue, &["--size", "77"]),
        (model, &["--chroma", "0.1"]),
    ] {
        let masks = [&["masks", "--data", "data"][..], &source, option].concat();
        let output = program().args(masks).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option:?}: {stderr}");
        for part in [source[0], option[0], "cannot be used with"] {
            assert!(stderr.contains(part), "no `{part}` in: {stderr}");
        }
    }
}

#[test]
fn a_new_run_without_a_length_is_refused() {
    let case = Case::new(2);
    let epochs = ["--max-iters", "9", "--n-epochs", "0", "--n-epochs-decay", "0"];
    fails(&refs(&case.train(&epochs)), &["--n-epochs and --n-epochs-decay are 0", "expected"]);
    fails(&refs(&case.train(&["--max-iters", "0"])), &["--max-iters is 0", "at least 1"]);
    assert!(!case.out().exists(), "a run that never began left a folder");
}

#[test]
fn images_of_other_formats_are_named() {
    let case = Case::new(2);
    for name in ["1.heic", "2.HEIC", "3.gif"] {
        fs::write(case.data().join("trainA").join(name), "").unwrap();
    }
    let line =
        "trainA: 3 files of formats that are not read (gif, heic): convert them to JPEG or PNG";
    let data = case.data();
    let said = run(&["check", "--data", text(&data), "--load-size", "40"]).stdout;
    assert!(String::from_utf8_lossy(&said).contains(line), "{}", String::from_utf8_lossy(&said));
    let said = run(&refs(&case.train(&[]))).stderr;
    assert!(String::from_utf8_lossy(&said).contains(line), "{}", String::from_utf8_lossy(&said));
    fs::remove_file(data.join("trainA/000.png")).unwrap();
    fs::remove_file(data.join("trainA/001.png")).unwrap();
    fails(&["check", "--data", text(&data)], &["trainA: no images", "not read (gif, heic)"]);
}

/// A limit on the address space stands in for a machine with less memory.
#[test]
fn running_out_of_memory_is_one_line_and_leaves_no_run() {
    let case = Case::new(2);
    let train = refs(&case.train(&["--ndf", "1024", "--net-d", "basic"])).join(" ");
    let shell = format!("ulimit -v 2500000; exec {} {train}", program_path());
    let output = Command::new("bash").args(["-c", &shell]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in ["error: libtorch", "allocate memory", "--ndf"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert!(!case.out().exists(), "a run that never began left a folder");
}

#[test]
fn a_missing_cuda_device_is_an_error() {
    if tch::Cuda::is_available() {
        say_skipped("SKIP: there is a CUDA device here");
        return;
    }
    let case = Case::new(2);
    for name in ["cuda", "cuda:3"] {
        fails(&refs(&case.train(&["--device", name])), &[name, "0 CUDA devices"]);
    }
    fails(&refs(&case.train(&["--device", "gpu"])), &["gpu", "cuda:N"]);
}

#[test]
fn variants_without_calibration_images_are_refused() {
    let case = Case::trained(2);
    let (run_folder, pair) = (case.out(), case.folder.path().join("pair"));
    let export = ["export", "--run", text(&run_folder), "--out", text(&pair)];
    let int8 = [&export[..], &["--variants", "int8"]].concat();
    let empty = case.folder.path().join("empty");
    fs::create_dir_all(empty.join("trainA")).unwrap();
    let elsewhere = [&int8[..], &["--calibrate", text(&empty)]].concat();
    fails(&elsewhere, &["no images", "--calibrate", text(&empty)]);
    fails(&[&int8[..], &["--calibration-images", "0"]].concat(), &["--calibration-images"]);
    fails(&[&int8[..], &["--float-share", "2"]].concat(), &["--float-share", "0 to 1"]);
    fs::remove_dir_all(case.data()).unwrap();
    fails(&int8, &["no images", "--calibrate", text(&case.data())]);
    assert!(!pair.exists(), "half of a pair was written");
    run(&export);
}

/// Only the last iteration writes metrics and checks for NaN.
#[test]
fn nan_weights_are_not_saved() {
    let case = Case::new(2);
    let checkpoints = case.out().join("checkpoints");
    let wild = ["--lr", "1e30", "--max-iters", "8", "--print-freq", "1000", "--keep", "1"];
    let said =
        fails(&refs(&case.train(&wild)), &["NaN or infinite after iteration 8", "lower --lr"]);
    assert!(!said.contains("--mixed-precision") && !said.contains("--resume"), "{said}");
    assert!(!checkpoints.exists(), "a checkpoint was written");
    fs::remove_dir_all(case.out()).unwrap();

    run(&refs(&case.train(&[])));
    let good = fs::read(case.checkpoint()).unwrap();
    let bf16 = [&wild[..], &["--mixed-precision", "bf16"]].concat();
    case.fails_to_resume(&bf16, &["NaN or infinite", "--resume", "--mixed-precision no"]);
    assert_eq!(fs::read_dir(checkpoints).unwrap().count(), 1);
    assert!(fs::read(case.checkpoint()).unwrap() == good, "the good checkpoint changed");
}

/// A limit on file sizes stands in for a full disk.
#[test]
fn a_full_disk_ends_the_run_and_leaves_no_half_checkpoint() {
    let case = Case::new(2);
    let train = refs(&case.train(&[])).join(" ");
    let shell = format!("trap '' XFSZ; ulimit -f 16; exec {} {train}", program_path());
    let output = Command::new("bash").args(["-c", &shell]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("00000004"), "{stderr}");
    let advice = format!("free some, then delete {} and start again", text(&case.out()));
    assert!(stderr.contains(&advice), "{stderr}");
    assert_eq!(fs::read_dir(case.out().join("checkpoints")).unwrap().count(), 0);
}

/// A folder that cannot be made stands in for a full disk.
#[test]
fn a_sample_that_cannot_be_written_does_not_end_training() {
    let case = Case::trained(2);
    let out = case.out();
    fs::remove_dir_all(out.join("samples")).unwrap();
    fs::write(out.join("samples"), "").unwrap();
    let more = ["--max-iters", "8", "--display-freq", "1"];
    let said = run(&[&["train", "--resume", "--out", text(&out)], &more[..]].concat()).stderr;
    let said = String::from_utf8_lossy(&said);
    assert_eq!(said.matches("warning: no sample picture").count(), 1, "{said}");
    assert!(out.join("checkpoints/00000008.safetensors").is_file());
}

#[test]
fn a_full_disk_ends_an_export_and_leaves_no_half_file() {
    let case = Case::trained(2);
    let pair = case.folder.path().join("pair");
    let command = format!("export --run {} --out {}", text(&case.out()), text(&pair));
    let shell = format!("trap '' XFSZ; ulimit -f 4; exec {} {command}", program_path());
    let output = Command::new("bash").args(["-c", &shell]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("G."), "{stderr}");
    assert_eq!(fs::read_dir(&pair).unwrap().count(), 0);
}

fn program_path() -> String {
    program().get_program().to_str().unwrap().to_owned()
}
