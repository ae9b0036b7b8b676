// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVI, ASF, MXF, Ogg and program streams of ffmpeg: times, the order of tracks, sound and chapters.

use crate::common::{
    Place, edit,
    ffmpeg::{BARS, H264, OTHER_TONE, SURROUND, TONE, chapters, make, offset, steps, streams, tag},
    find, text,
};

/// Asserts that the frames of `output` have the times of those of `input`, by their distance from the first.
fn assert_same_times(place: &Place, input: &str, output: &str) {
    // AVI marks a repeated frame by a packet without data, which ffprobe leaves out.
    let times = |path| {
        let video = streams(path).into_iter().find(|stream| stream.kind == "video").unwrap();
        steps(&video.times)
    };
    let off = offset(&times(&place.input(input)), &times(&place.out(output)));
    assert!(off < 2.0, "{input}: {off} ms");
}

/// Programs that capture video count frames that they have dropped, so that the sound stays in time.
#[test]
fn dropped_frames_keep_their_time() {
    let Some(place) = Place::of_ffmpeg("dropped frames") else { return };
    let dropped = "-vf select=lt(n\\,20)+gte(n\\,45) -fps_mode vfr";
    let files = [
        ("a.avi", "mjpeg"),
        ("b.avi", "huffyuv"),
        ("c.avi", "mpeg4 -bf 0"),
        ("d.avi", "mpeg4 -bf 2"),
        ("e.avi", "wmv2"),
        ("f.avi", "zmbv"),
        ("g.avi", "libx264 -bf 0 -preset ultrafast"),
        ("h.avi", "libx264 -bf 2 -preset ultrafast"),
        ("i.mkv", "wmv2"),
        ("j.mkv", "huffyuv"),
    ];
    for (name, codec) in files {
        let path = place.input(name);
        make(&path, &[BARS, TONE, dropped, "-c:a libmp3lame -c:v", codec].join(" "));
    }
    let said = place.run(&["in"]);
    for what in ["damaged", "overlap", "timestamp"] {
        assert!(!said.contains(what), "{said}");
    }
    for (name, _) in files {
        assert_same_times(&place, name, &name.replace("avi", "mkv"));
    }
}

/// The header of an AVI says when a track starts, as `mencoder -audio-delay` writes it.
#[test]
fn tracks_of_avi_start_when_the_header_says() {
    let Some(place) = Place::of_ffmpeg("the starts of tracks in AVI") else { return };
    let start = |name: &str, kind: &[u8], units: u32| {
        edit(&place.input(name), |bytes| {
            let at = find(bytes, kind) + 28;
            bytes[at..at + 4].copy_from_slice(&units.to_le_bytes());
        });
    };
    // The units are frames, and packets or samples of sound.
    for (name, kind, codecs, units) in [
        ("mp3.avi", b"auds", "-c:v mpeg4 -c:a libmp3lame", 19),
        ("pcm.avi", b"auds", "-c:v mjpeg -c:a pcm_s16le", 22_050),
        ("video.avi", b"vids", "-c:v mpeg4 -bf 2 -c:a libmp3lame", 13),
        ("h264.avi", b"vids", "-c:v libx264 -bf 2 -c:a libmp3lame", 13),
        ("wrong.avi", b"auds", "-c:v mpeg4 -c:a libmp3lame", u32::MAX),
    ] {
        make(&place.input(name), &[BARS, TONE, codecs].join(" "));
        start(name, kind, units);
    }
    for container in ["mkv", "mp4"] {
        let said = place.run(&["in", "--container", container]);
        assert!(!said.contains("timestamp") && !said.contains("overlap"), "{said}");
        for (name, expected) in [
            ("mp3", [0.0, 496.3]),
            ("pcm", [0.0, 500.0]),
            ("video", [520.0, 0.0]),
            ("h264", [520.0, 0.0]),
            ("wrong", [0.0, 0.0]),
        ] {
            let output = streams(&place.out(&format!("{name}.{container}")));
            let found = [0, 1].map(|track| output[track].shown()[0]);
            // What is encoded again begins with the delay of the encoder.
            let off = offset(&expected, &found);
            assert!(off < 25.0, "{name}, {container}: {found:?}, not {expected:?}");
        }
    }
}

/// ASF counts from 0 and `asfdemux` from the first frame. Neither its decoders nor ASF itself know the frame rate.
#[test]
fn asf_that_starts_late_or_has_many_frames_is_whole() {
    let Some(place) = Place::of_ffmpeg("ASF that starts late") else { return };
    make(&place.path("in/late.wmv"), &[BARS, "-c:v wmv2 -output_ts_offset 2"].join(" "));
    let many = BARS.replace("rate=25", "rate=60");
    make(&place.path("in/many.wmv"), &[&many, TONE, "-c:v msmpeg4 -c:a wmav2"].join(" "));
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    assert_same_times(&place, "late.wmv", "late.mkv");
    assert_same_times(&place, "many.wmv", "many.mkv");

    // A file that lacks its end, or cannot be read to it, is still an error.
    let mut late = std::fs::read(place.path("in/late.wmv")).unwrap();
    let middle = late.len() / 2;
    std::fs::write(place.path("in/cut.wmv"), &late[..middle]).unwrap();
    late[middle..].fill(0);
    std::fs::write(place.path("in/zeros.wmv"), &late).unwrap();
    for name in ["in/cut.wmv", "in/zeros.wmv"] {
        let output = place.program().arg(name).output().unwrap();
        let said = text(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(&format!("error: {name}: is truncated")), "{said}");
    }
}

