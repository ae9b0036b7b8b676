// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many files: finding and resuming them, and damaged ones among them.

use std::{
    fs, io::Write, os::unix::fs::symlink, path::PathBuf, process::Stdio, thread, time::Duration,
};

use serde_json::Value;

use crate::common::{
    self, Place, generators,
    media::{self, colours, make, make_clip, small_clip},
    skip::say_skipped,
    text,
};

#[test]
fn finished_files_are_skipped_until_something_changes() {
    let place = Place::new();
    for name in ["in/a.mp4", "in/sub/b.mkv"] {
        small_clip(&place.path(name));
    }
    let said = place.run(&["in", "--jobs", "2"]);
    assert!(said.contains("2 translated, 0 up to date, 0 failed; 6 frames"), "{said}");
    let written = |name: &str| fs::metadata(place.out(name)).unwrap().modified().unwrap();
    let before = written("a.mp4");
    assert!(place.run(&["in"]).contains("0 translated, 2 up to date"));
    assert_eq!(written("a.mp4"), before);

    // Another input, another option, another generator, an output that is gone.
    small_clip(&place.path("in/a.mp4"));
    assert!(place.run(&["in"]).contains("1 translated, 1 up to date"));
    assert!(place.run(&["in", "--filter", "strength=0.5"]).contains("2 translated, 0 up to date"));
    place.generator(&generators::identity());
    assert!(place.run(&["in", "--filter", "strength=0.5"]).contains("2 translated, 0 up to date"));
    fs::remove_file(place.out("sub/b.mkv")).unwrap();
    assert!(place.run(&["in", "--filter", "strength=0.5"]).contains("1 translated, 1 up to date"));
}

#[test]
fn outputs_of_earlier_runs_are_no_inputs() {
    let place = Place::new();
    let run = |input: &str| place.run(&[input, "--name", "{stem}.zebra.{ext}"]);
    small_clip(&place.out("a.mp4"));
    // Beside the inputs.
    assert!(run("out").contains("1 file: 1 translated, 0 up to date"));
    assert!(run("out").contains("1 file: 0 translated, 1 up to date"));
    // Below them, from a run into another folder.
    fs::rename(place.path("out"), place.path("in/one")).unwrap();
    for input in ["in", "in/**/*.mp4"] {
        let said = run(input);
        assert!(said.contains("1 file: "), "{said}");
        let note = "note: in/one: holds 1 output of an earlier run, left out";
        assert!(said.contains(note), "{said}");
    }
    assert!(run("in/one").contains("2 files: 1 translated, 1 up to date"));
}

#[test]
fn a_run_that_was_killed_before_the_last_step_takes_it() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    place.run(&["in"]);
    let own = fs::read_dir(place.out(".cyclegan-batch")).unwrap().next().unwrap().unwrap().path();
    fs::rename(place.out("a.mp4"), own.join("unfinished")).unwrap();
    assert!(place.run(&["in"]).contains("0 translated, 1 up to date"));
    assert!(place.out("a.mp4").is_file() && !own.join("unfinished").exists());
}

/// The disk is full when the segments are joined.
#[test]
fn segments_outlive_an_output_that_cannot_be_written() {
    let place = Place::new();
    make_clip(&place.path("in/a.mp4"), 75, 25);
    let arguments = ["in", "--piece", "1"];
    place.run(&arguments);
    fs::remove_file(place.out("a.mp4")).unwrap();
    let own = fs::read_dir(place.out(".cyclegan-batch")).unwrap().next().unwrap().unwrap().path();
    fs::create_dir(own.join("unfinished")).unwrap();
    let output = place.program().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let finished = place.segments();
    assert_eq!(finished.len(), 3, "{}", text(&output));
    // Only its name is needed now.
    let written = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let before: Vec<_> = finished.iter().map(written).collect();
    let output = place.program().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(finished.iter().map(written).collect::<Vec<_>>(), before);
    fs::remove_dir(own.join("unfinished")).unwrap();
    assert!(place.run(&arguments).contains("out/a.mp4: 75 frames"));
    assert!(place.segments().is_empty(), "segments are left");
}

