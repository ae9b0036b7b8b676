// SPDX-License-Identifier: MIT OR Apache-2.0

//! Clocks that jump or are rare, and recordings whose tracks change midway.

use std::fs;

use crate::common::{
    Place,
    ffmpeg::{BARS, H264, OTHER_TONE, Stream, TONE, make, streams},
};

#[test]
fn a_clock_that_jumps_loses_no_frames() {
    let Some(place) = Place::of_ffmpeg("jumps in time") else { return };
    let source = [BARS, TONE, H264, "-c:a aac"].join(" ");
    make(&place.path("in/a.ts"), &source);
    make(&place.path("in/b.ts"), &[&source, "-output_ts_offset 500"].join(" "));
    let [a, b] = ["in/a.ts", "in/b.ts"].map(|name| fs::read(place.path(name)).unwrap());
    for (name, parts) in [("again", [&a, &a]), ("ahead", [&a, &b]), ("back", [&b, &a])] {
        fs::write(place.path(format!("in/{name}.ts")), parts.map(Vec::as_slice).concat()).unwrap();
    }
    let names = ["in/again.ts", "in/ahead.ts", "in/back.ts", "--base", "in"];
    let said = place.run(&names);
    for name in ["again.ts", "ahead.ts", "back.ts"] {
        let output = streams(&place.out(name));
        assert!(output[0].times.len() >= 149, "{name}: {} frames\n{said}", output[0].times.len());
        let length = |stream: &Stream| stream.times.last().unwrap() - stream.times[0];
        assert!((length(&output[0]) - length(&output[1])).abs() < 300.0, "{name}\n{said}");
        assert!((5900.0..6500.0).contains(&length(&output[0])), "{name}: {}", length(&output[0]));
    }
    assert!(said.contains("ahead.ts: its timestamps jump: it ends at 6."), "{said}");
}

/// `tsdemux` takes steps of more than half a second of the clock for jumps.
#[test]
fn a_transport_stream_with_a_rare_clock_is_named() {
    let Some(place) = Place::of_ffmpeg("a rare clock") else { return };
    for (name, rate) in [("slow.ts", 1), ("quick.ts", 3)] {
        make(&place.input(name), &format!("-f lavfi -i testsrc2=s=160x120:r={rate}:d=10 {H264}"));
    }
    let said = place.said(&["in"]);
    assert!(said.contains("error: in/slow.ts: its clock (PCR) comes less often"), "{said}");
    assert_eq!(streams(&place.out("quick.ts"))[0].times.len(), 30, "{said}");
    assert!(!said.contains("note:"), "{said}");
}

/// Two recordings in one file: `parts` are the ffmpeg arguments for the audio of each.
fn joined(place: &Place, name: &str, parts: [&str; 2]) {
    let part = |(number, arguments): (usize, &str)| {
        let path = place.path(format!("in/part-{number}.ts"));
        let offset = format!("-output_ts_offset {}", 3 * number);
        make(&path, &[BARS, arguments, H264, &offset].join(" "));
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    };
    let bytes = parts.into_iter().enumerate().flat_map(part).collect::<Vec<u8>>();
    fs::write(place.input(name), bytes).unwrap();
}

