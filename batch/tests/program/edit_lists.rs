// SPDX-License-Identifier: MIT OR Apache-2.0

//! What edit lists show and hide, in files that cameras and `ffmpeg -c copy` write.

use std::fs;

use crate::common::{
    Place,
    ffmpeg::{BARS, H264, TONE, chapters, frames, make, offset, steps, streams},
    media,
};

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
            let (frames, expected) = (&translated.times, video.shown());
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

/// Without an edit list, frames that are shown later than decoded make the track end later than its durations say.
#[test]
fn frames_without_an_edit_list_are_there_to_the_end() {
    let Some(place) = Place::of_ffmpeg("no edit lists") else { return };
    for (name, options) in [
        ("a.mp4", "-bf 2 -use_editlist 0"),
        ("b.mov", "-bf 3 -r 10 -use_editlist 0"),
        ("c.mp4", "-bf 1 -use_editlist 0 -movflags +frag_keyframe+empty_moov"),
    ] {
        make(&place.input(name), &[BARS, H264, options].join(" "));
    }
    for piece in ["0", "0.5"] {
        let said = place.run(&["in", "--piece", piece]);
        assert!(!said.contains("note:"), "{said}");
        for name in ["a.mp4", "b.mov", "c.mp4"] {
            let [before, after] = [place.input(name), place.out(name)].map(|path| frames(&path));
            assert_eq!(after, before, "{name}, --piece {piece}: {said}");
        }
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// A cut between two frames: the first one begins before it and is still shown.
#[test]
fn a_frame_that_an_edit_list_cuts_is_in_the_first_segment() {
    let Some(place) = Place::of_ffmpeg("cuts between two frames") else { return };
    make(&place.path("whole.mp4"), &[BARS, H264, "-g 10"].join(" "));
    for name in ["cut.mp4", "cut.mov"] {
        make(&place.input(name), "-ss 0.53 -i whole.mp4 -c copy");
    }
    let [whole, pieces] = ["0", "0.5"].map(|piece| {
        let said = place.run(&["in", "--piece", piece]);
        assert!(!said.contains("note:"), "{said}");
        let times = ["cut.mp4", "cut.mov"].map(|name| streams(&place.out(name)).remove(0).times);
        fs::remove_dir_all(place.path("out")).unwrap();
        times
    });
    assert_eq!(whole, pieces);
    assert!((whole[0][1] - 30.0).abs() < 1.0, "{:?}", whole[0]);
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
        let off = offset(&steps(&before[0].shown()), &steps(&after[0].times));
        assert!(off < 1.0, "{name}: {off} ms");
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

/// Parts of a film may keep the times that they have in it.
#[test]
fn files_that_begin_late_keep_their_times() {
    let Some(place) = Place::of_ffmpeg("a late beginning") else { return };
    place.chapters_file("", &[(2000, 3000, "One"), (3000, 5000, "Two")]);
    fs::write(place.path("s.srt"), "1\n00:00:00,500 --> 00:00:01,000\nHello\n").unwrap();
    make(&place.path("whole.mp4"), &[BARS, TONE, H264, "-c:a aac"].join(" "));
    let late =
        "-itsoffset 2 -i whole.mp4 -itsoffset 2 -i s.srt -i chapters.txt -map_chapters 2 -c copy";
    for (name, tracks) in [
        ("a.mp4", "-map 0"),
        ("b.mkv", "-map 0"),
        ("c.mov", "-map 0:v"),
        ("d.mkv", "-map 0 -map 1"),
        ("e.mp4", "-map 0 -map 1 -c:s mov_text"),
    ] {
        make(&place.input(name), &[late, tracks].join(" "));
    }
    for container in ["mp4", "mov", "mkv"] {
        let said = place.run(&["in", "--container", container]);
        assert!(!said.contains("read back"), "{said}");
        for name in ["a.mp4", "b.mkv", "c.mov", "d.mkv", "e.mp4"] {
            let input = place.input(name);
            let output = place.out(name).with_extension(container);
            let of = |path| {
                let all = streams(path).into_iter().filter(|stream| stream.kind != "data");
                all.map(|stream| (stream.kind.clone(), stream.shown())).collect::<Vec<_>>()
            };
            let (before, after) = (of(&input), of(&output));
            assert_eq!(before.len(), after.len(), "{name}, {container}: {said}");
            for ((kind, mut before), (_, mut after)) in before.into_iter().zip(after) {
                if kind == "subtitle" {
                    // MP4 has empty texts where there is none.
                    for times in [&mut before, &mut after] {
                        times.drain(..times.len() - 1);
                    }
                }
                let off = offset(&before, &after);
                assert!(off < 1.1, "{kind} of {name}, {container}: {off} ms");
            }
            let longer = media::duration(&output) - media::duration(&input);
            assert!(longer.abs() < 0.05, "{name}, {container}: {longer} s longer");
            let second = chapters(&output)[1].0;
            assert!((second - 3.0).abs() < 0.01, "{name}, {container}: chapter at {second} s");
        }
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}