/// `mxfdemux` gives frames of H.264 the times of their order of decoding.
#[test]
fn h264_in_mxf_keeps_its_times() {
    let Some(place) = Place::of_ffmpeg("H.264 in MXF") else { return };
    make(&place.path("in/a.mxf"), &[BARS, H264].join(" "));
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    let expected: Vec<_> = (0..75).map(|number| f64::from(number) * 40.0).collect();
    let off = offset(&expected, &streams(&place.out("a.mkv"))[0].times);
    assert!(off < 1.0, "{off} ms");
}

/// Players play the first track of sound.
#[test]
fn tracks_are_in_the_order_of_the_file() {
    let Some(place) = Place::of_ffmpeg("the order of tracks") else { return };
    let tones = [OTHER_TONE, SURROUND, TONE].join(" ");
    let names =
        "-metadata:s:a:0 language=fra -metadata:s:a:1 language=jpn -metadata:s:a:2 language=eng";
    let maps = "-map 0 -map 1 -map 2 -map 3";
    let in_ogg = "-c:v libtheora -c:a:0 libvorbis -c:a:1 flac -c:a:2 libopus";
    // ffmpeg chooses the numbers of the tracks at random.
    for name in ["a.ogv", "b.ogv", "c.ogv"] {
        make(&place.input(name), &[BARS, &tones, maps, in_ogg, names].join(" "));
    }
    let in_ps = "-c:v mpeg2video -c:a:0 mp2 -c:a:1 ac3 -c:a:2 mp2";
    make(&place.path("in/d.mpg"), &[BARS, &tones, maps, in_ps].join(" "));
    place.run(&["in"]);
    let sound = |path: &std::path::Path| -> Vec<_> {
        let all = streams(path).into_iter().filter(|stream| stream.kind == "audio");
        all.map(|stream| (stream.codec.clone(), stream.text("channels"))).collect()
    };
    for name in ["a.ogv", "b.ogv", "c.ogv", "d.mpg"] {
        let input = place.input(name);
        let output = place.out(name).with_extension("mkv");
        assert_eq!(sound(&output), sound(&input), "{name}");
    }
}

/// AVI describes surround sound, and sound above 48 kHz, by an extended header, which `avidemux` takes for the
/// configuration of the decoder.
#[test]
fn sound_with_an_extended_header_in_avi_is_kept() {
    let Some(place) = Place::of_ffmpeg("sound with an extended header") else { return };
    let high = TONE.replace("sine=440", "sine=440:r=96000");
    for (name, sound) in [
        ("a.avi", [SURROUND, "-c:a aac"].join(" ")),
        ("b.avi", [&high, "-c:a aac"].join(" ")),
        ("c.avi", [&high, "-c:a adpcm_ms"].join(" ")),
        ("d.avi", [SURROUND, "-c:a ac3"].join(" ")),
    ] {
        make(&place.input(name), &[BARS, &sound, "-c:v mpeg4"].join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("overlap"), "{said}");
    for name in ["a", "b", "c", "d"] {
        let before = &streams(&place.path(format!("in/{name}.avi")))[1];
        let after = &streams(&place.out(&format!("{name}.mkv")))[1];
        for field in ["channels", "sample_rate"] {
            assert_eq!(after.text(field), before.text(field), "{field} of {name}");
        }
        assert!(after.times.last().unwrap() - after.times[0] > 2800.0, "{name}");
    }
}

/// Ogg has chapters in its comments, ASF as markers.
#[test]
fn chapters_of_ogg_and_asf_are_kept() {
    let Some(place) = Place::of_ffmpeg("chapters of Ogg and ASF") else { return };
    place.chapters_file("comment=Words\n", &[(0, 1000, "One"), (1000, 3000, "Zwei ü")]);
    for (name, codecs) in
        [("a.ogv", "-c:v libtheora -c:a libopus"), ("b.wmv", "-c:v wmv2 -c:a wmav2")]
    {
        let source =
            [BARS, TONE, "-i chapters.txt -map 0 -map 1 -map_metadata 2 -map_chapters 2", codecs];
        make(&place.input(name), &source.join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    for name in ["a.mkv", "b.mkv"] {
        let found = chapters(&place.out(name));
        assert_eq!(found, [(0.0, "One".to_owned()), (1.0, "Zwei ü".to_owned())], "{name}");
        assert_eq!(tag(&place.out(name), "CHAPTER000"), "", "{name}");
    }
}
