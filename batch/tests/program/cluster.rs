// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ready files of `examples/cluster`: the Slurm one runs for real, on a cluster of this machine.

use std::{fs, path::Path, process::Command};

use cyclegan_test_support::slurm::Slurm;

use crate::common::{
    Place, generators, load_plugin,
    media::{make_clip, tracks},
    skip::{self, is_slow_wanted},
    text,
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cluster");
const CLIPS: usize = 16;

/// Whether a YAML file matches a JSON schema.
const VALIDATE: &str = "import sys, json, yaml, jsonschema
jsonschema.validate(yaml.safe_load(open(sys.argv[2])), json.load(open(sys.argv[1])))";

#[test]
fn the_kubernetes_job_fits_its_schema() {
    let Some(schema) = std::env::var_os("CYCLEGAN_TEST_KUBERNETES") else {
        return skip::say_skipped(
            "SKIP: the Kubernetes job is not checked: CYCLEGAN_TEST_KUBERNETES names no schema",
        );
    };
    let validate = |job: &Path| {
        // The system's, which Debian's packages are for; another Python may come first on the PATH.
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", VALIDATE]).arg(&schema).arg(job).output().unwrap()
    };
    let job = Path::new(EXAMPLES).join("kubernetes-job.yaml");
    let output = validate(&job);
    assert!(output.status.success(), "{}", text(&output));
    // A fault that the schema must find.
    let place = Place::new();
    let job = fs::read_to_string(job).unwrap();
    for (right, wrong) in [
        ("backoffLimitPerIndex: 4", "backoffLimitPerIndexes: 4"),
        ("completions: 4", "completions: many"),
        ("action: FailIndex", "action: Fail\n        onExit: 1"),
    ] {
        fs::write(place.path("job.yaml"), job.replace(right, wrong)).unwrap();
        assert!(text(&validate(&place.path("job.yaml"))).contains("ValidationError"), "{wrong}");
    }
}

#[test]
fn pods_that_fail_do_not_stop_the_others() {
    let job = fs::read_to_string(Path::new(EXAMPLES).join("kubernetes-job.yaml")).unwrap();
    for line in [
        "completionMode: Indexed",
        "restartPolicy: Never",
        "action: FailIndex",
        "--shard\", \"auto",
    ] {
        assert!(job.contains(line), "no '{line}'");
    }
}

/// Starts a Slurm, and an array of four tasks that translate the folder `in`.
fn submit(place: &Place, options: &[&str]) -> (Slurm, String) {
    let slurm = Slurm::start(place.path("slurm"));
    let programs = Path::new(env!("CARGO_BIN_EXE_cyclegan-batch")).parent().unwrap();
    let mut submit = slurm.command("sbatch");
    load_plugin(&mut submit);
    let paths = std::env::var("PATH").unwrap();
    submit
        .current_dir(place.path(""))
        .env("PATH", format!("{}:{paths}", programs.display()))
        .args(["--parsable", "--cpus-per-task=1"])
        .arg(Path::new(EXAMPLES).join("slurm.sbatch"))
        .args(["in", "--out", "out", "--model", "model.onnx", "--jobs", "1"])
        .args(["--filter", "inference-size=128"])
        .args(options);
    let job = slurm.submit(&mut submit);
    (slurm, job)
}

/// The output of a task of the array.
fn log(place: &Place, job: &str, task: usize) -> std::io::Result<String> {
    fs::read_to_string(place.path(format!("cyclegan-batch-{job}-{task}.log")))
}

#[test]
fn a_slurm_array_shares_the_pieces_of_a_film_though_a_task_is_killed() {
    if !is_slow_wanted("running a Slurm array") || !Slurm::is_installed() {
        return;
    }
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/film.mp4"), 500, 25);
    make_clip(&place.path("in/short.mp4"), 50, 25);
    let (slurm, job) = submit(&place, &["--shard", "auto", "--piece", "1"]);
    slurm.wait_for("pieces", |_| place.segments().len() >= 4);
    // The task that holds the film is killed, and another one continues.
    let status = Command::new(env!("CARGO_BIN_EXE_cyclegan-batch"))
        .current_dir(place.path(""))
        .args(["--status", "--out", "out"])
        .output()
        .unwrap();
    let pid =
        text(&status).split("out/film.mp4: is being translated by ").nth(1).unwrap().to_owned();
    let pid = pid.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    Command::new("kill").args(["-9", &pid]).status().unwrap();
    slurm.wait_for_the_end();
    let logs: Vec<String> = (1..=4).map(|task| log(&place, &job, task).unwrap()).collect();
    for (name, frames) in [("film.mp4", 500), ("short.mp4", 50)] {
        let line = format!("out/{name}: {frames} frames");
        assert_eq!(logs.concat().matches(&line).count(), 1, "{name}: {logs:?}");
        assert_eq!(tracks(&place.out(name))[0].times.len(), frames);
    }
    let helped = logs.iter().filter(|log| log.contains(" of it here")).count();
    assert!(helped > 0, "nobody helped: {logs:?}");
}

#[test]
fn a_slurm_array_translates_a_folder_though_a_task_is_killed() {
    if !is_slow_wanted("running a Slurm array") || !Slurm::is_installed() {
        return;
    }
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/0.mp4"), 50, 25);
    for number in 1..CLIPS {
        fs::copy(place.path("in/0.mp4"), place.path(format!("in/{number}.mp4"))).unwrap();
    }
    let (slurm, job) = submit(&place, &[]);
    let log = |task: usize| log(&place, &job, task);
    // One task is killed during its work. Slurm reports it as running before it starts.
    let victim = format!("{job}_2");
    slurm.wait_for("running task", |slurm| slurm.is(&victim, "RUNNING"));
    slurm.wait_for("work in the outputs", |_| place.out(".cyclegan-batch").is_dir());
    slurm.wait_for("word of its share", |_| log(2).is_ok_and(|log| log.contains("share 2/4: ")));
    slurm.requeue(&victim);
    slurm.wait_for_the_end();

    let logs: Vec<String> = (1..=4).map(|task| log(task).unwrap()).collect();
    assert_eq!(
        logs[1].matches("share 2/4: ").count(),
        2,
        "the second task was not begun twice: {}",
        logs[1]
    );
    for number in 0..CLIPS {
        let name = format!("{number}.mp4");
        let finished: usize =
            logs.iter().map(|log| log.matches(&format!("out/{name}: 50 frames")).count()).sum();
        assert_eq!(finished, 1, "{name} was translated {finished} times: {logs:?}");
        assert_eq!(tracks(&place.out(&name))[0].times.len(), 50);
    }
    assert!(logs.iter().all(|log| log.contains(", 0 failed")), "{logs:?}");
}
