// SPDX-License-Identifier: MIT OR Apache-2.0

//! Timestamps of frames that are uneven, repeated or missing.

use std::fs;

use crate::common::{
    Place,
    ffmpeg::{BARS, H264, TONE, frames, make, offset, steps, streams},
    media,
};

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
                let (times, sound) = (tracks[0].shown(), tracks[1].times.last().unwrap() / 1000.0);
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
        [place.path("in/a.mp4"), place.out("a.mp4")].map(|path| streams(&path)[0].shown());
    assert_eq!(before.len(), 75);
    let off = offset(&before, &after);
    assert!(off < 0.02, "{off} ms");
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

/// Some encoders state the unit of the clock as the frame rate: 90,000 frames a second.
#[test]
fn a_rate_that_is_a_clock_is_ignored() {
    let Some(place) = Place::of_ffmpeg("a rate of 90,000") else { return };
    let pause = "-vf select=not(between(n\\,10\\,50)) -fps_mode vfr";
    let at_end = "-vf select=not(between(n\\,30\\,73)) -fps_mode vfr";
    for (name, options) in [
        ("a.mp4", format!("{pause} {H264} -bsf:v h264_metadata=tick_rate=180000")),
        ("b.mov", format!("{pause} -c:v libx265 -bsf:v hevc_metadata=tick_rate=90000")),
        ("c.mp4", format!("{at_end} {H264} -bsf:v h264_metadata=tick_rate=180000")),
        ("d.mkv", format!("{pause} {H264} -bsf:v h264_metadata=tick_rate=180000")),
        ("e.264", format!("{H264} -bsf:v h264_metadata=tick_rate=180000")),
    ] {
        make(&place.input(name), &[BARS, &options].join(" "));
    }
    let said = place.run(&["in", "--piece", "0.5"]);
    for name in ["a.mp4", "b.mov", "c.mp4", "d.mkv"] {
        let [before, after] = [place.input(name), place.out(name)];
        let off = offset(&streams(&before)[0].shown(), &streams(&after)[0].shown());
        assert!(off < 1.0, "{name}: {off} ms");
        let length = media::duration(&after);
        assert!((length - 3.0).abs() < 0.1, "{name}: {length} s");
    }
    let even: Vec<_> = (0..75).map(|number| f64::from(number) * 40.0).collect();
    let off = offset(&even, &streams(&place.out("e.mkv"))[0].times);
    assert!(off < 1.0, "{off} ms: {said}");
    // The parser of GStreamer 1.26 gives the first frame a time.
    let without = if gst::version() < (1, 26, 0, 0) { 75 } else { 74 };
    let note = format!("note: in/e.264: {without} frames without a timestamp: placed at");
    assert!(said.contains(&note), "{said}");
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
}