#[test]
fn sound_that_changes_its_form_is_kept_or_named() {
    let Some(place) = Place::of_ffmpeg("sound that changes") else { return };
    for (name, codec) in [("aac.ts", "aac"), ("ac3.ts", "ac3"), ("mp2.ts", "mp2")] {
        let form = |form: &str| format!("{TONE} -c:a {codec} {form}");
        joined(&place, name, [&form("-ar 44100 -ac 1"), &form("-ar 48000 -ac 2")]);
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note:"), "{said}");
    for name in ["aac.ts", "ac3.ts", "mp2.ts"] {
        let (before, after) = (streams(&place.input(name)), streams(&place.out(name)));
        assert_eq!(before[1].times.len(), after[1].times.len(), "{name}");
    }
    for container in ["mp4", "mkv"] {
        let said = place.run(&["in", "--container", container]);
        for name in ["aac.ts", "ac3.ts", "mp2.ts"] {
            let form = "its channel count or sample rate changes midway";
            assert!(
                said.contains(&format!("in/{name}: track 2: {form}; all of it is converted")),
                "{said}"
            );
            assert!(said.contains(&format!("accept it ({form})")), "{said}");
            let output = streams(&place.out(&name.replace("ts", container)));
            let length = output[1].times.last().unwrap() - output[1].times[0];
            assert!((5800.0..6200.0).contains(&length), "{name}, {container}: {length} ms");
        }
    }
}

/// Two films, one after the other in one file; the timestamps of the second start at 0 again.
#[test]
fn a_second_video_whose_times_begin_again_is_an_error() {
    let Some(place) = Place::of_ffmpeg("films with the same times") else { return };
    make(&place.path("one.ogv"), &[BARS, TONE, "-c:v libtheora -c:a libvorbis"].join(" "));
    let one = fs::read(place.path("one.ogv")).unwrap();
    fs::write(place.path("in/two.ogv"), [&one[..], &one].concat()).unwrap();
    let said = place.said(&["in"]);
    assert!(said.contains("error: in/two.ogv: its timestamps jump back by 3.0 s"), "{said}");
}

#[test]
fn tracks_that_change_are_named() {
    let Some(place) = Place::of_ffmpeg("tracks that change") else { return };
    let aac = format!("{TONE} -c:a aac");
    joined(&place, "ids.ts", [&aac, &format!("{aac} -mpegts_start_pid 0x200")]);
    joined(&place, "more.ts", [&aac, &format!("{TONE} {aac} -map 0 -map 1 -map 2")]);
    let said = place.said(&["in"]);
    for name in ["ids.ts", "more.ts"] {
        let error = format!("error: in/{name}: its tracks change midway");
        assert!(said.contains(&error), "{said}");
    }
}

#[test]
fn other_programs_are_noted() {
    let Some(place) = Place::of_ffmpeg("programs") else { return };
    let two = [BARS, TONE, BARS, OTHER_TONE, "-map 0 -map 1 -map 2 -map 3", H264, "-c:a aac"];
    let programs = "-program title=A:st=0:st=1 -program title=B:st=2:st=3";
    make(&place.path("in/a.ts"), &[&two.join(" "), programs].join(" "));
    let said = place.run(&["in"]);
    assert!(said.contains("note: in/a.ts: its 1 other program is left out"), "{said}");
    let kinds: Vec<_> = streams(&place.out("a.ts")).into_iter().map(|s| s.kind).collect();
    assert_eq!(kinds, ["video", "audio"]);
}

/// Blu-ray's stream type for DTS, which `tsdemux` of GStreamer 1.22 does not support.
#[test]
fn tracks_that_nothing_demuxes_are_named() {
    let Some(place) = Place::of_ffmpeg("tracks of no known kind") else { return };
    make(&place.path("in/a.m2ts"), &[BARS, TONE, H264, "-c:a dca -strict -2"].join(" "));
    make(&place.path("in/b.m2ts"), &[BARS, TONE, H264, "-c:a ac3"].join(" "));
    let two = "-map 0 -map 1 -map 2 -c:a dca -strict -2";
    make(&place.path("in/c.m2ts"), &[BARS, TONE, OTHER_TONE, H264, two].join(" "));
    let said = place.run(&["in"]);
    for note in [
        "note: in/a.m2ts: a track that GStreamer does not support is left out: DTS",
        "note: in/c.m2ts: 2 tracks that GStreamer does not support are left out: DTS",
    ] {
        assert!(said.contains(note), "{said}");
    }
    assert!(!said.contains("note: in/b.m2ts"), "{said}");
}

#[test]
fn a_frame_size_that_changes_is_named() {
    let Some(place) = Place::of_ffmpeg("frames of two sizes") else { return };
    let part = |(number, size): (u32, &str)| {
        let path = place.path(format!("part-{number}.ts"));
        let bars = format!("-f lavfi -i testsrc2=size={size}:rate=25:d=1");
        make(&path, &format!("{bars} {H264} -output_ts_offset {number}"));
        fs::read(path).unwrap()
    };
    let bytes = (0..).zip(["160x120", "96x64"]).flat_map(part).collect::<Vec<u8>>();
    fs::write(place.input("a.ts"), bytes).unwrap();
    let said = place.run(&["in"]);
    let note = "note: in/a.ts: its frame size changes midway: all are scaled to 160×120";
    assert!(said.contains(note), "{said}");
    assert_eq!(streams(&place.out("a.ts"))[0].times.len(), 50, "{said}");
}