/// A recording that is still in progress.
#[test]
fn a_file_that_changes_meanwhile_is_named() {
    let place = Place::new();
    make_clip(&place.path("in/a.mkv"), 250, 25);
    // What the program says if something is done while it runs.
    let run = |interfere: &dyn Fn(PathBuf)| {
        let begun = place.program().arg("in").stderr(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut running = begun.unwrap();
        while place.segments().is_empty() && running.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        interfere(place.path("in/a.mkv"));
        text(&running.wait_with_output().unwrap())
    };
    let said = run(&|input| fs::remove_file(input).unwrap());
    assert!(said.contains("error: in/a.mkv: cannot be read: No such file or directory"), "{said}");
    fs::remove_dir_all(place.path("out")).unwrap();
    make_clip(&place.path("in/a.mkv"), 250, 25);
    let said = run(&|input| {
        let mut input = fs::OpenOptions::new().append(true).open(input).unwrap();
        input.write_all(b"more").unwrap();
    });
    assert!(said.contains("note: in/a.mkv: changed while it was translated"), "{said}");
    let said = place.run(&["in"]);
    assert!(said.contains("1 translated") && !said.contains("has changed"), "{said}");
}

#[test]
fn machines_read_json() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    fs::write(place.path("in/b.mp4"), "text").unwrap();
    let output = place.program().args(["in", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let find = |event: &str| {
        events.iter().find(|e| e["event"] == event).unwrap_or_else(|| panic!("{lines}"))
    };
    assert_eq!(find("begin")["files"], 2);
    assert_eq!(
        (&find("done")["frames"], &find("done")["output"]),
        (&3.into(), &"out/a.mp4".into())
    );
    assert_eq!(find("failed")["file"], "in/b.mp4");
    let summary = find("summary");
    assert_eq!((&summary["translated"], &summary["failed"]), (&1.into(), &1.into()));
}

#[test]
fn lists_and_patterns_name_files_as_well() {
    let place = Place::new();
    for name in ["in/one.mp4", "in/x/line\nbreak 'and' \"more\".mp4"] {
        small_clip(&place.path(name));
    }
    let said = place.run(&["in/**/on?.mp4"]);
    assert!(said.contains("out/one.mp4: 3 frames"), "{said}");
    let mut run = place.program();
    let mut run = run.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(b"in/x/line\nbreak 'and' \"more\".mp4\0").unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success());
    // One line, whatever the name.
    assert!(
        text(&output).contains("out/in/x/line\\nbreak 'and' \"more\".mp4: 3 frames"),
        "{}",
        text(&output)
    );
    assert!(place.out("in/x/line\nbreak 'and' \"more\".mp4").is_file());
}

#[test]
fn names_need_not_be_utf8() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let place = Place::new();
    let name = OsStr::from_bytes(b"a\xff.mp4");
    small_clip(&place.input(name));
    assert!(place.run(&["in"]).contains("1 translated"));
    assert!(place.path("out").join(name).is_file());
    assert!(place.run(&["in"]).contains("1 up to date"));
}

/// The lines with errors.
fn errors(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with("error: ")).collect()
}

