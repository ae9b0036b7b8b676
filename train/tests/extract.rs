// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames out of videos.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{fs, path::Path, process::Command};

use common::{fails, run};

/// Two shots of 20 frames each: a still picture, then snow, whose frames all differ.
fn video(path: &Path) {
    let pipeline = format!(
        "concat name=c ! videoconvert ! jpegenc ! avimux ! filesink location={} \
         videotestsrc num-buffers=20 pattern=smpte ! video/x-raw,width=160,height=120 ! c. \
         videotestsrc num-buffers=20 pattern=snow ! video/x-raw,width=160,height=120 ! c.",
        path.display()
    );
    let status =
        Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace()).status();
    assert!(status.unwrap().success());
}

#[test]
fn near_duplicates_are_left_out_and_shots_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.avi");
    video(&clip);
    let out = folder.path().join("trainA");
    let (clip, out) = (clip.to_str().unwrap(), out.to_str().unwrap());
    let output = run(&["extract", clip, "--out", out, "--size", "60"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("of 40 frames, 2 shots"), "{said}");
    let listing = fs::read_dir(out).unwrap();
    let names: Vec<String> =
        listing.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let still = names.iter().filter(|n| n.contains("_shot0001_")).count();
    assert_eq!(still, 1, "{names:?}");
    assert!(names.len() > 10, "{names:?}");
    let first = image::open(Path::new(out).join(&names[0])).unwrap();
    assert_eq!((first.width(), first.height()), (80, 60));
}

#[test]
fn a_file_that_is_no_video_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise.mp4");
    fs::write(&path, b"no video at all").unwrap();
    let out = folder.path().join("out");
    let path = path.to_str().unwrap();
    fails(&["extract", path, "--out", out.to_str().unwrap()], &[path]);
    assert!(!out.exists(), "a folder is left of a video that is none");
}

#[test]
fn frames_are_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let clip = |name: &str| {
        let path = folder.path().join(name).join("clip.avi");
        fs::create_dir(path.parent().unwrap()).unwrap();
        video(&path);
        path.to_str().unwrap().to_owned()
    };
    let (a, b) = (clip("a"), clip("b"));
    let out = folder.path().join("trainA");
    let out = out.to_str().unwrap();
    let extract =
        ["extract", &a, &b, "--out", out, "--size", "30", "--distance", "0", "--every", "10"];
    run(&extract);
    let names = || {
        let listing = fs::read_dir(out).unwrap();
        let mut names: Vec<String> =
            listing.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let first = names();
    let of = |start: &str| first.iter().filter(|n| n.starts_with(start)).count();
    assert_eq!((of("clip_shot"), of("clip-2_shot"), first.len()), (4, 4, 8), "{first:?}");

    let old = Path::new(out).join(&first[0]);
    fs::write(&old, b"mine").unwrap();
    fails(&extract, &[out, "there already", "--out"]);
    assert_eq!((names(), fs::read(&old).unwrap()), (first, b"mine".to_vec()));
}
