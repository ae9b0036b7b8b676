// SPDX-License-Identifier: MIT OR Apache-2.0

//! Instance normalisation that is frozen, trained further and folded into convolutions.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::common::{SMALL, data_set, fails, program, run};

/// Whether training with these arguments freezes the normalisation.
fn freezes(arguments: &[&str]) -> bool {
    String::from_utf8_lossy(&run(arguments).stdout).contains("froze the normalisation")
}

/// Whether the exported G contains each of these names.
fn exported_has<const N: usize>(pair: &str, names: [&[u8]; N]) -> [bool; N] {
    let bytes = fs::read(Path::new(pair).join("G.onnx")).unwrap();
    names.map(|name| bytes.windows(name.len()).any(|window| window == name))
}

#[test]
fn a_run_continues_frozen_and_exports_plain_convolutions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair, on) = (path("data"), path("run"), path("pair"), path("on"));
    data_set(Path::new(&data), 3);
    let begin = ["train", "--data", &data, "--out", &out, "--max-iters", "2"];
    let frozen = ["--norm", "frozen"];
    fails(&[&begin[..], SMALL, &frozen].concat(), &["--norm frozen", "--resume"]);
    run(&[&begin[..], SMALL, &["--norm", "instance", "--mask-head"]].concat());
    let resume = ["train", "--resume", "--out", &out, "--max-iters"];
    assert!(freezes(&[&resume[..], &["4"], &frozen].concat()));
    // After that it is an ordinary run.
    assert!(!freezes(&[&resume[..], &["6"]].concat()));
    // `export` compares the files with libtorch.
    run(&["export", "--run", &out, "--out", &pair]);
    assert_eq!(exported_has(&pair, [b"Conv", b"Normalization"]), [true, false]);
    // Such a file is a network without normalisation, which can be trained further.
    let on = ["train", "--data", &data, "--out", &on, "--max-iters", "1", "--mask-head"];
    let on = [&on[..], SMALL, &["--init-from", &pair]].concat();
    fails(&[&on[..], &["--norm", "batch"]].concat(), &["--norm none"]);
    run(&[&on[..], &["--norm", "none"]].concat());
}

/// Without this, the weights of a run without normalisation were used behind one.
#[test]
fn only_instance_normalisation_can_be_frozen_and_no_other_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, recipe) = (path("data"), path("recipe.toml"));
    data_set(Path::new(&data), 3);
    for (old, refused) in [("none", ["frozen", "instance"]), ("instance", ["none", "batch"])] {
        let out = path(old);
        let begin = ["train", "--data", &data, "--out", &out, "--max-iters", "1", "--norm", old];
        run(&[&begin[..], SMALL].concat());
        let found = format!("--norm {old}");
        for new in refused {
            let resume = ["train", "--resume", "--out", &out, "--max-iters", "2", "--norm", new];
            fails(&resume, &[&format!("--norm {new}"), &found]);
        }
    }
    let stages =
        "norm = \"none\"\n\n[[stage]]\nimages = 2\n\n[[stage]]\nimages = 2\nnorm = \"frozen\"\n";
    std::fs::write(&recipe, format!("data = \"data\"\nout = \"r\"\n{stages}")).unwrap();
    fails(&["train", "--recipe", &recipe], &["stage 2", "`norm` is frozen", "none"]);
}

#[test]
fn a_run_is_frozen_and_gets_a_backbone_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair) = (path("data"), path("run"), path("pair"));
    data_set(Path::new(&data), 3);
    let begin = ["train", "--data", &data, "--out", &out, "--max-iters", "2", "--mask-head"];
    let small = ["--ngf", "4", "--width", "8", "--blocks", "1"];
    run(&[&begin[..], SMALL, &small, &["--net-g", "fast", "--norm", "instance"]].concat());
    let backbone = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/horse2zebra/G.onnx");
    let both = ["--norm", "frozen", "--backbone", backbone];
    let resume = ["train", "--resume", "--out", &out, "--max-iters"];
    assert!(freezes(&[&resume[..], &["4"], &both].concat()));
    assert!(!freezes(&[&resume[..], &["6"]].concat()));
    run(&["export", "--run", &out, "--out", &pair]);
    assert_eq!(exported_has(&pair, [b"seen", b"Normalization"]), [true, false]);
}

/// A run that is killed after freezing and before its first regular checkpoint is complete.
#[test]
fn a_frozen_run_has_a_checkpoint_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair) = (path("data"), path("run"), path("pair"));
    data_set(Path::new(&data), 3);
    let begin = ["train", "--data", &data, "--out", &out, "--max-iters", "2"];
    run(&[&begin[..], SMALL, &["--norm", "instance"]].concat());
    let metrics = fs::read_to_string(Path::new(&out).join("metrics.jsonl")).unwrap();
    let before = metrics.lines().count();
    let resume = ["train", "--resume", "--out", &out, "--norm", "frozen"];
    // Too long to end before it is killed.
    let long = ["--max-iters", "1000000", "--n-epochs", "1000000", "--save-latest-freq", "1000000"];
    let mut child = program().args([&resume[..], &long].concat()).spawn().unwrap();
    let text = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    // A new line of metrics shows that training has started.
    let begin = Instant::now();
    while text("metrics.jsonl").lines().count() <= before {
        assert!(begin.elapsed() < Duration::from_secs(120), "no metrics");
        sleep(Duration::from_millis(20));
    }
    assert!(text("config.toml").contains("norm = \"frozen\""), "{}", text("config.toml"));
    child.kill().unwrap();
    child.wait().unwrap();
    run(&["export", "--run", &out, "--out", &pair]);
}