#[test]
fn bad_files_get_one_clear_line_each_and_stop_no_other() {
    let place = Place::new();
    make_clip(&place.input("good.mp4"), 50, 25);
    fs::write(place.input("empty.mp4"), b"").unwrap();
    fs::write(
        place.input("text.mp4"),
        "This is not a video, only a text of some length.\n".repeat(20),
    )
    .unwrap();
    fs::write(place.input("page.mp4"), "<!DOCTYPE html><html><title>404</title></html>").unwrap();
    fs::write(place.input("noise.mkv"), vec![0xA5; 5000]).unwrap();
    let good = fs::read(place.input("good.mp4")).unwrap();
    fs::write(place.input("no-index.mp4"), &good[..good.len() / 2]).unwrap();
    make_clip(&place.input("whole.mkv"), 100, 25);
    let whole = fs::read(place.input("whole.mkv")).unwrap();
    fs::write(place.input("truncated.mkv"), &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(place.input("whole.mkv")).unwrap();
    make(&place.input("sound.mp4"), "audiotestsrc num-buffers=20 ! avenc_aac ! mp4mux ! OUT");
    symlink("nowhere.mp4", place.input("dangling.mp4")).unwrap();
    fs::write(place.input("unknown codec.mp4"), unknown_codec(&good)).unwrap();
    fs::write(place.input("broken.png"), b"\x89PNG\r\n\x1a\n and no more").unwrap();
    // An MP4 with another extension.
    fs::copy(place.input("good.mp4"), place.input("really.mkv")).unwrap();
    fs::create_dir(place.path("out")).unwrap();
    fs::copy(place.input("good.mp4"), place.out("foreign.mp4")).unwrap();
    fs::copy(place.input("good.mp4"), place.input("foreign.mp4")).unwrap();

    let mut program = place.program();
    program.args(["in", "in/missing.mp4", "out/foreign.mp4"]);
    let output = program.output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = [
        ("in/empty.mp4: ", "is empty"),
        ("in/text.mp4: ", "is a text file"),
        ("in/page.mp4: ", "is a text file"),
        ("in/noise.mkv: ", "is not a video or image"),
        ("in/no-index.mp4: ", "is truncated, or still being written: its index is missing"),
        ("in/truncated.mkv: ", "is truncated or damaged: it ends at"),
        ("in/sound.mp4: ", "has no video track, only MPEG-4 AAC"),
        ("in/dangling.mp4: ", "is a link to nowhere.mp4, which does not exist"),
        ("in/missing.mp4: ", "cannot be read: No such file or directory"),
        (
            "in/unknown codec.mp4: ",
            "cannot be decoded: GStreamer has no decoder for the codec zzz1",
        ),
        ("in/broken.png: ", "is damaged"),
        ("in/foreign.mp4: ", "would replace out/foreign.mp4"),
        ("out/foreign.mp4: ", "would overwrite itself"),
    ];
    for (file, cause) in expected {
        let lines: Vec<_> =
            errors(&said).into_iter().filter(|line| line[7..].starts_with(file)).collect();
        assert_eq!(lines.len(), 1, "{file} in {said}");
        assert!(lines[0].to_lowercase().contains(&cause.to_lowercase()), "{cause} in {}", lines[0]);
        assert!(lines[0].len() < 200, "{}", lines[0]);
    }
    assert_eq!(errors(&said).len(), expected.len(), "{said}");
    assert!(
        said.contains("note: in/really.mkv: is Quicktime, although its extension is mkv"),
        "{said}"
    );
    assert!(said.contains("2 translated, 0 up to date, 13 failed"), "{said}");
    assert_eq!(colours(&place.out("really.mkv")).len(), 50);
    assert!(!place.out("truncated.mkv").exists());
}

/// The clip with a codec that nothing decodes, as in encrypted films.
fn unknown_codec(clip: &[u8]) -> Vec<u8> {
    let mut clip = clip.to_vec();
    let place = clip.windows(4).position(|window| window == b"avc1").into_iter();
    let places = place.chain(clip.windows(4).rposition(|window| window == b"avc1"));
    places.collect::<Vec<_>>().into_iter().for_each(|at| clip[at..at + 4].copy_from_slice(b"zzz1"));
    clip
}

#[test]
fn unreadable_files_are_reported() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    fs::set_permissions(place.path("in/a.mp4"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(place.path("in/a.mp4")).is_ok() {
        return say_skipped("SKIP: this user may read every file, so none is unreadable");
    }
    let said = place.said(&["in"]);
    assert!(said.contains("error: in/a.mp4: cannot be read: Permission denied"));
}

#[test]
fn a_full_disk_is_reported_and_leaves_nothing() {
    let place = Place::new();
    let noise = "videotestsrc num-buffers=25 pattern=snow ! video/x-raw,width=640,height=360 ! x264enc speed-preset=ultrafast ! mp4mux ! OUT";
    make(&place.path("in/a.mp4"), noise);
    fs::create_dir(place.path("out")).unwrap();
    // A disk of 200 KiB, in a name space where an ordinary user may mount it.
    let mount =
        "mount -t tmpfs -o size=200k tmpfs out || exit 77; \"$@\"; code=$?; ls -A out; exit $code";
    let mut program = std::process::Command::new("unshare");
    program.args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]);
    program.arg(env!("CARGO_BIN_EXE_cyclegan-batch")).current_dir(place.path(""));
    common::load_plugin(&mut program);
    let output = program.args(["in", "--model", "model.onnx", "--out", "out"]).output();
    let Some(output) =
        output.ok().filter(|o| o.status.code() != Some(77) && !text(o).contains("unshare"))
    else {
        return say_skipped("SKIP: no small disk can be mounted here");
    };
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(errors(&said), ["error: in/a.mp4: no space left for the output"]);
    assert!(!said.lines().any(|line| line == "a.mp4"), "{said}");
}

