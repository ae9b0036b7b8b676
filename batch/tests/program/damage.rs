// SPDX-License-Identifier: MIT OR Apache-2.0

//! Truncated and damaged files.

use std::fs;

use crate::common::{
    self, Place, edit,
    ffmpeg::{BARS, H264, TONE, make, streams},
};

#[test]
fn truncated_files_are_named() {
    let Some(place) = Place::of_ffmpeg("truncated files") else { return };
    let x264 = [H264, "-g 25 -c:a aac"].join(" ");
    let fragments = [&x264, "-movflags frag_keyframe+empty_moov"].join(" ");
    // The first two are translated as far as they go. The others fail, because their headers state their length.
    let files = [
        ("a.avi", "-c:v mpeg4 -c:a libmp3lame", true),
        ("b.mp4", &fragments, true),
        ("c.mkv", &x264, false),
        ("d.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis", false),
        ("e.flv", &x264, false),
    ];
    for (name, codecs, _) in files {
        let input = place.input(name);
        make(&input, &[BARS, TONE, codecs].join(" "));
        edit(&input, |bytes| bytes.truncate(bytes.len() * 6 / 10));
    }
    make(&place.path("in/whole.avi"), &[BARS, TONE, "-c:v mpeg4 -c:a libmp3lame"].join(" "));
    // A recording that has not started.
    fs::write(place.path("in/g.mp4"), b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov").unwrap();
    fs::write(place.path("in/f.mp4"), b"\0\0\0\x1Cftypavif\0\0\0\0avifmif1miaf").unwrap();
    let said = place.said(&["in"]);
    for (name, _, is_translated) in files {
        let kind = if is_translated { "note" } else { "error" };
        assert!(said.contains(&format!("{kind}: in/{name}: is truncated")), "{name}: {said}");
    }
    assert!(!said.contains("in/whole.avi:"), "{said}");
    assert!(streams(&place.out("a.mkv"))[0].times.len() >= 35, "{said}");
    assert!(said.contains("error: in/g.mp4: is truncated, or still being written"), "{said}");
    assert!(said.contains("in/f.mp4: is an AVIF or HEIF image; name it"), "{said}");
}

/// In complete files, the lengths of tracks differ by more than the few frames that are missing here.
#[test]
fn files_that_lack_little_are_named_and_those_that_have_more_are_not() {
    let Some(place) = Place::of_ffmpeg("files that lack little") else { return };
    for (name, keep) in [("short.mkv", 97), ("more.mp4", 100), ("more.mov", 100), ("more.mkv", 100)]
    {
        let input = place.input(name);
        make(&input, &[BARS, TONE, H264, "-g 25 -c:a aac"].join(" "));
        edit(&input, |bytes| {
            bytes.truncate(bytes.len() * keep / 100);
            if keep == 100 {
                bytes.extend([0xA5; 3000]);
            }
        });
    }
    let said = place.run(&["in"]);
    assert!(said.contains("note: in/short.mkv: is truncated: its last "), "{said}");
    assert_eq!(said.matches("note:").count(), 1, "{said}");
}

/// A track that a file describes as longer than it is.
#[test]
fn sound_that_ends_early_is_named() {
    let Some(place) = Place::of_ffmpeg("an early end") else { return };
    let sound = TONE.replace("d=3", "d=1");
    let input = place.path("in/a.mp4");
    make(&input, &[BARS, &sound, H264, "-c:a aac"].join(" "));
    assert!(!place.run(&["in"]).contains("note:"));
    edit(&input, |bytes| {
        let header = bytes.windows(4).rposition(|window| window == b"tkhd").unwrap();
        let duration = header + 24..header + 28;
        assert_eq!(bytes[duration.clone()], 1000_u32.to_be_bytes());
        bytes[duration].copy_from_slice(&3000_u32.to_be_bytes());
    });
    let said = place.run(&["in"]);
    assert!(
        said.contains("note: in/a.mp4: track 2 ends at 1.0 s, but the file says 3.0 s"),
        "{said}"
    );
}

#[test]
fn gaps_in_a_damaged_file_are_named() {
    let Some(place) = Place::of_ffmpeg("damaged files") else { return };
    let theora = [BARS, TONE, "-c:v libtheora -g 10 -c:a libvorbis"].join(" ");
    let mpeg2 = [BARS, TONE, "-c:v mpeg2video -c:a pcm_s16le -ar 48000"].join(" ");
    make(&place.path("in/whole.ogv"), &theora);
    for (name, arguments) in [("a.ogv", &theora), ("b.mxf", &mpeg2)] {
        let input = place.input(name);
        make(&input, arguments);
        edit(&input, |bytes| {
            let length = bytes.len();
            bytes[length / 2..length * 11 / 20].fill(0xA5);
        });
    }
    let said = place.said(&["in"]);
    assert!(said.contains("note: in/a.ogv: has 1 gap in its data"), "{said}");
    assert!(said.contains("error: in/b.mxf: is damaged: it cannot be read to the end"), "{said}");
    assert!(!said.contains("in/whole.ogv:"), "{said}");
}

/// The demuxers of these containers skip damaged data silently.
#[test]
fn what_demuxers_skip_is_named() {
    let Some(place) = Place::of_ffmpeg("damaged streams") else { return };
    let (mpeg2, h264) = ("-c:v mpeg2video -c:a", format!("{H264} -g 10 -c:a aac"));
    // Its index then points to wrong positions.
    let avi = place.path("in/e.avi");
    make(&avi, &[BARS, TONE, "-c:v mpeg4 -c:a libmp3lame"].join(" "));
    edit(&avi, |bytes| drop(bytes.drain(bytes.len() / 2..bytes.len() * 11 / 20)));
    let files = [
        ("a.vob", format!("{mpeg2} ac3 -f vob")),
        ("b.mpg", format!("{mpeg2} mp2")),
        ("c.wmv", "-c:v wmv2 -c:a wmav2".to_owned()),
        ("d.mkv", h264),
    ];
    for (name, codecs) in &files {
        let input = place.input(name);
        make(&input, &[BARS, TONE, codecs].join(" "));
        fs::copy(&input, place.input(format!("whole-{name}"))).unwrap();
        edit(&input, |bytes| {
            let damage = bytes.len() * 45 / 100..bytes.len() * 55 / 100;
            match *name {
                "d.mkv" => drop(bytes.drain(damage)),
                _ => bytes[damage].fill(0xA5),
            }
        });
    }
    let said = place.said(&["in"]);
    for (name, _) in files.iter().take(3) {
        for what in ["the video", "track 2"] {
            let note = format!("note: in/{name}: {what} has a gap of 0.");
            assert!(said.contains(&note), "{name}: {said}");
        }
    }
    assert!(said.contains("in/e.avi: is damaged: only "), "{said}");
    // Its demuxer continues at the next cluster that it finds, or gives up.
    assert!(said.contains(" in/d.mkv: "), "{said}");
    assert!(!said.contains(" in/whole-"), "{said}");
}

/// Only the decoder notices this: elementary streams have no frame count, and in containers no frame is missing.
#[test]
fn damage_that_only_the_decoder_sees_is_named() {
    let Some(place) = Place::of_ffmpeg("damaged frames") else { return };
    let x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error";
    // The share of the file that is damaged, in thousandths.
    let files = [
        ("a.m2v", "-c:v mpeg2video", 50),
        ("b.h264", H264, 50),
        ("c.hevc", x265, 50),
        ("d.mp4", H264, 10),
        ("e.mp4", "-c:v mpeg4", 2),
        ("f.mov", x265, 20),
        ("g.mkv", "-c:v mpeg4", 2),
    ];
    for (name, codec, share) in files {
        let input = place.input(name);
        make(&input, &[BARS, codec].join(" "));
        fs::copy(&input, place.input(format!("whole-{name}"))).unwrap();
        edit(&input, |bytes| {
            let damage = bytes.len() / 2..bytes.len() / 2 + bytes.len() * share / 1000;
            bytes[damage].fill(0xA5);
        });
    }
    // Its clusters have checksums.
    let input = place.path("in/checked.mkv");
    make(&input, &[BARS, x265].join(" "));
    fs::copy(&input, place.path("in/whole-checked.mkv")).unwrap();
    edit(&input, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let said = place.run(&["in"]);
    let note = "note: in/checked.mkv: is damaged: 1 cluster of its data has a wrong checksum";
    assert!(said.contains(note), "{said}");
    for (name, ..) in files {
        let note = format!("note: in/{name}: is damaged: its decoder reports ");
        assert!(said.contains(&note), "{name}: {said}");
    }
    assert!(!said.contains("note: in/whole-"), "{said}");
}

/// Decoders of GStreamer 1.22 fail at such a frame, or output nothing until a key frame.
#[test]
fn a_damaged_frame_of_av1_and_vp9_costs_little() {
    let Some(place) = Place::of_ffmpeg("damaged frames of AV1 and VP9") else { return };
    let files = [
        ("a.mp4", "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 25", 50),
        ("b.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8", 74),
    ];
    for (name, codec, _) in files {
        let input = place.input(name);
        make(&input, &[BARS, codec].join(" "));
        common::damage(&input, 30);
    }
    let said = place.run(&["in"]);
    assert!(said.contains("frames cannot be decoded and are missing"), "{said}");
    for (name, _, least) in files {
        let count = streams(&place.out(name))[0].times.len();
        assert!(count >= least, "{name}: {count} frames\n{said}");
    }
}

/// After a cut, the frames before the first key frame refer to missing frames, and are not shown.
#[test]
fn cuts_and_segments_of_open_groups_are_not_damaged() {
    let Some(place) = Place::of_ffmpeg("open groups of pictures") else { return };
    let film = place.path("film.mp4");
    let open =
        "-c:v libx264 -preset fast -pix_fmt yuv420p -x264-params open-gop=1:keyint=12:bframes=3";
    make(&film, &[&BARS.replace("d=3", "d=6"), open].join(" "));
    make(&place.path("in/cut.mp4"), &format!("-ss 1.3 -i {} -c copy", film.display()));
    fs::rename(film, place.path("in/film.mp4")).unwrap();
    let said = place.run(&["in/film.mp4", "--piece", "1"]) + &place.run(&["in/cut.mp4"]);
    assert!(!said.contains("note: "), "{said}");
}

#[test]
fn what_ends_before_its_first_frame_fails_at_once() {
    let Some(place) = Place::of_ffmpeg("files without frames") else { return };
    let aac = "-c:a aac";
    let mpeg2 = "-c:v mpeg2video -s 720x576 -c:a pcm_s16le -ar 48000";
    let files = [
        ("avi.avi", [BARS, TONE, "-c:v mpeg4 -c:a mp3"].join(" "), 4096),
        ("gxf.gxf", [BARS, TONE, mpeg2].join(" "), 4096),
        ("rm.rm", [BARS, "-c:v rv10 -s 176x144"].join(" "), 100),
        ("webm.webm", [BARS, "-c:v libvpx -deadline realtime -cpu-used 8"].join(" "), 600),
        ("ts.ts", [BARS, TONE, H264, aac].join(" "), 1000),
        ("mxf.mxf", [BARS, TONE, mpeg2].join(" "), 4096),
    ];
    for (name, arguments, length) in &files {
        let path = place.input(name);
        make(&path, arguments);
        edit(&path, |bytes| bytes.truncate(*length));
    }
    let begun = std::time::Instant::now();
    let said = place.said(&["in"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{said}");
    for (name, cause) in [
        ("avi.avi", "is truncated: its last "),
        // Depending on its version, GStreamer reads past the end without stopping, or crashes.
        ("gxf.gxf", "cannot be read: "),
        ("rm.rm", "is truncated: no frame is found before its end"),
        ("webm.webm", "is damaged: nothing in it can be decoded"),
        ("ts.ts", "is damaged: nothing in it can be decoded"),
        ("mxf.mxf", "is truncated: no frame is found before its end"),
    ] {
        assert!(said.contains(&format!("error: in/{name}: {cause}")), "{name}: {said}");
    }
    let gxf = said.lines().find(|line| line.starts_with("error: in/gxf.gxf: "));
    assert!(gxf.is_some_and(|error| error.contains("; remux it first: ")), "{said}");
}
