// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two ranks with one image each train the same as one rank with both.

use std::{fs, path::Path, process::Command};

use safetensors::SafeTensors;

use crate::common::{SMALL, data_set, program, run, say_skipped};

/// A tensor of the checkpoint after ten iterations.
fn values(run: &str, name: &str) -> Vec<f32> {
    let bytes = fs::read(Path::new(run).join("checkpoints/00000020.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap().data().to_vec();
    data.chunks(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect()
}

#[test]
fn two_ranks_with_one_image_match_one_rank_with_two() {
    if !cfg!(feature = "mpi") {
        say_skipped("SKIP: built without the feature `mpi`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, one, two) = (path("data"), path("one"), path("two"));
    data_set(Path::new(&data), 6);
    let train = |out: &str, batch: &str| {
        let fixed = ["train", "--data", &data, "--out", out, "--mask-head", "--max-iters", "10"];
        // Each rank draws its own random motion.
        let more = ["--pool-size", "50", "--norm-d", "none", "--lambda-flow", "0"];
        let more = [&more[..], &["--batch-size", batch]].concat();
        let arguments = [&fixed, SMALL, &more].concat();
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let single = train(&one, "2");
    run(&single.iter().map(String::as_str).collect::<Vec<_>>());
    let output = Command::new("mpirun")
        .args(["--allow-run-as-root", "--oversubscribe", "-n", "2"])
        .arg(program().get_program())
        .args(train(&two, "1"))
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for network in ["G", "F", "D_G", "D_F"] {
        for what in ["weights", "adam_m"] {
            let name = format!("{network}.{what}");
            let (one, two) = (values(&one, &name), values(&two, &name));
            let worst = one.iter().zip(&two).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{name}: {worst}");
        }
    }
}

/// The ranks agree on the end of a run with a length in minutes; all must report it.
#[test]
fn ranks_end_together_after_their_minutes() {
    if !cfg!(feature = "mpi") {
        say_skipped("SKIP: built without the feature `mpi`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    data_set(Path::new(&path("data")), 4);
    let output = Command::new("timeout")
        .args(["300", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"])
        .arg(program().get_program())
        .args(["train", "--data", &path("data"), "--out", &path("run"), "--max-minutes", "0.05"])
        .args(SMALL)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
}

/// A rank that fails must not leave the others waiting.
#[test]
fn an_error_ends_all_processes() {
    if !cfg!(feature = "mpi") {
        say_skipped("SKIP: built without the feature `mpi`");
        return;
    }
    let output = Command::new("mpirun")
        .args(["--allow-run-as-root", "--oversubscribe", "-n", "2"])
        .arg(program().get_program())
        .args(["train", "--data", "/nowhere", "--out", "/nowhere/run"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/nowhere/trainA"), "{stderr}");
}
