// SPDX-License-Identifier: MIT OR Apache-2.0

//! The job script of `examples/cluster` trains on a local Slurm cluster.

use std::{env, fs, path::Path};

use cyclegan_test_support::{skip, slurm::Slurm};
use serde_json::Value;

use crate::common::{SMALL, data_set, program, run, say_skipped};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cluster/train.slurm");

/// Two killed processes resume from their last checkpoint, and not from the pair of `--init-from`.
#[test]
fn a_requeued_slurm_job_resumes() {
    if !cfg!(feature = "mpi") {
        say_skipped("SKIP: built without the feature `mpi`");
        return;
    }
    if !skip::is_slow_wanted("training as a Slurm job") || !Slurm::is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    data_set(Path::new(&path("data")), 6);
    let (data, first, pair) = (path("data"), path("first"), path("pair"));
    let train = ["train", "--data", &data, "--out", &first, "--mask-head", "--max-iters", "1"];
    run(&[&train, SMALL].concat());
    run(&["export", "--run", &first, "--out", &pair]);

    let slurm = Slurm::start(folder.path().join("slurm"));
    let program = program();
    let programs = Path::new(program.get_program()).parent().unwrap();
    let mut submit = slurm.command("sbatch");
    submit
        .current_dir(folder.path())
        .env("PATH", format!("{}:{}", programs.display(), env::var("PATH").unwrap()))
        .env("OMP_NUM_THREADS", "1")
        // mpirun refuses to run as root without these.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .args(["--parsable", "--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1"])
        .args(["--gpus-per-node=0", "--output=job.log", SCRIPT])
        .args(["--data", "data", "--out", "run", "--init-from", "pair", "--mask-head"])
        .args(SMALL)
        .args([
            "--n-epochs",
            "1000",
            "--max-iters",
            "300",
            "--save-latest-freq",
            "40",
            "--print-freq",
            "10",
        ]);
    let job = slurm.submit(&mut submit);
    let log = || fs::read_to_string(path("job.log")).unwrap_or_default();
    slurm.wait_for("checkpoint", |slurm| {
        assert!(slurm.state(&job).is_some(), "the job ended: {}", log());
        fs::read_dir(path("run/checkpoints")).is_ok_and(|mut files| files.next().is_some())
    });
    slurm.requeue(&job);
    slurm.wait_for_the_end();

    let log = log();
    assert!(log.contains("trained 300 iterations"), "{log}");
    let metrics = fs::read_to_string(path("run/metrics.jsonl")).unwrap();
    let step = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64();
    let steps: Vec<_> = metrics.lines().map(step).collect();
    let expected: Vec<_> = (1..=60).map(|k| Some(5 * k)).collect();
    assert_eq!(steps, expected);
}