#[test]
fn commands_that_make_no_sense_are_refused() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    for (arguments, cause) in [
        (&["in", "--filter", "strength=much"][..], "strength=much"),
        (&["in", "--filter", "! fakesink"], "--filter"),
        (&["in", "--filter", "strength=8"], "--filter 'strength=8': value \"8"),
        (&["in", "--video-encoder", "nosuchenc"], "--video-encoder 'nosuchenc': no element"),
        (
            &["in", "--video-encoder", "vaapi", "--preset", "av1"],
            "--video-encoder vaapi: encodes only H.264",
        ),
        (
            &["in", "--audio-encoder", "opusenc bitrat=4"],
            "--audio-encoder 'opusenc bitrat=4': no prop",
        ),
        (&["in", "--audio-encoder", "x264enc"], "--audio-encoder 'x264enc': does not encode audio"),
        (&["in", "--video-encoder", "fakesink"], "does not encode video"),
        (
            &["in", "--crf", "20", "--video-encoder", "x265enc bitrate=1"],
            "--crf: has no effect on --video-encoder 'x265enc bitrate=1'",
        ),
        (&["in", "--speed", "fast", "--preset", "prores"], "--speed: --preset prores has no such"),
        (
            &["in", "--provider", "cpu", "--device", "0, 1"],
            "--device: --provider cpu has no devices",
        ),
        (&["in", "--start", "5", "--end", "3"], "--end 3: expected a time after --start 5"),
        (&["in", "--config", "none.toml"], "--config none.toml: cannot be read: No such file"),
        (&["in/*.avi"], "matches no video or image"),
        (&["in", "--shard", "5/4"], "expected 1 to 4"),
        (&["in", "--model", "absent.onnx"], "absent.onnx"),
        (&["in", "--jobs", "0"], "--jobs"),
    ] {
        let mut program = place.program();
        // If a model is given twice, the last one counts.
        program.args(arguments);
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(cause), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn frames_that_are_too_small_for_a_container_are_named() {
    let place = Place::new();
    let small =
        "videotestsrc num-buffers=2 ! video/x-raw,width=8,height=20 ! x264enc ! matroskamux ! OUT";
    make(&place.path("in/small.mkv"), small);
    let said = place.said(&["in", "--container", "mp4"]);
    let error = "error: in/small.mkv: has frames of 8×20 pixels, which MP4 cannot hold; use --container mkv";
    assert!(said.contains(error), "{said}");
    assert!(place.run(&["in", "--container", "mkv"]).contains("2 frames"));
}

#[test]
fn an_encoder_that_the_container_cannot_hold_is_named() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    for (arguments, code, cause) in [
        ("--container webm --video-encoder x264enc", 2, "error: WebM cannot hold H.264"),
        ("--container mp4 --video-encoder vp8enc", 2, "error: MP4 cannot hold VP8"),
        ("--video-encoder videoconvert", 1, "a.mp4: MP4 cannot hold Uncompressed"),
        ("--container ts --preset av1", 2, "stream cannot hold AV1"),
        ("--out a.webm --preset hevc --dry-run", 1, "a.mp4: WebM cannot hold H.265"),
    ] {
        let mut program = place.program();
        program.arg("in/a.mp4").args(arguments.split(' '));
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", text(&output));
        let errors = errors(&text(&output)).concat();
        assert!(errors.contains(cause), "{arguments}: {errors}");
    }
}

#[test]
fn hardware_is_used_where_it_is_installed() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    let said = place.run(&["in", "--video-encoder", "auto"]);
    assert!(said.contains("1 translated"), "{said}");
    assert_eq!(media::tracks(&place.out("a.mp4"))[0].kind(), "video/x-h264");
    for (name, elements) in [
        ("nvenc", &["nvh264enc", "nvcudah264enc"][..]),
        ("vaapi", &["vah264enc", "vah264lpenc"]),
        ("qsv", &["qsvh264enc"]),
    ] {
        let is_installed = elements.iter().any(|name| gst::ElementFactory::find(name).is_some());
        let output = place.program().args(["in", "--video-encoder", name]).output().unwrap();
        assert_eq!(output.status.success(), is_installed, "{}", text(&output));
        let error = format!("error: --video-encoder {name}: GStreamer has no ");
        assert_eq!(text(&output).contains(&error), !is_installed, "{}", text(&output));
    }
}

