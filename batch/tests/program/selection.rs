// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which files are translated, and which part of each.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    self, Place,
    ffmpeg::{self, BARS, TONE, make as make_file},
    media::{self, make, small_clip},
    text,
};

#[test]
fn a_part_of_each_video_is_translated() {
    let place = Place::new();
    media::make_clip(&place.path("in/a.mp4"), 100, 25);
    let options = ["in", "--start", "1", "--end", "3", "--frames", "20", "--verify"];
    let said = place.run(&options);
    assert!(said.contains("a.mp4: 20 frames"), "{said}");
    let tracks = media::tracks(&place.out("a.mp4"));
    assert_eq!(tracks[0].times.len(), 20);
    let end = |track: &media::Track| *track.shown().last().unwrap();
    assert!(end(&tracks[1]).abs_diff(end(&tracks[0])) < 60, "{tracks:?}");
    let said = place.said(&["in", "--start", "9"]);
    assert!(said.contains("has no frames in that range: it lasts 4.0 s"), "{said}");
}

#[test]
fn searches_take_what_is_included_and_not_excluded() {
    let place = Place::new();
    for name in ["a.mp4", "b.mp4", "c.mkv"] {
        small_clip(&place.input(name));
    }
    let said = place.run(&["in", "--dry-run", "--include", "*.mp4", "--exclude", "b.*"]);
    assert!(said.contains("out/a.mp4") && said.contains("1 file:"), "{said}");
}

#[cfg(unix)]
#[test]
fn names_of_other_encodings_are_chosen_too() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let place = Place::new();
    // `été` in Latin-1.
    let name = OsStr::from_bytes(b"\xE9t\xE9.mkv");
    small_clip(&place.path("in/a.mp4"));
    fs::copy(place.path("in/a.mp4"), place.input(name)).unwrap();
    let dry = |more: &[&str]| place.run(&[&["in", "--dry-run"], more].concat());
    assert!(dry(&["--include", "*.mkv"]).contains("1 file:"));
    assert!(dry(&["--exclude", "*.mkv"]).contains("1 file:"));
    assert!(dry(&[]).contains("2 files:"));
}

#[test]
fn what_nothing_decodes_is_named() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    for name in ["b.jxl", "x/c.JXL", "notes.txt"] {
        fs::create_dir_all(place.path("in/x")).unwrap();
        fs::write(place.input(name), "something").unwrap();
    }
    let said = place.run(&["in"]);
    for file in ["in/b.jxl", "in/x/c.JXL"] {
        let note = format!("note: {file}: is skipped: JPEG XL images");
        assert!(said.contains(&note), "{said}");
    }
    assert!(said.contains("1 translated") && said.matches("note:").count() == 2, "{said}");
    let said = place.said(&["in/x"]);
    assert!(said.contains("JPEG XL images (.jxl) cannot"), "{said}");
}

#[test]
fn pipes_among_the_files_do_not_block() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    for name in ["b.mp4", "c.png", "d.webp"] {
        let made = Command::new("mkfifo").arg(place.input(name)).status().unwrap();
        assert!(made.success(), "{name}");
    }
    let mut program = place.program();
    let mut running = program.arg("in").stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while running.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(60) {
            running.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(50));
    }
    let said = text(&running.wait_with_output().unwrap());
    assert_eq!(said.matches("is not a file").count(), 3, "{said}");
    assert!(place.out("a.mp4").is_file(), "{said}");
}

#[test]
fn samples_are_spread_over_each_video() {
    let place = Place::new();
    // 24 s in the middle of which another sample lies, and 6 s that have no room for three of 5 s.
    let clip = "videotestsrc num-buffers=COUNT ! video/x-raw,width=160,height=120,framerate=5/1 ! x264enc key-int-max=5 ! mp4mux ! OUT";
    make(&place.path("in/long.mp4"), &clip.replace("COUNT", "120"));
    make(&place.path("in/short.mp4"), &clip.replace("COUNT", "30"));
    let sound = " audiotestsrc num-buffers=1000 ! opusenc ! mux.";
    let muxed = clip.replace("mp4mux", "matroskamux name=mux").replace("COUNT", "30") + sound;
    make(&place.path("in/sound.mkv"), &muxed);
    let late = muxed.replace("videotestsrc", "videotestsrc timestamp-offset=12000000000");
    make(&place.path("in/late.mkv"), &late);
    make(&place.path("in/still.png"), "videotestsrc num-buffers=1 ! pngenc ! OUT");
    let said = place.run(&["in", "--sample", "3"]);
    assert!(said.contains("13 translated"), "{said}");
    let videos = [("long.mp4", 25), ("short.mp4", 10), ("sound.mkv", 10), ("late.mkv", 10)];
    for (name, frames) in videos {
        let (stem, extension) = name.split_once('.').unwrap();
        for sample in 1..=3 {
            let output = place.out(&format!("{stem}.sample-{sample}.{extension}"));
            assert_eq!(media::tracks(&output)[0].times.len(), frames, "{}", output.display());
        }
    }
    assert!(place.out("still.png").is_file());
    // They do not replace the outputs of the whole videos, and are not made again.
    let said = place.run(&["in", "--sample", "3"]);
    assert!(said.contains("0 translated, 13 up to date"), "{said}");
    assert!(place.run(&["in"]).contains("4 translated, 1 up to date"));
}

