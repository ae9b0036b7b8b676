// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sound that begins before the video or before time 0.

use std::{fs, path::Path};

use crate::common::{
    Place, edit,
    ffmpeg::{
        BARS, H264, OTHER_TONE, Stream, TONE, chapters, make, measure, measure_all, offset, streams,
    },
};

/// `qtmux` of GStreamer 1.22 writes how much to skip at the start in the wrong byte order.
#[test]
fn opus_in_mp4_is_heard_from_its_start() {
    let Some(place) = Place::of_ffmpeg("the start of Opus") else { return };
    let opus = "-c:v libvpx -c:a libopus -strict -2";
    for name in ["a.webm", "b.mkv", "c.mp4"] {
        let codecs = if name == "c.mp4" { opus.replace("libvpx", "libx264") } else { opus.into() };
        make(&place.input(name), &[BARS, TONE, &codecs].join(" "));
    }
    place.run(&["in", "--container", "mp4", "--name", "{stem}.{ext}"]);
    place.run(&["in", "--container", "mov", "--name", "{stem}.{ext}"]);
    let samples = |path: &Path| {
        let file = path.to_str().unwrap();
        measure(&["-i", file, "-map", "0:a", "-af", "astats"], "Number of samples: ")
    };
    for name in ["a.webm", "b.mkv", "c.mp4"] {
        let before = samples(&place.input(name));
        for extension in ["mp4", "mov"] {
            let after = samples(&place.out(name).with_extension(extension));
            // MP4 of the muxer hides nothing of the last packet, and skips in the edit list or not at all.
            let more = after - before;
            assert!((-400.0..960.0).contains(&more), "{name}: {before} samples, then {after}");
        }
    }
}

/// The clock comes with the video. `late.ts` has sound from before its first value, to which `tsdemux` gives no times.
#[test]
fn a_transport_stream_whose_clock_is_late_is_named() {
    let Some(place) = Place::of_ffmpeg("a late clock") else { return };
    for (name, offset) in [("soon.ts", "0.5"), ("late.ts", "0.8")] {
        let video = format!("-itsoffset {offset} {BARS} {TONE} -map 0 -map 1");
        make(&place.input(name), &[&video, H264, "-bf 0 -c:a aac"].join(" "));
    }
    let said = place.said(&["in"]);
    assert!(said.contains("error: in/late.ts: its clock (PCR) starts later than its"), "{said}");
    let lead = |path: &Path| {
        let streams = streams(path);
        streams[0].times[0] - streams[1].times[0]
    };
    let (before, after) = (lead(&place.input("soon.ts")), lead(&place.out("soon.ts")));
    assert!(before > 400.0 && (after - before).abs() < 1.0, "{before} ms, then {after} ms");
}

/// In every television recording, audio starts before the first key frame.
#[test]
fn sound_before_the_first_key_frame_is_kept() {
    let Some(place) = Place::of_ffmpeg("recordings") else { return };
    for (name, codec) in [("aac.ts", "aac"), ("mp2.ts", "mp2")] {
        let input = place.input(name);
        make(&input, &[BARS, TONE, H264, "-g 25 -sc_threshold 0 -c:a", codec].join(" "));
        edit(&input, |bytes| drop(bytes.drain(..bytes.len() / 12 / 188 * 188)));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("left out"), "{said}");
    for name in ["aac.ts", "mp2.ts"] {
        let output = streams(&place.out(name));
        let length = |stream: &Stream| stream.times.last().unwrap() - stream.times[0];
        assert!(output.len() == 2 && length(&output[1]) > 1900.0, "{said}");
    }
}

/// `ffmpeg -avoid_negative_ts disabled` writes such files; `matroskademux` of GStreamer 1.22 outputs 0 for all of them.
#[test]
fn what_lies_before_time_0_in_matroska_is_kept() {
    let Some(place) = Place::of_ffmpeg("times before 0") else { return };
    place.chapters_file("", &[(1000, 2000, "One")]);
    make(&place.path("whole.mp4"), &[BARS, TONE, H264, "-g 25 -c:a aac"].join(" "));
    make(&place.path("whole.mkv"), &[BARS, TONE, H264, "-g 25 -c:a libopus"].join(" "));
    // By default, ffmpeg shifts all timestamps to 0 or later.
    for (folder, option) in [("in", "disabled"), ("moved", "auto")] {
        fs::create_dir_all(place.path(folder)).unwrap();
        let option = format!("-avoid_negative_ts {option}");
        let late = "-itsoffset -0.5 -i whole.mkv -i chapters.txt -c copy";
        make(&place.path(folder).join("late.mkv"), &[late, &option].join(" "));
        let cut = "-ss 1.5 -i whole.mp4 -c copy";
        make(&place.path(folder).join("cut.mkv"), &[cut, &option].join(" "));
    }
    for (container, piece) in [("mp4", "0"), ("mkv", "0.5")] {
        let said = place.run(&["in", "--piece", piece, "--container", container]);
        assert!(!said.contains("note:"), "{said}");
        for name in ["late", "cut"] {
            let output = place.out(name).with_extension(container);
            let moved = place.path("moved").join(name).with_extension("mkv");
            let (after, before) = (streams(&output), streams(&moved));
            // Since the start of the sound.
            let times = |tracks: &[Stream], track: &Stream| -> Vec<f64> {
                track.times.iter().map(|time| time - tracks[1].times[0]).collect()
            };
            for (track, expected) in after.iter().zip(&before) {
                let off = offset(&times(&before, expected), &times(&after, track));
                // The pre-skip of Opus is 6.5 ms.
                assert!(off < 8.0, "{name}.{container}, {}: {off} ms", track.codec);
            }
        }
    }
    // With the same frame. Versions of ffmpeg start the video after Opus by different times.
    let (input, output) = (place.path("in/late.mkv"), place.out("late.mkv"));
    let [before, after] =
        [&input, &output].map(|path| streams(path)[0].times.last().unwrap() / 1000.0);
    let (start, _) = chapters(&output).remove(0);
    assert!((start - 1.0 - (after - before)).abs() < 0.002, "{start} s");
}

