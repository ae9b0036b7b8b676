// SPDX-License-Identifier: MIT OR Apache-2.0

//! `--init-from`: runs that start with an exported pair.

use std::{fs, path::Path};

use cyclegan_contract::onnx::{Message, ModelProto};

use crate::common::{SMALL, data_set, fails, run};

#[test]
fn a_run_starts_with_the_weights_of_exported_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, first, pair) = (path("data"), path("first"), path("pair"));
    data_set(Path::new(&data), 3);
    let train = |out: &str, more: &[&str]| {
        let fixed = ["train", "--data", &data, "--out", out, "--mask-head"];
        let arguments = [&fixed, SMALL, more].concat();
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refs =
        |arguments: &[String]| run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    refs(&train(&first, &["--max-iters", "3"]));
    run(&["export", "--run", &first, "--out", &pair]);

    // Whether a run from `pair` has left its generators unchanged.
    let kept = |name: &str, more: &[&str]| {
        let (out, again) = (path(name), path(&format!("{name}-exported")));
        refs(&train(&out, &[more, &["--seed", "9", "--init-from", &pair]].concat()));
        run(&["export", "--run", &out, "--out", &again]);
        ["G.onnx", "F.onnx"].map(|file| {
            let read = |pair: &str| fs::read(Path::new(pair).join(file)).unwrap();
            read(&pair) == read(&again)
        })
    };
    // With a learning rate too small to change a weight, the run exports what it started with.
    assert_eq!(kept("second", &["--max-iters", "1", "--lr", "1e-30"]), [true, true]);
    let waiting = |iterations| ["--discriminators-first", "2", "--max-iters", iterations];
    assert_eq!(kept("fourth", &waiting("2")), [true, true], "the generators did not wait");
    assert_eq!(kept("fifth", &waiting("3")), [false, false], "the generators did not learn");

    let third = path("third");
    let refused = |more: &[&str], parts: &[&str]| {
        let arguments = train(&third, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fails(&arguments, &[parts, &["G.onnx"]].concat());
        assert!(!Path::new(&third).exists(), "a run that never began left a folder");
    };
    let other = "another architecture";
    refused(&["--init-from", &pair, "--ngf", "8"], &[other, "stem.weight [4, 3, 5, 5]"]);
    refused(&["--init-from", &pair, "--blocks", "2"], &[other, "block2.1.weight"]);
    refused(&["--init-from", &pair, "--norm", "instance"], &[other]);
    refused(&["--init-from", &data], &["No such file"]);
    let file = Path::new(&pair).join("G.onnx");
    let mut model = ModelProto::decode(fs::read(&file).unwrap().as_slice()).unwrap();
    model.metadata_props.retain(|entry| entry.key != "cyclegan.shape");
    fs::write(&file, model.encode_to_vec()).unwrap();
    refused(&["--init-from", &pair], &["no `cyclegan.shape`"]);
}

/// Widths, blocks, normalisation and mask head are those of the files, which have no folded normalisation.
#[test]
fn exported_files_describe_their_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = path("data");
    data_set(Path::new(&data), 3);
    let small = ["--load-size", "40", "--crop-size", "32", "--ndf", "4", "--device", "cpu"];
    let iterations = ["--max-iters", "1", "--discriminators-first", "1", "--dropout", "false"];
    let train = |out: &str, more: &[&str]| {
        run(&[&["train", "--data", &data, "--out", out], &small[..], &iterations, more].concat());
    };
    for (name, more) in [
        ("fast", "--net-g fast --ngf 4 --width 12 --blocks 2 --norm instance --mask-head"),
        ("folded", "--net-g fast --ngf 4 --width 8 --blocks 1 --norm batch"),
        ("resnet", "--net-g resnet_6blocks --ngf 4"),
    ] {
        let (first, pair, second) =
            (path(name), path(&format!("{name}-pair")), path(&format!("{name}-2")));
        train(&first, &more.split(' ').collect::<Vec<_>>());
        run(&["export", "--run", &first, "--out", &pair]);
        train(&second, &["--init-from", &pair]);
        run(&["export", "--run", &second, "--out", &path("again")]);
        for file in ["G.onnx", "F.onnx"] {
            let read = |pair: &str| {
                let bytes = fs::read(Path::new(pair).join(file)).unwrap();
                ModelProto::decode(bytes.as_slice()).unwrap().graph
            };
            assert!(read(&pair) == read(&path("again")), "{name} {file}");
        }
    }
}

/// Exports G entirely from the initial pair and F entirely from the run, then both in between.
#[test]
fn export_averages_a_run_with_its_initial_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, first, pair) = (path("data"), path("first"), path("pair"));
    let second = path("second");
    data_set(Path::new(&data), 3);
    let train = |out: &str, more: &[&str]| {
        let fixed = ["train", "--data", &data, "--out", out, "--mask-head", "--max-iters", "2"];
        run(&[&fixed, SMALL, more].concat());
    };
    let export = |run_folder: &str, name: &str, more: &[&str]| {
        let out = path(name);
        run(&[&["export", "--run", run_folder, "--out", &out], more].concat());
        ["G.onnx", "F.onnx"].map(|file| fs::read(Path::new(&out).join(file)).unwrap())
    };
    train(&first, &[]);
    let initial = export(&first, "pair", &[]);
    train(&second, &["--init-from", &pair]);
    let ended = export(&second, "ended", &[]);
    let averaged = |name: &str, a: &str, b: &str| {
        let with = ["--average-with", &pair, "--average-a", a, "--average-b", b];
        export(&second, name, &with)
    };
    let apart = averaged("apart", "1", "0");
    assert!(apart[0] == initial[0] && apart[1] == ended[1], "each share is its own generator's");
    let between = averaged("between", "0.5", "0.5");
    for (file, between) in between.iter().enumerate() {
        assert!(*between != initial[file] && *between != ended[file]);
    }
    let export = ["export", "--run", &second, "--out", &path("none"), "--average-with", &pair];
    fails(&[&export[..], &["--average-a", "2"]].concat(), &["--average-a is 2", "0 to 1"]);
}

/// The target is the pair as it is, also if the run adds low-pass filters to it or freezes its normalisation.
#[test]
fn lambda_init_measures_the_distance_from_the_pair() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, first, pair, out) = (path("data"), path("first"), path("pair"), path("run"));
    data_set(Path::new(&data), 3);
    let fixed = ["train", "--data", &data, "--print-freq", "1"];
    let small: Vec<&str> =
        SMALL.iter().filter(|o| !["--print-freq", "5"].contains(o)).copied().collect();
    let begin = ["--out", &first, "--max-iters", "2", "--norm", "instance"];
    run(&[&fixed[..], &small, &begin].concat());
    run(&["export", "--run", &first, "--out", &pair]);
    let near = ["--init-from", &pair, "--lambda-init", "1", "--max-iters", "1", "--blur", "g"];
    run(&[&fixed[..], &small, &near, &["--out", &out]].concat());
    let metrics = fs::read_to_string(Path::new(&out).join("metrics.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
    let distance = |name: &str| line[name].as_f64().unwrap();
    assert!(distance("init_A") > 1e-4 && distance("init_B") < 1e-6, "{line}");
    run(&["train", "--resume", "--out", &out, "--norm", "frozen", "--max-iters", "2"]);
}