/// Their times do not start at 0, and players show times from their start.
#[test]
fn parts_are_counted_from_the_start_of_a_file() {
    let Some(place) = Place::of_ffmpeg("parts of files that start late") else { return };
    let late = "-output_ts_offset 10 -c:v libx264 -c:a aac -g 10";
    let files = [
        ("late.mkv", late),
        ("plain.mkv", "-c:v libx264 -c:a aac -g 10"),
        ("late.mp4", late),
        ("late.ts", late),
        ("a.mpg", "-c:v mpeg2video -bf 2 -c:a mp2"),
    ];
    for (name, codecs) in files {
        make_file(&place.input(name), &[BARS, TONE, codecs].join(" "));
    }
    for (options, frames) in [
        ("--start 1 --end 2", 25),
        ("--end 1", 25),
        ("--start 1.5 --frames 2", 2),
        ("--sample 1", 75),
    ] {
        let all =
            ["in", "--name", "{stem}.{from}.{ext}", "--report", "page.html", "--container", "mkv"];
        let said = place.run(&all.into_iter().chain(options.split(' ')).collect::<Vec<_>>());
        assert!(!said.contains("note:"), "{options}: {said}");
        let outputs = fs::read_dir(place.path("out")).unwrap().flatten().map(|file| file.path());
        let outputs: Vec<_> = outputs.filter(|path| path.is_file()).collect();
        assert_eq!(outputs.len(), files.len(), "{options}: {outputs:?}");
        for output in &outputs {
            assert_eq!(ffmpeg::frames(output), frames, "{options}: {}", output.display());
        }
        fs::remove_dir_all(place.path("out")).unwrap();
    }
    for name in ["late.mkv", "plain.mkv"] {
        place.run(&[&*format!("in/{name}"), "--start", "1", "--end", "2"]);
    }
    let psnr = ffmpeg::psnr(&place.out("late.mkv"), &place.out("plain.mkv"));
    assert!(psnr > 40.0, "{psnr} dB");
}

/// Two frames of 30 a second start a third of a nanosecond after a whole one, as 0.066667 s is a little after one.
#[test]
fn a_part_may_begin_and_end_a_little_after_a_frame() {
    let Some(place) = Place::of_ffmpeg("parts that begin after a frame") else { return };
    let codecs = "-c:v libx264 -preset ultrafast -g 30 -c:a aac";
    let source = "-f lavfi -i testsrc2=size=160x120:rate=30 -f lavfi -i sine -frames:v 304 -t 10.2";
    make_file(&place.path("in/a.mp4"), &[source, codecs].join(" "));
    for (options, name, frames) in [
        ("--start 0.066667", "a.mkv", 302),
        ("--end 0.066667", "a.mkv", 2),
        ("--sample 1", "a.sample-1.mkv", 150),
    ] {
        let all = ["in", "--container", "mkv", "--overwrite"].into_iter();
        let said = place.run(&all.chain(options.split(' ')).collect::<Vec<_>>());
        assert!(!said.contains("note:"), "{options}: {said}");
        let video = ffmpeg::streams(&place.out(name)).remove(0);
        assert_eq!((video.times.len(), video.times[0]), (frames, 0.0), "{options}: {said}");
    }
}

#[test]
fn searches_leave_out_old_files_and_deep_folders() {
    let place = Place::new();
    for name in ["in/old.mp4", "in/new.mp4", "in/sub/deep.mp4"] {
        small_clip(&place.path(name));
    }
    let date = "2020-02-03 12:00";
    let age = |name: &str, date: &str| {
        let mut touch = Command::new("touch");
        touch.args(["--date", date]).arg(place.path(name));
        assert!(touch.status().unwrap().success());
    };
    age("in/old.mp4", "2020-02-03 11:59");
    fs::write(place.path("stamp"), b"").unwrap();
    age("stamp", date);
    for newer in [date, "2020-02-03T12:00:00", "stamp"] {
        let said = place.run(&["in", "--dry-run", "--newer", newer]);
        assert!(said.contains("out/new.mp4") && said.contains("2 files:"), "{newer}: {said}");
    }
    for inputs in ["in", "in/**/*.mp4"] {
        let said = place.run(&[inputs, "--dry-run", "--max-depth", "1"]);
        assert!(said.contains("out/old.mp4") && said.contains("2 files:"), "{inputs}: {said}");
    }
    let refused = place.program().args(["in", "--newer", "yesterday"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("--newer yesterday: neither a file nor a date"));
}

#[test]
fn options_come_from_a_file() {
    let place = Place::new();
    for name in ["clips/a.mp4", "clips/b.mkv"] {
        small_clip(&place.path(name));
    }
    let file = place.path("night/zebra.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(
        &file,
        "inputs = ['../clips']\nout = '../made'\nmodel = '../model.onnx'\nname = '{stem}.z.{ext}'\n\
         filter = 'inference-size=64'\nexclude = '*.mkv'\n",
    )
    .unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_cyclegan-batch"));
    common::load_plugin(&mut program);
    program.current_dir(place.path("")).args(["--config", "night/zebra.toml"]);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(place.path("made/a.z.mp4").is_file() && !place.path("made/b.z.mkv").exists());
}