/// Encoders of AAC, MP3 and Opus put a packet before the sound, which an edit list hides.
#[test]
fn the_start_of_sound_stays_hidden() {
    let Some(place) = Place::of_ffmpeg("sound before 0") else { return };
    let sounds = [
        ("aac.mp4", "aac"),
        ("aac.mov", "aac"),
        ("mp3.mp4", "libmp3lame"),
        ("opus.mp4", "libopus -strict -2"),
    ];
    for (name, codec) in sounds {
        let late = "-map 0 -map 1 -map 2 -c:a:1 ac3 -c:a:0";
        let input = place.input(name);
        make(&input, &[BARS, TONE, "-itsoffset 1", OTHER_TONE, H264, late, codec].join(" "));
    }
    let said = place.run(&["in", "--name", "{dir}/{stem}.{ext}"]);
    for (name, _) in sounds {
        let (before, after) = (streams(&place.input(name)), streams(&place.out(name)));
        assert_eq!(after.len(), 3, "{said}");
        for (before, after) in before.iter().zip(&after) {
            let off = offset(&before.times, &after.times);
            assert!(off < 1.0, "{name}: {} {off} ms", before.codec);
        }
    }
}

/// Three seconds, of which the second one is a tone.
const BEEP: &str =
    "-f lavfi -i aevalsrc=if(between(t\\,1\\,2)\\,0.8*sin(2000*PI*t)\\,0):s=48000:d=3";

/// When the sound in a file with `BEEP` begins, ms after its first frame.
fn beep(path: &Path) -> f64 {
    let file = ["-copyts", "-i", path.to_str().unwrap(), "-map", "0:a"];
    // A few digits are printed, so the times begin with the video.
    let begin = streams(path)[0].times[0] / 1000.0;
    let filter = format!("asetpts=PTS-{begin}/TB,silencedetect=noise=0.1:duration=0.5");
    // That before the sound ends first.
    measure_all(&[&file[..], &["-af", &filter]].concat(), "silence_end: ")[0] * 1000.0
}

/// Encoders put samples before the sound, and may drop the first ones of a track.
#[test]
fn encoded_sound_begins_with_its_video() {
    let Some(place) = Place::of_ffmpeg("the start of encoded sound") else { return };
    let sounds = [
        ("flac.mkv", "flac"),
        ("late.mkv", "pcm_s16le"),
        ("pcm.mov", "pcm_s16le"),
        ("alac.mov", "alac"),
        ("dts.mkv", "dca -strict -2"),
        ("adpcm.avi", "adpcm_ms"),
        ("vorbis.mkv", "libvorbis"),
    ];
    for (name, codec) in sounds {
        let late = if name == "late.mkv" { "-itsoffset 0.5" } else { "" };
        make(&place.input(name), &[BARS, late, BEEP, H264, "-bf 0 -c:a", codec].join(" "));
    }
    for (container, encoder) in [
        ("mp4", ""),
        ("mov", ""),
        ("ts", ""),
        ("webm", ""),
        ("mp4", "avenc_aac"),
        ("mp4", "lamemp3enc"),
        ("mp4", "avenc_ac3"),
        ("mkv", "avenc_aac"),
        ("ts", "lamemp3enc"),
    ] {
        let mut arguments = vec!["in", "--name", "{stem}.{ext}", "--container", container];
        let mut sounds = &sounds[..];
        if !encoder.is_empty() {
            arguments.extend(["--audio-encoder", encoder, "--include", "pcm.mov"]);
            sounds = &sounds[2..3];
        }
        let said = place.run(&arguments);
        for (name, _) in sounds {
            let output = place.out(name).with_extension(container);
            let off = beep(&output) - beep(&place.input(name));
            assert!(off.abs() < 1.0, "{name} in {container}, {encoder}: {off} ms\n{said}");
        }
    }
}
