// SPDX-License-Identifier: MIT OR Apache-2.0

//! `extract`: frames from videos.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::common::{fails, program, run, say_skipped};

/// Writes two shots of 20 frames each: a still image, then snow, whose frames all differ.
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
fn near_duplicates_are_left_out_and_shots_are_detected() {
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
fn a_file_that_is_not_a_video_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise.mp4");
    fs::write(&path, b"no video at all").unwrap();
    let out = folder.path().join("out");
    let path = path.to_str().unwrap();
    fails(&["extract", path, "--out", out.to_str().unwrap()], &[path]);
    assert!(!out.exists(), "a folder is left of a video that is none");
}

#[test]
fn existing_frames_are_not_overwritten() {
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
    fails(&extract, &[out, "already exists", "--out"]);
    assert_eq!((names(), fs::read(&old).unwrap()), (first, b"mine".to_vec()));
}

/// Makes a video with ffmpeg; `None` without ffmpeg.
fn made(path: &Path, arguments: &str) -> Option<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-y"]).args(arguments.split_whitespace()).arg(path);
    let Ok(output) = ffmpeg.output() else {
        say_skipped("SKIP: no ffmpeg to make videos with");
        return None;
    };
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

const BARS: &str = "-f lavfi -i testsrc2=size=160x120:rate=25:d=0.4";

#[test]
fn videos_of_all_kinds_give_their_frames() {
    let folder = tempfile::tempdir().unwrap();
    let cover = "-f lavfi -i color=red:size=64x64:d=0.04 -map 1 -map 0 -c:v:0 mjpeg";
    let interlaced = "-vf setfield=tff -flags +ilme+ildct";
    for (name, codec) in [
        ("alpha.mov", "-pix_fmt yuva444p10le -c:v prores_ks -profile:v 4444"),
        ("alpha.webm", "-pix_fmt yuva420p -c:v libvpx-vp9 -auto-alt-ref 0"),
        ("interlaced.ts", &format!("-pix_fmt yuv422p -c:v mpeg2video {interlaced}")),
        ("interlaced.mov", &format!("-pix_fmt yuv422p10le -c:v prores_ks {interlaced}")),
        ("cover.mp4", &format!("{cover} -c:v:1 mpeg4")),
        ("jpegs.avi", "-c:v mjpeg"),
    ] {
        let (path, out) = (folder.path().join(name), folder.path().join(format!("{name}.frames")));
        if made(&path, &format!("{BARS} {codec}")).is_none() {
            return;
        }
        let (path, out) = (path.to_str().unwrap(), out.to_str().unwrap());
        run(&["extract", path, "--out", out, "--size", "0", "--distance", "0"]);
        let frames: Vec<_> = fs::read_dir(out).unwrap().map(|e| e.unwrap().path()).collect();
        // A demuxer may leave out the last frame or two of such a short video.
        assert!((8..=11).contains(&frames.len()), "{name}: {} frames", frames.len());
        let picture = image::open(&frames[0]).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (160, 120), "{name}");
        let (low, high) = (picture.iter().min().unwrap(), picture.iter().max().unwrap());
        assert!(high - low > 150, "{name}: {low} to {high}");
    }
}

#[test]
fn a_file_without_video_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [("a.wav", ""), ("a.m4a", "-c:a aac"), ("a.mkv", "-c:a aac")] {
        let path = folder.path().join(name);
        if made(&path, &format!("-f lavfi -i sine=d=1 {codec}")).is_none() {
            return;
        }
        let out = folder.path().join("out");
        let path = path.to_str().unwrap();
        fails(&["extract", path, "--out", out.to_str().unwrap()], &[path, "no video track"]);
    }
}

/// The decoder of animated GIFs of GStreamer 1.22 never ends; that of 1.26 does.
#[test]
fn a_hanging_decoder_times_out_and_ctrl_c_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.gif");
    if made(&path, BARS).is_none() {
        return;
    }
    let (path, out) = (path.to_str().unwrap(), folder.path().join("out"));
    let extract = ["extract", path, "--out", out.to_str().unwrap()];
    let begin = Instant::now();
    let stalled = program().args(extract).args(["--stall-timeout", "2"]).output().unwrap();
    if stalled.status.success() {
        assert!(fs::read_dir(&out).unwrap().count() > 0, "no frames");
        say_skipped("SKIP: GStreamer's decoder of animated GIFs does not hang here");
        return;
    }
    let said = String::from_utf8_lossy(&stalled.stderr);
    assert!(said.contains(path) && said.contains("no frame for 2 s"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());

    let _ = fs::remove_dir_all(&out);
    let mut child = program().args(extract).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it did not hang");
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("bash").args(["-c", &interrupt]).status().unwrap().success());
    let begin = Instant::now();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(ended.status.code() == Some(130) && said.contains("stopped after"), "{said}");
}