#[test]
fn shares_cover_all_files() {
    let place = Place::new();
    for number in 0..6 {
        small_clip(&place.path(format!("in/{number}.mp4")));
    }
    let mut translated = 0;
    for share in ["1/3", "2/3"] {
        let said = place.run(&["in", "--shard", share]);
        assert!(said.contains(&format!("share {share}: ")), "{said}");
        translated += said.lines().filter(|line| line.contains(": 3 frames")).count();
    }
    // The last one as Kubernetes gives it.
    let mut program = place.program();
    program.env("JOB_COMPLETION_INDEX", "2").env("CYCLEGAN_BATCH_SHARDS", "3");
    let output = program.arg("in").output().unwrap();
    translated += text(&output).lines().filter(|line| line.contains(": 3 frames")).count();
    assert_eq!(translated, 6);
    assert_eq!(media::colours(&place.out("5.mp4")).len(), 3);
}

#[test]
fn a_file_of_another_folder_does_not_replace_a_result() {
    let place = Place::new();
    for folder in ["one", "two"] {
        fs::create_dir(place.path(folder)).unwrap();
        small_clip(&place.path(folder).join("a.mp4"));
    }
    // Not the same to the nanosecond: the second is younger.
    place.run(&["one"]);
    let before = fs::read(place.out("a.mp4")).unwrap();
    let output = place.program().arg("two").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("one/a.mp4; use --overwrite"), "{}", text(&output));
    assert_eq!(fs::read(place.out("a.mp4")).unwrap(), before);
    let status = place.said(&["--status"]);
    assert!(status.contains("1 done, 0 failed"), "{status}");
    place.run(&["two", "--overwrite"]);
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // After the name in parentheses: the state, and the parent.
    let parent_of = |id: &String| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    ids.filter(|id| parent_of(id) == Some(parent)).collect()
}

#[test]
fn workers_that_cannot_start_take_no_file_with_them() {
    let place = Place::new();
    place.generator(&common::generators::slow_invert(6));
    for i in 0..6 {
        small_clip(&place.path(format!("in/{i}.mp4")));
    }
    // The program no longer exists when the other workers are started, or the first is restarted.
    let copy = place.path("program");
    fs::copy(env!("CARGO_BIN_EXE_cyclegan-batch"), &copy).unwrap();
    let usual = place.program();
    let mut run = std::process::Command::new(&copy);
    run.args(usual.get_args()).current_dir(usual.get_current_dir().unwrap());
    run.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run.args(["in", "--jobs", "3", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut run = run.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stdout.take().unwrap()));
    let begin = lines.next().unwrap().unwrap();
    fs::remove_file(&copy).unwrap();
    // The workers of the second and third thread, if they exist already. One whose program is gone exits on its own, so
    // `kill` may find nothing.
    let mut workers = children(run.id());
    workers.sort();
    for worker in workers.iter().skip(1) {
        std::process::Command::new("kill").args(["-9", worker]).status().unwrap();
    }
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(run.wait().unwrap().success(), "{begin} {rest:?}");
    let summary = rest.last().unwrap();
    assert!(summary.contains("\"translated\":6") && summary.contains("\"failed\":0"), "{summary}");
}

/// Loading a generator may take minutes.
#[test]
fn ctrl_c_while_a_worker_starts_is_no_failure() {
    let place = Place::new();
    place.generator(&common::generators::slow_invert(6));
    for name in ["in/a.mp4", "in/b.mp4"] {
        small_clip(&place.path(name));
    }
    // GStreamer starts slowly if it cannot write its registry. It changes the mode of the parent, here a file.
    let registry = place.path("file/registry");
    fs::write(place.path("file"), "").unwrap();
    // The first worker, then the second.
    for workers in [1, 2] {
        let mut run = place.program();
        run.args(["in", "--jobs", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = run.env("GST_REGISTRY_1_0", &registry).spawn().unwrap();
        while children(run.id()).len() < workers && run.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        let pid = run.id().to_string();
        std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", text(&output));
        assert!(
            !text(&output).contains("error") && !text(&output).contains("warning"),
            "{}",
            text(&output)
        );
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_makes_nothing() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    let said = place.run(&["in", "--dry-run", "--name", "{dir}/{stem}.zebra.{ext}"]);
    assert!(said.contains("out/a.zebra.mp4: would be about 3 frames in 1 segment"), "{said}");
    assert!(!place.path("out").exists());
}
