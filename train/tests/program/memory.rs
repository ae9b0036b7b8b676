// SPDX-License-Identifier: MIT OR Apache-2.0

//! The peak memory of commands.

use std::{fs, mem::MaybeUninit, path::Path, process::Stdio};

use crate::common::{SMALL, data_set, program, run};

/// The program's peak memory in MiB.
fn peak(arguments: &[&str]) -> u64 {
    #[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
    let child = program().args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are valid for writing; a usage that is all zero is valid.
    let usage = unsafe {
        let pid = child.id() as libc::pid_t;
        assert_eq!(libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()), pid);
        usage.assume_init()
    };
    assert_eq!(status, 0, "{arguments:?}");
    usage.ru_maxrss as u64 / 1024
}

/// Most of this checkpoint is discriminators and their optimiser states.
#[test]
fn export_reads_only_the_generators() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data_set(&data, 2);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let export = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let (pair, data, to) = (text(&out.join("pair")), text(&data), text(&out));
        let train = ["train", "--data", &data, "--out", &to, "--max-iters", "1"];
        run(&[&train[..], SMALL, more].concat());
        let checkpoint = fs::metadata(out.join("checkpoints/00000001.safetensors")).unwrap();
        (peak(&["export", "--run", &to, "--out", &pair]), checkpoint.len() >> 20)
    };
    let (small, _) = export("small", &[]);
    let (large, size) = export("large", &["--net-d", "basic", "--ndf", "96"]);
    assert!(size > 120, "a checkpoint of {size} MiB");
    assert!(large < small + size / 2, "{large} MiB against {small}, for {size}");
}
