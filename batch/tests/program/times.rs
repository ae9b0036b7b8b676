// SPDX-License-Identifier: MIT OR Apache-2.0

//! Timestamps that jump or are cut by edit lists, and tracks that change.

use std::{fs, path::Path};

use crate::common::{
    Place, edit,
    ffmpeg::{
        BARS, H264, OTHER_TONE, Stream, TONE, chapters, frames, make, measure, offset, steps,
        streams,
    },
};

/// The times of the visible packets of a track, ms.
fn shown(stream: &Stream) -> Vec<f64> {
    stream.times.iter().copied().filter(|time| *time > -1.0).collect()
}

/// `ffmpeg -ss … -c copy` and phones cut with edit lists: `qtdemux` of GStreamer 1.22 then stops too early.
#[test]
fn what_an_edit_list_shows_is_there_to_its_end() {
    let Some(place) = Place::of_ffmpeg("edit lists") else { return };
    make(&place.path("in/whole.mp4"), &[BARS, TONE, H264, "-g 10 -c:a aac"].join(" "));
    for name in ["cut.mp4", "cut.mov"] {
        make(&place.input(name), "-ss 0.6 -i in/whole.mp4 -c copy");
    }
    for piece in ["0", "0.5"] {
        let said = place.run(&["in", "--piece", piece]);
        assert!(!said.contains("note:"), "{said}");
        for name in ["whole.mp4", "cut.mp4", "cut.mov"] {
            let (before, after) = (streams(&place.input(name)), streams(&place.out(name)));
            let ([video, audio], [translated, copied]) = (&before[..], &after[..]) else {
                panic!("{name}: {} tracks", after.len())
            };
            let (frames, expected) = (&translated.times, shown(video));
            let off = offset(&steps(&expected), &steps(frames));
            assert!(off < 1.0, "{name}, --piece {piece}: {off} ms");
            // Relative to the first frame, the audio ends where it did.
            let end = copied.times.last().unwrap() - frames[0];
            let expected = audio.times.last().unwrap() - expected[0];
            assert!((end - expected).abs() < 2.0, "{name}: {end} ms, not {expected} ms");
        }
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// `qtdemux` also outputs what the edit list hides of the video, from the key frame on.
#[test]
fn other_containers_begin_with_what_an_edit_list_shows() {
    let Some(place) = Place::of_ffmpeg("edit lists in other containers") else { return };
    let source = "-f lavfi -i testsrc2=size=160x120:rate=25:d=9 -f lavfi -i sine=440:d=9";
    make(&place.path("in/whole.mp4"), &[source, H264, "-g 250 -c:a aac"].join(" "));
    place.chapters_file("", &[(0, 1000, "One"), (1000, 2000, "Two")]);
    let cut = "-ss 7 -i in/whole.mp4 -i chapters.txt -map_chapters 1 -map 0 -c copy";
    make(&place.path("in/cut.mp4"), cut);
    let said = place.run(&["in/cut.mp4", "--container", "mkv"]);
    assert!(!said.contains("note:"), "{said}");
    let (before, after) = (streams(&place.path("in/cut.mp4")), streams(&place.out("cut.mkv")));
    // Sound that only prepares the decoder is kept, and everything else comes later by its duration.
    let (lead, sound) = (after[0].times[0], &after[1].times);
    assert!(sound[0].abs() < 1.0 && lead < 100.0, "{lead} ms, sound from {} ms", sound[0]);
    let off = sound.last().unwrap() - lead - before[1].times.last().unwrap();
    assert!(off.abs() < 50.0, "{off} ms");
    let found = chapters(&place.out("cut.mkv"));
    let [(first, _), (second, _)] = &found[..] else { panic!("{found:?}") };
    assert!(*first == 0.0 && (second - 1.0 - lead / 1000.0).abs() < 0.01, "{found:?}");
}

/// `qtdemux` of GStreamer 1.22 takes tracks that are shorter than a fifth of the whole for previews, and drops them.
#[test]
fn tracks_that_are_much_shorter_than_the_file_are_kept() {
    let Some(place) = Place::of_ffmpeg("short tracks") else { return };
    let sound = TONE.replace("d=3", "d=30");
    make(&place.path("in/a.mp4"), &[BARS, &sound, H264, "-c:a aac"].join(" "));
    let late = "-c:a aac -output_ts_offset 20";
    make(&place.path("in/late.mp4"), &[BARS, TONE, H264, late].join(" "));
    let said = place.run(&["in"]);
    assert!(
        said.contains("note: in/a.mp4: the video ends at 3.0 s, other tracks at 30.0 s"),
        "{said}"
    );
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
    for name in ["a.mp4", "late.mp4"] {
        let (before, after) = (streams(&place.input(name)), streams(&place.out(name)));
        assert_eq!((after[0].times.len(), after[1].codec.as_str()), (75, "aac"), "{name}");
        let off = offset(&steps(&shown(&before[0])), &steps(&after[0].times));
        assert!(off < 1.0, "{name}: {off} ms");
    }
}

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

/// Slides, screen recordings and time-lapse videos: `tsdemux` of GStreamer 1.22 loses such times.
#[test]
fn frames_that_are_shown_for_long_keep_their_times() {
    let Some(place) = Place::of_ffmpeg("long frames") else { return };
    let slides = "-f lavfi -i testsrc2=size=160x120:rate=1:d=8";
    let still = "-f lavfi -i testsrc2=size=160x120:rate=30000/1001:d=6 -fps_mode vfr \
                 -vf select=lt(t\\,1)+gt(t\\,3)*lt(t\\,4)+gt(t\\,5)";
    for (name, frames) in [("a.mp4", slides), ("b.mkv", slides), ("c.mp4", still), ("d.mkv", still)]
    {
        make(&place.input(name), &[frames, H264, "-g 10"].join(" "));
    }
    for preset in ["web", "hevc"] {
        for piece in ["0", "2"] {
            let said = place.run(&["in", "--preset", preset, "--piece", piece]);
            assert!(!said.contains("note:"), "{said}");
            for name in ["a.mp4", "b.mkv", "c.mp4", "d.mkv"] {
                let [before, after] = [place.input(name), place.out(name)]
                    .map(|path| steps(&streams(&path)[0].times));
                let off = offset(&before, &after);
                assert!(off < 0.6, "{name}, {preset}, --piece {piece}: {off} ms");
            }
            fs::remove_dir_all(place.path("out")).unwrap();
        }
    }
    let said = place.run(&["in", "--container", "ts"]);
    for name in ["a", "b", "c", "d"] {
        assert!(said.contains(&format!("/{name}.m")), "{said}");
        let before = streams(
            &place.path(format!("in/{name}.{}", if "ac".contains(name) { "mp4" } else { "mkv" })),
        );
        let after = streams(&place.out(&format!("{name}.ts")));
        let off = offset(&steps(&before[0].times), &steps(&after[0].times));
        assert!(off < 1.0, "{name}: {off} ms");
    }
    let note = "has frames that are shown for more than half a second; GStreamer cannot read";
    assert_eq!(said.matches(note).count(), 4, "{said}");
}

/// Slides with continuous sound: the frame on the screen counts, and sound ends with the part.
#[test]
fn a_part_may_begin_and_end_between_slides() {
    let Some(place) = Place::of_ffmpeg("parts of slides") else { return };
    let slides = "-f lavfi -i testsrc2=size=160x120:rate=1:d=61 -f lavfi -i sine=440:d=61 \
                  -fps_mode vfr -vf select=eq(n\\,0)+eq(n\\,19)+eq(n\\,60) -c:a aac";
    // A seek between frames so far apart makes `matroskademux` of GStreamer 1.22 complain.
    for (name, keys) in [("a.mp4", "-g 1"), ("b.mkv", "-g 9")] {
        make(&place.input(name), &[slides, H264, keys].join(" "));
    }
    let rows: [(_, _, &[f64], f64); 5] = [
        ("--end 20", "", &[0.0, 19.0], 20.0),
        ("--start 30", "", &[0.0, 30.0], 31.0),
        ("--start 30 --end 50", "", &[0.0], 20.0),
        ("--start 18.7 --end 50", "", &[0.3], 31.3),
        ("--sample 3", ".sample-3", &[0.0], 5.0),
    ];
    for piece in ["0", "10"] {
        for (options, sample, expected, length) in rows {
            let all = ["in", "--overwrite", "--piece", piece].into_iter();
            let said = place.run(&all.chain(options.split(' ')).collect::<Vec<_>>());
            for (stem, extension) in [("a", "mp4"), ("b", "mkv")] {
                let tracks = streams(&place.out(&format!("{stem}{sample}.{extension}")));
                let (times, sound) = (shown(&tracks[0]), tracks[1].times.last().unwrap() / 1000.0);
                let is_near =
                    |(time, expected): (&f64, &f64)| (time / 1000.0 - expected).abs() < 0.03;
                let is_same =
                    times.len() == expected.len() && times.iter().zip(expected).all(is_near);
                assert!(is_same, "{stem}, {options}, --piece {piece}: {times:?} {said}");
                assert!((sound - length).abs() < 0.1, "{stem}, {options}: sound to {sound} s");
            }
        }
    }
}

/// Phones write such files.
#[test]
fn a_variable_rate_in_mp4_keeps_its_times() {
    let Some(place) = Place::of_ffmpeg("a variable rate") else { return };
    let shifted = "-vf settb=1/90000,setpts=N*3600+mod(N\\,3)*101 -fps_mode passthrough -enc_time_base 1:90000 -video_track_timescale 90000";
    make(&place.path("in/a.mp4"), &[BARS, shifted, H264].join(" "));
    place.run(&["in"]);
    let [before, after] =
        [place.path("in/a.mp4"), place.out("a.mp4")].map(|path| shown(&streams(&path)[0]));
    assert_eq!(before.len(), 75);
    let off = offset(&before, &after);
    assert!(off < 0.02, "{off} ms");
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

#[test]
fn frames_without_times_follow_each_other() {
    let Some(place) = Place::of_ffmpeg("frames without times") else { return };
    make(&place.path("in/a.mjpeg"), &[BARS, "-c:v mjpeg"].join(" "));
    let said = place.run(&["in"]);
    assert!(said.contains("a.mjpeg: 74 frames without a timestamp: placed at"), "{said}");
    let video = streams(&place.out("a.mkv")).remove(0);
    assert_eq!(video.times.len(), 75, "{said}");
    assert!(video.times.windows(2).all(|pair| (pair[1] - pair[0] - 40.0).abs() < 1.01));
}

/// As in MP4 files of VLC. `x264enc` gives such frames no timestamps, and muxers refuse them.
#[test]
fn frames_with_the_time_of_the_frame_before_come_after_it() {
    let Some(place) = Place::of_ffmpeg("repeated times") else { return };
    make(&place.path("in/whole.mov"), &[BARS, "-c:v mjpeg"].join(" "));
    // Frames of 40 ms as pairs with one time.
    let pairs = "-i in/whole.mov -c copy -bsf:v setts=pts=1024+1024*floor(N/2):dts=512*N";
    make(&place.path("in/a.mov"), pairs);
    fs::remove_file(place.path("in/whole.mov")).unwrap();
    for piece in ["0", "1"] {
        let said = place.run(&["in", "--piece", piece]);
        assert!(said.contains("with a timestamp that is not later than"), "{said}");
        let times = streams(&place.out("a.mov")).remove(0).times;
        assert_eq!(times.len(), 75, "{said}");
        let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            steps
                .zip([1.0, 79.0].into_iter().cycle())
                .all(|(is, should)| (is - should).abs() < 0.1),
            "{times:?}"
        );
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// Times of an AVI are those of decoding, and Xvid packs two frames into one chunk.
#[test]
fn films_of_divx_and_xvid_keep_their_times() {
    let Some(place) = Place::of_ffmpeg("DivX and Xvid") else { return };
    let films = [
        ("divx.avi", "-c:v mpeg4 -vtag DX50 -bf 2 -g 12 -q:v 4"),
        ("xvid.avi", "-c:v libxvid -bf 2 -g 12 -q:v 4"),
        ("h264.avi", "-c:v libx264 -bf 3 -g 12"),
        ("mpeg2.avi", "-c:v mpeg2video -bf 2 -g 12 -q:v 4"),
    ];
    for (name, codec) in films {
        make(&place.input(name), &[BARS, codec].join(" "));
    }
    for container in ["mkv", "mp4"] {
        let said = place.run(&["in", "--container", container]);
        assert!(!said.contains("note:"), "{said}");
        for (name, _) in films {
            let expected = frames(&place.input(name));
            let output = place.out(&name.replace("avi", container));
            let times = streams(&output).remove(0).times;
            assert_eq!(times.len(), expected, "{name}, {container}");
            // libxvid starts with two empty chunks.
            let even = times.windows(2).skip(1).all(|pair| (pair[1] - pair[0] - 40.0).abs() < 1.01);
            assert!(even, "{name}, {container}: {times:?}");
        }
    }
    let said = place.run(&["in/divx.avi", "--base", "in", "--frames", "20", "--container", "webm"]);
    assert_eq!(frames(&place.out("divx.webm")), 20, "{said}");
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

/// `matroskademux` of GStreamer 1.22 outputs ProRes without times.
#[test]
fn prores_of_a_variable_rate_in_matroska_keeps_its_times() {
    let Some(place) = Place::of_ffmpeg("ProRes in Matroska") else { return };
    let vary = "-vf select=not(mod(n\\,3))+gt(n\\,40) -fps_mode vfr -c:v prores_ks";
    make(&place.path("in/a.mkv"), &[BARS, TONE, vary].join(" "));
    make(&place.path("in/b.mkv"), &[BARS, "-c:v prores_ks"].join(" "));
    for piece in ["0", "0.5"] {
        place.run(&["in", "--piece", piece]);
        for name in ["a.mkv", "b.mkv"] {
            let [before, after] =
                [place.input(name), place.out(name)].map(|path| streams(&path).remove(0).times);
            let off = offset(&before, &after);
            assert!(off < 2.0, "{name}: {off} ms");
        }
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

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

/// MP4 hides a last frame without a duration, and fragmented MP4 does not say how long each one lasts.
#[test]
fn the_last_frame_of_an_unknown_rate_is_shown() {
    let Some(place) = Place::of_ffmpeg("a last frame") else { return };
    let fragments = "-c:v mjpeg -c:a alac -movflags +frag_keyframe+empty_moov";
    make(&place.path("in/a.mp4"), &[BARS, TONE, fragments].join(" "));
    make(
        &place.path("in/b.mp4"),
        &[BARS, "-vf select=not(mod(n\\,3))+gt(n\\,40) -fps_mode vfr -c:v mpeg4"].join(" "),
    );
    let said = place.run(&["in"]);
    assert!(!said.contains("read back"), "{said}");
    for name in ["a.mp4", "b.mp4"] {
        assert_eq!(frames(&place.out(name)), frames(&place.input(name)), "{name}");
    }
}

/// In a program stream, several frames share a timestamp.
#[test]
fn frames_of_a_program_stream_keep_their_times() {
    let Some(place) = Place::of_ffmpeg("the times of a program stream") else { return };
    make(&place.path("in/a.mpg"), &[BARS, TONE, "-c:v mpeg2video -bf 2 -g 15 -c:a mp2"].join(" "));
    make(&place.path("in/b.vob"), &[BARS, "-c:v mpeg2video -bf 1 -g 12 -b:v 90k"].join(" "));
    let said = place.run(&["in", "--name", "{stem}.mkv"]);
    assert!(!said.contains("note:"), "{said}");
    for name in ["a.mkv", "b.mkv"] {
        let times = streams(&place.out(name)).remove(0).times;
        assert!(
            times.windows(2).all(|pair| (pair[1] - pair[0] - 40.0).abs() < 0.1),
            "{name}: {times:?}"
        );
    }
}

/// MPEG-4 in a transport stream does not say how many frames it has in a second, and x265 has to know.
#[test]
fn video_of_unknown_rate_becomes_hevc() {
    let Some(place) = Place::of_ffmpeg("an unknown rate as HEVC") else { return };
    make(&place.path("in/a.ts"), &[BARS, "-c:v mpeg4"].join(" "));
    place.run(&["in", "--preset", "hevc", "--container", "mp4"]);
    let [before, after] =
        [place.path("in/a.ts"), place.out("a.mp4")].map(|path| steps(&streams(&path)[0].times));
    let off = offset(&before, &after);
    assert!(off < 1.0, "{off} ms");
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

/// The first clock of a stream comes with its video, here a second after the audio starts.
#[test]
fn sound_without_times_is_named() {
    let Some(place) = Place::of_ffmpeg("sound without times") else { return };
    let late = ["-itsoffset 1", BARS, TONE, "-map 0 -map 1", H264, "-bf 0 -c:a aac"].join(" ");
    make(&place.path("in/a.ts"), &late);
    for container in ["ts", "mkv", "mp4"] {
        let said = place.run(&["in", "--container", container]);
        assert!(
            said.contains("note: in/a.ts: track 2 has no timestamps and starts with"),
            "{said}"
        );
    }
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

/// ffmpeg writes bitmaps of unknown duration as lasting until 2^32 ms, and the file has that duration too.
#[test]
fn subtitles_without_an_end_do_not_make_the_video_longer() {
    let Some(place) = Place::of_ffmpeg("subtitles without an end") else { return };
    let subtitle = "1\n00:00:00,200 --> 1193:02:47,495\nHello\n";
    fs::write(place.path("s.srt"), subtitle).unwrap();
    let tracks = "-i s.srt -map 0 -map 1 -map 2 -c:a aac -c:s srt";
    make(&place.path("in/a.mkv"), &[BARS, TONE, tracks, H264].join(" "));
    for subtitles in ["all", "none"] {
        let said = place.run(&["in", "--subtitles", subtitles]);
        assert!(!said.contains("note:"), "{said}");
        let audio = &streams(&place.out("a.mkv"))[1];
        assert_eq!((audio.codec.as_str(), audio.times.len() / 10), ("aac", 13), "{said}");
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
    let (start, _) = chapters(&place.out("late.mkv")).remove(0);
    assert!((start - 1.5).abs() < 0.002, "{start} s");
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
