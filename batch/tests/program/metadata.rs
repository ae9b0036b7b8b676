// SPDX-License-Identifier: MIT OR Apache-2.0

//! Data besides the tracks: chapters, dates, locations, time codes, cover art.

use std::{collections::HashMap, fs, path::Path};

use crate::common::{
    Place, contains, edit,
    ffmpeg::{self, BARS, H264, Stream, TONE, make, streams, tag},
    find,
};

/// Two chapters, as the third input of ffmpeg.
fn chapters(place: &Place) -> &'static str {
    place.chapters_file("", &[(0, 1000, "One"), (1000, 3000, "Zwölf")]);
    "-i chapters.txt -map 0 -map 1 -map_chapters 2"
}

#[test]
fn chapters_are_in_every_container_that_has_them() {
    let Some(place) = Place::of_ffmpeg("chapters") else { return };
    let two = chapters(&place);
    let mut starts = HashMap::new();
    for name in ["a.mp4", "b.mov", "c.mkv"] {
        let input = place.input(name);
        make(&input, &[BARS, TONE, two, H264, "-c:a aac"].join(" "));
        starts.insert(&name[..1], streams(&input)[0].times[0]);
    }
    for container in ["mp4", "mov", "mkv"] {
        // Audio of Matroska is copied completely, even if its last packet has no duration.
        let said = place.run(&["in", "--container", container]);
        assert!(!said.contains("note:"), "{said}");
        for stem in ["a", "b", "c"] {
            let output = place.out(&format!("{stem}.{container}"));
            let (tracks, mut found) = (streams(&output), ffmpeg::chapters(&output));
            // In Matroska, they move with the video if sound begins before it.
            let late = found[1].0 - 1.0;
            let is = (tracks[0].times[0] - starts[stem]) / 1000.0;
            assert!((late - is).abs() < 0.002, "{}: {found:?}, {is} s", output.display());
            found[1].0 -= late;
            assert_eq!(found, [(0.0, "One".into()), (1.0, "Zwölf".into())]);
            assert_eq!(tracks.len(), 2, "{}", output.display());
            assert_eq!(tracks[0].times.len(), 75);
        }
        let part =
            ["in", "--container", container, "--out", "part", "--start", "0.4", "--end", "2"];
        place.run(&part);
        for stem in ["a", "b", "c"] {
            let found = ffmpeg::chapters(&place.path(format!("part/{stem}.{container}")));
            assert_eq!(found, [(0.0, "One".into()), (0.6, "Zwölf".into())], "{stem} {container}");
        }
    }
    let said = place.run(&["in/a.mp4", "--container", "ts"]);
    let note = "its 2 chapters are left out: an MPEG transport stream cannot hold chapters";
    assert!(said.contains(note), "{said}");
}

/// Nero's list has at most 255, and files of QuickTime have none.
#[test]
fn chapters_of_a_chapter_track_are_kept() {
    let Some(place) = Place::of_ffmpeg("chapter tracks") else { return };
    let titles: Vec<_> = (0..300).map(|i| format!("Nº {i}")).collect();
    let chapters = (0..).zip(&titles).map(|(i, title)| (10 * i, 10 * (i + 1), title.as_str()));
    place.chapters_file("", &chapters.collect::<Vec<_>>());
    let film = [BARS, "-i chapters.txt -map 0 -map_chapters 1", H264].join(" ");
    make(&place.path("in/both.mp4"), &film);
    make(&place.path("in/track.mov"), &[&film, "-movflags disable_chpl"].join(" "));
    let said = place.run(&["in", "--container", "mkv"]);
    assert!(!said.contains("note:"), "{said}");
    for name in ["both.mkv", "track.mkv"] {
        let chapters = ffmpeg::chapters(&place.out(name));
        assert_eq!(chapters.len(), 300, "{name}");
        assert_eq!(chapters[299], (2.99, "Nº 299".to_owned()), "{name}");
    }
}

#[test]
fn the_last_chapter_ends_with_the_file() {
    let Some(place) = Place::of_ffmpeg("ends of chapters") else { return };
    let two = chapters(&place);
    for name in ["a.mp4", "b.mkv"] {
        make(&place.input(name), &[BARS, TONE, two, H264, "-c:a aac"].join(" "));
    }
    for (options, expected) in [("--end 2000", 3.0), ("--start 1 --end 9", 2.0), ("--end 2", 2.0)] {
        let all = ["in", "--container", "mkv", "--overwrite"].into_iter();
        place.run(&all.chain(options.split(' ')).collect::<Vec<_>>());
        for name in ["a.mkv", "b.mkv"] {
            let ends = ffmpeg::chapter_ends(&place.out(name));
            let end = ends.last().copied().unwrap_or_default();
            assert!((end - expected).abs() < 0.1, "{name}, {options}: {ends:?}");
        }
    }
}

#[test]
fn when_and_where_it_was_made_is_kept() {
    let Some(place) = Place::of_ffmpeg("dates and locations") else { return };
    let made = "-metadata title=Film -metadata creation_time=2020-01-02T03:04:05Z -metadata location=+48.8577+002.2950/";
    // ffmpeg writes it as `loci`, `©xyz` and by Apple's key.
    let apple = "com.apple.quicktime.location.ISO6709";
    for (name, more) in [("a.mp4", ""), ("b.mov", ""), ("c.mov", "-movflags use_metadata_tags")] {
        let made = match more {
            "" => made.to_owned(),
            _ => made.replace("location", apple),
        };
        make(&place.input(name), &[BARS, TONE, &made, more, H264, "-c:a aac"].join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note:"), "{said}");
    for name in ["a.mp4", "b.mov", "c.mov"] {
        let output = place.out(name);
        let key = if name == "c.mov" { apple } else { "location" };
        assert_eq!(tag(&output, key), "+48.8577+002.2950/", "{name}");
        assert_eq!(tag(&output, "title"), "Film", "{name}");
        assert!(tag(&output, "creation_time").starts_with("2020-01-02T03:04:05"), "{name}");
        for stream in streams(&output) {
            let made = &stream.details["tags"]["creation_time"];
            assert_eq!(made, "2020-01-02T03:04:05.000000Z", "{name}");
        }
    }
    let said = place.run(&["in/a.mp4", "--container", "mkv"]);
    assert!(said.contains("a.mp4: its location is left out"), "{said}");
    assert!(tag(&place.out("a.mkv"), "creation_time").starts_with("2020-01-02T03:04:05"));
}

/// Phones write it under a key.
#[test]
fn the_date_of_a_recording_is_kept() {
    let Some(place) = Place::of_ffmpeg("dates of recordings") else { return };
    let date = "-movflags use_metadata_tags \
                -metadata com.apple.quicktime.creationdate=2020-01-02T05:04:05+0200";
    make(&place.path("in/a.mov"), &[BARS, date, H264].join(" "));
    let said = place.run(&["in", "--container", "mkv"]);
    assert!(!said.contains("note:"), "{said}");
    assert_eq!(tag(&place.out("a.mkv"), "CREATIONDATE"), "2020-01-02T05:04:05+0200");
    let said = place.run(&["in", "--container", "mp4"]);
    assert!(said.contains("note: in/a.mov: tags are left out: creationdate\n"), "{said}");
    for name in ["a.mkv", "a.mp4"] {
        let date = tag(&place.out(name), "creation_time");
        assert!(date.starts_with("2020-01-02T03:04:05"), "{name}: {date}");
    }
}

#[test]
fn time_codes_are_kept_or_missed() {
    let Some(place) = Place::of_ffmpeg("time codes") else { return };
    let code = "-timecode 01:02:03:04";
    let two = chapters(&place);
    make(&place.path("in/a.mov"), &[BARS, TONE, code, H264, "-c:a aac"].join(" "));
    make(&place.path("in/b.mp4"), &[BARS, TONE, two, code, H264, "-c:a aac"].join(" "));
    let said = place.run(&["in"]);
    assert!(said.contains("note: in/b.mp4: its time code is left out"), "{said}");
    assert_eq!(said.matches("note:").count(), 1, "{said}");
    let output = streams(&place.out("a.mov"));
    assert_eq!(output[0].details["tags"]["timecode"], "01:02:03:04");
    // The chapter track does not become a text track.
    assert_eq!(streams(&place.out("b.mp4")).len(), 2);
    place.run(&["in/a.mov", "--start", "1", "--out", "part"]);
    let part = streams(&place.path("part/a.mov"));
    assert_eq!(part[0].details["tags"]["timecode"], "01:02:04:04");
    let mxf = "-c:v mpeg2video -c:a pcm_s16le -ar 48000";
    fs::create_dir(place.path("mxf")).unwrap();
    make(&place.path("mxf/tape.mxf"), &[BARS, TONE, code, mxf].join(" "));
    make(&place.path("mxf/none.mxf"), &[BARS, TONE, mxf].join(" "));
    let said = place.run(&["mxf"]);
    assert!(said.contains("tape.mxf: its time code is left out"), "{said}");
    assert!(!said.contains("none.mxf: its time code"), "{said}");
    let said = place.run(&["in/a.mov", "--container", "mkv"]);
    assert!(said.contains("a.mov: its time code is left out"), "{said}");
}

/// Gives the video of a Matroska file a rotation in place of its name of seven letters, as ffmpeg 6.1 and
/// mkvmerge write it.
fn turn(path: &Path, degrees: f32) {
    edit(path, |file| {
        let name = find(file, b"\x53\x6E\x87sideway");
        file.drain(name..name + 10);
        // The video's element, whose first is the width.
        let is_video = |w: &[u8]| w[0] == 0xE0 && w[1] & 0x80 != 0 && w[2] == 0xB0;
        let video = name + file[name..].windows(3).position(is_video).unwrap();
        let end = video + 2 + usize::from(file[video + 1] & 0x7F);
        file[video + 1] += 10;
        let roll = [&[0x76, 0x70, 0x87, 0x76, 0x75, 0x84][..], &degrees.to_be_bytes()].concat();
        file.splice(end..end, roll);
    });
}

#[test]
fn rotated_matroska_stands_upright() {
    let Some(place) = Place::of_ffmpeg("rotated Matroska") else { return };
    // White above, black below, and both turned.
    let upright = "-f lavfi -i color=white:s=128x96:r=25:d=0.4,pad=128:192:0:0:black";
    make(&place.path("in/a.mkv"), &[upright, H264].join(" "));
    let turned = [("right", "1", 90.0), ("left", "2", -90.0), ("over", "1,transpose=1", 180.0)];
    for (name, transpose, degrees) in turned {
        let input = place.path(format!("in/{name}.mkv"));
        let filter = format!("-vf transpose={transpose} -metadata:s:v title=sideway");
        make(&input, &[upright, &filter, H264].join(" "));
        turn(&input, degrees);
    }
    place.run(&["in"]);
    for name in ["a", "right", "left", "over"] {
        let output = place.out(&format!("{name}.mkv"));
        let video = &streams(&output)[0];
        assert_eq!(
            (video.text("width"), video.text("height")),
            ("128".into(), "192".into()),
            "{name}"
        );
        let frame = ffmpeg::first_frame(&output);
        assert!(frame[64 * 128] > 200 && frame[128 * 128] < 50, "{name} stands on its head");
    }
}

/// Front cameras of phones write such a matrix, which `qtdemux` of GStreamer 1.22 does not report.
#[test]
fn mirrored_mp4_is_mirrored_back() {
    let Some(place) = Place::of_ffmpeg("mirrored MP4") else { return };
    let upright = "-f lavfi -i color=white:s=96x64:r=25:d=0.4,pad=128:96:0:0:black";
    // The filter that mirrors the frames, and the matrix that reverses it.
    let mirrored = [
        ("a.mp4", "null", [1_i32, 0, 0, 1]),
        ("across.mp4", "hflip", [-1, 0, 0, 1]),
        ("down.mov", "vflip", [1, 0, 0, -1]),
        ("turned.mp4", "transpose=0", [0, 1, 1, 0]),
        ("other.mp4", "transpose=3", [0, -1, -1, 0]),
    ];
    for (name, filter, [a, b, c, d]) in mirrored {
        let input = place.input(name);
        make(&input, &[upright, "-vf", filter, H264].join(" "));
        edit(&input, |bytes| {
            let header = find(bytes, b"tkhd");
            for (i, value) in [(0, a), (1, b), (3, c), (4, d)] {
                let at = header + 44 + 4 * i;
                bytes[at..at + 4].copy_from_slice(&(value << 16).to_be_bytes());
            }
        });
    }
    place.run(&["in"]);
    let expected = ffmpeg::first_frame(&place.out("a.mp4"));
    for (name, ..) in &mirrored[1..] {
        let frame = ffmpeg::first_frame(&place.out(name));
        assert_eq!(frame.len(), expected.len(), "{name}");
        let differences = frame.iter().zip(&expected).filter(|(a, b)| a.abs_diff(**b) > 40);
        assert!(differences.count() < 100, "{name} is still mirrored");
    }
}

#[test]
fn stereo_video_keeps_its_aspect() {
    let Some(place) = Place::of_ffmpeg("stereo video") else { return };
    let modes = ["left_right", "top_bottom"];
    for mode in modes {
        let input = place.input(mode).with_extension("mkv");
        make(&input, &[BARS, H264, &format!("-metadata:s:v stereo_mode={mode}")].join(" "));
    }
    place.run(&["in"]);
    for mode in modes {
        let name = format!("{mode}.mkv");
        let describe = |path: &Path| {
            let video = streams(path).remove(0);
            (video.text("display_aspect_ratio"), video.details["side_data_list"][0]["type"].clone())
        };
        let before = describe(&place.input(&name));
        assert!(before.1.is_string(), "{mode}");
        assert_eq!(describe(&place.out(&name)), before, "{mode}");
    }
}

/// Their decoders output square pixels.
#[test]
fn images_keep_the_aspect_of_their_container() {
    let Some(place) = Place::of_ffmpeg("aspect of images") else { return };
    let files = [("a.mov", "qtrle"), ("b.mov", "png"), ("c.mkv", "png"), ("d.mkv", "ffv1")];
    for (name, codec) in files {
        let wide = ["-vf setsar=4/3 -c:v", codec].join(" ");
        make(&place.input(name), &[BARS, &wide].join(" "));
    }
    place.run(&["in", "--preset", "archive"]);
    for (name, _) in files {
        let aspect = streams(&place.out(name))[0].text("sample_aspect_ratio");
        // Matroska has the size on the screen in whole pixels.
        let expected = if name.ends_with("mov") { "4:3" } else { "213:160" };
        assert_eq!(aspect, expected, "{name}");
    }
}

/// DVDs have pixels that are not square.
#[test]
fn every_preset_keeps_the_aspect() {
    let Some(place) = Place::of_ffmpeg("aspect of presets") else { return };
    make(&place.path("in/a.mp4"), &[BARS, "-vf setsar=64/45 -t 1", H264].join(" "));
    for preset in ["web", "archive", "hevc", "av1", "prores", "proxy"] {
        let name = format!("{{stem}}-{preset}.{{ext}}");
        let said = place.run(&["in", "--preset", preset, "--name", &name]);
        assert!(!said.contains("aspect"), "{said}");
    }
    let said = place.run(&["in", "--video-encoder", "openh264enc"]);
    assert!(said.contains("note: in/a.mp4: its pixel aspect ratio 64:45 is left out"), "{said}");
    let own = ["in", "--container", "mkv", "--name", "{stem}-own.{ext}", "--video-encoder"];
    place.run(&[&own[..], &["openh264enc"]].concat());
    for name in
        ["a-web.mp4", "a-archive.mp4", "a-hevc.mp4", "a-av1.mp4", "a-prores.mov", "a-own.mkv"]
    {
        let aspect = streams(&place.out(name))[0].text("sample_aspect_ratio");
        let (width, height) = aspect.split_once(':').unwrap();
        let [width, height] = [width, height].map(|side| side.parse::<f64>().unwrap());
        // Matroska, as segments are, has the size on the screen in whole pixels, and these streams have no ratio.
        let tolerance = if ["a-av1.mp4", "a-own.mkv"].contains(&name) { 0.01 } else { 1e-6 };
        assert!((width / height / (64.0 / 45.0) - 1.0).abs() < tolerance, "{name}: {aspect}");
    }
}

#[test]
fn an_unknown_language_is_not_english() {
    let Some(place) = Place::of_ffmpeg("languages") else { return };
    make(&place.path("in/none.avi"), &[BARS, TONE, "-c:v mpeg4 -c:a libmp3lame"].join(" "));
    let german = "-metadata:s:a language=deu";
    make(&place.path("in/german.mp4"), &[BARS, TONE, H264, "-c:a aac", german].join(" "));
    place.run(&["in", "--container", "mkv"]);
    let language = |name: &str, track: usize| {
        let stream = streams(&place.out(name)).remove(track);
        stream.details["tags"]["language"].as_str().unwrap_or_default().to_owned()
    };
    // ffprobe does not print `und`.
    let known = ["", "", "", "ger"];
    let found = [("none.mkv", 0), ("none.mkv", 1), ("german.mkv", 0), ("german.mkv", 1)];
    assert_eq!(found.map(|(name, track)| language(name, track)), known);
}

#[test]
fn names_of_tracks_are_kept_or_missed() {
    let Some(place) = Place::of_ffmpeg("names of tracks") else { return };
    let names = "-metadata title=Film -metadata:s:v title=Front -metadata:s:a:0 title=Commentary \
                 -metadata:s:a:1 handler_name=Deutsch";
    let codecs = "-map 0 -map 1 -map 2 -c:a aac";
    for name in ["a.mp4", "b.mkv"] {
        make(&place.input(name), &[BARS, TONE, TONE, H264, codecs, names].join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    assert_eq!(tag(&place.out("b.mkv"), "title"), "Film");
    let name = |name: &str, track: usize| {
        let tags = streams(&place.out(name)).remove(track).details["tags"].clone();
        let mut tags = tags.as_object().into_iter().flatten();
        let title = tags.find(|(key, _)| key.eq_ignore_ascii_case("title"));
        title.map_or(String::new(), |(_, title)| title.as_str().unwrap().to_owned())
    };
    // The third name in Matroska is not that of the file, and not a generic one.
    assert_eq!([0, 1, 2].map(|track| name("b.mkv", track)), ["Front", "Commentary", ""]);
    // ffprobe does not print names in MP4.
    for (input, third) in [("a.mp4", "Deutsch"), ("b.mkv", "")] {
        place.run(&["in", "--include", input, "--container", "mov", "--name", "{stem}-c.{ext}"]);
        let moved = place.out(&format!("{}-c.mov", &input[..1]));
        place.run(&[moved.to_str().unwrap(), "--container", "mkv", "--name", "{stem}.{ext}"]);
        let file = format!("{}-c.mkv", &input[..1]);
        assert_eq!([0, 1, 2].map(|track| name(&file, track)), ["Front", "Commentary", third]);
    }
    let bytes = fs::read(place.out("a.mp4")).unwrap();
    let named = b"\0\0\0\x0FnameDeutsch";
    assert!(contains(&bytes, named));
    let said = place.run(&["in/b.mkv", "--container", "ts"]);
    let note = "note: in/b.mkv: track 2: its name 'Commentary' is left out\n";
    assert!(said.contains(note), "{said}");
}

/// One has a part of a generic name, and the length of the other is a character.
#[test]
fn unusual_names_of_tracks_are_kept() {
    let Some(place) = Place::of_ffmpeg("unusual names of tracks") else { return };
    let long = format!("{:=<45}", "Commentary");
    let titled = [BARS, H264, "-metadata:s:v title=Isaac"].join(" ");
    make(&place.path("in/a.mp4"), &titled);
    make(&place.path("in/b.mov"), &format!("{BARS} {H264} -metadata:s:v handler_name={long}"));
    place.run(&["in", "--container", "mkv"]);
    for (name, expected) in [("a.mkv", "Isaac"), ("b.mkv", &long)] {
        assert_eq!(streams(&place.out(name))[0].details["tags"]["title"], expected, "{name}");
    }
}

/// GStreamer reads chapters as a list, and plays the file from start to end.
#[test]
fn ordered_chapters_and_linked_files_are_named() {
    let Some(place) = Place::of_ffmpeg("ordered chapters") else { return };
    place.chapters_file("", &[(0, 1000, "One")]);
    // The flag of the default edition becomes that of an ordered one, the id of a chapter that of its file.
    for (name, from, to) in [
        ("ordered.mkv", b"\x45\xDB\x81\x01", b"\x45\xDD\x81\x01"),
        ("linked.mkv", b"\x73\xC4\x81\x01", b"\x6E\x67\x81\x01"),
    ] {
        make(&place.input(name), &[BARS, "-i chapters.txt", H264].join(" "));
        edit(&place.input(name), |bytes| {
            let at = find(bytes, from);
            bytes[at..at + 4].copy_from_slice(to);
        });
    }
    let said = place.run(&["in"]);
    for note in [
        "in/ordered.mkv: its ordered chapters are ignored",
        "in/linked.mkv: the files that it links to (linked segments) are not included",
    ] {
        assert!(said.contains(&format!("note: {note}")), "{said}");
    }
    assert_eq!(said.matches("note: ").count(), 2, "{said}");
}

#[test]
fn tags_that_a_container_does_not_hold_are_named() {
    let Some(place) = Place::of_ffmpeg("tags") else { return };
    let tags = "-metadata album=Tales -metadata genre=Fable -metadata date=2020 -metadata track=3";
    make(&place.path("in/a.mp4"), &[BARS, H264, tags].join(" "));
    assert!(!place.run(&["in"]).contains("note: "));
    let said = place.run(&["in", "--container", "ts"]);
    for what in ["album", "genre", "date", "track number"] {
        assert!(said.contains(&format!("note: in/a.mp4: its {what} is left out\n")), "{said}");
    }
}

/// GStreamer reads none of the tags under keys, as phones write them, and not all others.
#[test]
fn further_tags_of_mp4_and_quicktime_are_kept_or_named() {
    let Some(place) = Place::of_ffmpeg("further tags of QuickTime") else { return };
    let tags = [("title", "Film"), ("make", "Maker"), ("model", "One"), ("date", "2020-02-03")];
    let metadata = tags.map(|(name, value)| format!("-metadata {name}={value}")).join(" ");
    let two = chapters(&place);
    for (name, more) in
        [("a.mov", ""), ("b.mov", "-movflags use_metadata_tags"), ("c.mp4", "-metadata rating=5")]
    {
        let film = [BARS, TONE, two, &metadata, more, H264, "-c:a aac"].join(" ");
        make(&place.input(name), &film);
        for part in [&["in"][..], &["in", "--start", "0.5", "--overwrite"]] {
            let said = place.run(part);
            assert!(!said.contains("note:"), "{said}");
            for (key, _) in tags {
                let (before, after) = (tag(&place.input(name), key), tag(&place.out(name), key));
                assert_eq!(after, before, "{key} of {name}");
            }
            assert_eq!(ffmpeg::chapters(&place.out(name)).len(), 2, "{name}");
        }
    }
    let mkv = ["in/a.mov", "in/b.mov", "--base", "in", "--container", "mkv"];
    let said = place.run(&mkv);
    assert!(!said.contains("note:"), "{said}");
    for (name, (key, value)) in ["a.mkv", "b.mkv"].into_iter().flat_map(|n| tags.map(|t| (n, t))) {
        assert_eq!(tag(&place.out(name), key), value, "{key} of {name}");
    }
    let said = place.run(&["in/b.mov", "--base", "in", "--container", "ts"]);
    let note = "note: in/b.mov: tags are left out: title, make, model, date\n";
    assert!(said.contains(note), "{said}");
}

/// Sony's cameras write a box with XML; other programs write text at the end.
#[test]
fn data_after_the_index_are_named_if_they_are_metadata() {
    let Some(place) = Place::of_ffmpeg("data after the index") else { return };
    let xml = b"\0\0\0\x20meta\0\0\0\0\0\0\0\x08hdlr\0\0\0\x0Cxml <a/>";
    for (name, data) in [("a.mp4", &b"HELLO WORLD, some text of a program"[..]), ("b.mp4", xml)] {
        let input = place.path("in").join(name);
        make(&input, &[BARS, H264].join(" "));
        fs::write(&input, [&fs::read(&input).unwrap(), data].concat()).unwrap();
    }
    let said = place.run(&["in"]);
    assert!(said.contains("note: in/b.mp4: its metadata in XML is left out\n"), "{said}");
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
}

/// GStreamer does not read all of them, and `qtmux` writes the numbers wrongly into QuickTime.
#[test]
fn tags_of_itunes_are_kept_or_named() {
    let Some(place) = Place::of_ffmpeg("tags of iTunes") else { return };
    let tags = [
        ("synopsis", "Plot"),
        ("network", "Channel"),
        ("show", "Series"),
        ("season_number", "2"),
        ("episode_sort", "5"),
        ("episode_id", "E5"),
        ("grouping", "Saga"),
        ("media_type", "10"),
    ];
    let metadata = tags.map(|(name, value)| format!("-metadata {name}={value}")).join(" ");
    make(&place.path("in/a.mp4"), &[BARS, H264, &metadata].join(" "));
    let said = place.run(&["in", "--container", "mkv"]);
    assert!(!said.contains("note:"), "{said}");
    for (name, value) in tags {
        assert_eq!(tag(&place.out("a.mkv"), name), value, "{name}");
    }
    let unread = "tags are left out: synopsis, episode_id, network, media_type";
    let numbers = ["its season number is left out", "its episode number is left out"];
    for (container, notes) in
        [("ts", vec!["its show name is left out", "its grouping is left out"]), ("mov", vec![])]
    {
        let said = place.run(&["in", "--container", container]);
        for note in notes.into_iter().chain(numbers).chain([unread]) {
            assert!(said.contains(&format!("note: in/a.mp4: {note}\n")), "{note}: {said}");
        }
    }
    let moved = ["show", "season_number"].map(|name| tag(&place.out("a.mov"), name));
    assert_eq!(moved, ["Series", ""]);
}

/// GStreamer turns 2021 into 2021-01-01 or 2021-1-1, or leaves it out.
#[test]
fn dates_keep_their_form() {
    let Some(place) = Place::of_ffmpeg("forms of dates") else { return };
    let files = ["a.mkv", "b.mov", "c.mp4", "d.avi"];
    for date in ["2021", "2021-03-05"] {
        for name in files {
            let metadata = format!("-t 0.2 -c:v mpeg4 -metadata date={date}");
            make(&place.input(name), &[BARS, &metadata].join(" "));
        }
        for container in ["mkv", "mov", "mp4"] {
            place.run(&["in", "--container", container]);
            for name in files {
                let output = place.out(name).with_extension(container);
                assert_eq!(tag(&output, "date"), date, "{name} in {container}");
            }
            fs::remove_dir_all(place.path("out")).unwrap();
        }
    }
}

/// GStreamer reads and writes the common tags only.
#[test]
fn further_tags_of_matroska_are_kept_or_named() {
    let Some(place) = Place::of_ffmpeg("further tags") else { return };
    let tags = "-metadata title=Film -metadata DIRECTOR=Somebody -metadata SUMMARY=Plot -metadata DATE=2020 \
                -metadata comment=Words -metadata creation_time=2020-01-02T03:04:05Z -attach font.ttf \
                -metadata:s:t mimetype=font/ttf";
    fs::write(place.path("font.ttf"), "no font").unwrap();
    // The muxer gets tags of the file with the sound.
    make(&place.path("in/a.mkv"), &[BARS, TONE, H264, "-c:a aac", tags].join(" "));
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    // In the information of the segment, where players look.
    let bytes = fs::read(place.out("a.mkv")).unwrap();
    let title = b"\x7B\xA9\x01\0\0\0\0\0\0\x04Film";
    assert!(contains(&bytes, title));
    for (name, value) in [
        ("title", "Film"),
        ("DIRECTOR", "Somebody"),
        ("SUMMARY", "Plot"),
        ("DATE", "2020"),
        ("comment", "Words"),
        ("creation_time", "2020-01-02T03:04:05.000000Z"),
    ] {
        assert_eq!(tag(&place.out("a.mkv"), name), value);
    }
    let attachment = streams(&place.out("a.mkv")).remove(2);
    assert_eq!(
        (&*attachment.kind, &attachment.details["tags"]["filename"]),
        ("attachment", &"font.ttf".into())
    );
    let program = tag(&place.out("a.mkv"), "encoder");
    assert!(!program.starts_with("Lavf"), "{program}");
    let said = place.run(&["in", "--container", "mp4"]);
    assert!(said.contains("note: in/a.mkv: tags are left out: DIRECTOR, SUMMARY\n"), "{said}");
    assert!(said.contains("cannot hold font.ttf"), "{said}");
}

/// The output has other tracks, and their tags refer to them.
#[test]
fn tags_of_tracks_are_named() {
    let Some(place) = Place::of_ffmpeg("tags of tracks") else { return };
    // ffmpeg copies the names of the program that wrote an MP4.
    make(&place.path("in/a.mp4"), &[BARS, H264].join(" "));
    make(&place.path("in/a.mkv"), "-i in/a.mp4 -c copy -metadata:s:v DIRECTOR=Me");
    make(&place.path("in/b.mkv"), "-i in/a.mp4 -c copy");
    let said = place.run(&["in/a.mkv", "in/b.mkv", "--base", "in"]);
    assert!(said.contains("note: in/a.mkv: tags are left out: DIRECTOR\n"), "{said}");
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
}

/// GStreamer reads some of these tags only, or has no names for them.
#[test]
fn tags_of_other_containers_are_kept_in_matroska() {
    let Some(place) = Place::of_ffmpeg("tags of other containers") else { return };
    let tags = [("title", "Film"), ("encoded_by", "Somebody"), ("track", "3"), ("DIRECTOR", "Me")];
    let metadata = tags.map(|(name, value)| format!("-metadata {name}={value}")).join(" ");
    let codecs = [("a.ogv", "libtheora"), ("b.flv", "flv"), ("c.wmv", "wmv2"), ("d.avi", "mpeg4")];
    // Tags of Ogg that GStreamer has names for.
    let of_ogg = ["ORGANIZATION", "VERSION", "CONTACT", "LOCATION", "DISCNUMBER"];
    let of_ogg_metadata = of_ogg.map(|name| format!("-metadata {name}=7")).join(" ");
    for (name, codec) in codecs {
        let more = if name == "a.ogv" { &*of_ogg_metadata } else { "" };
        make(&place.input(name), &[BARS, "-c:v", codec, &metadata, more].join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    for (name, _) in codecs {
        let output = place.out(name).with_extension("mkv");
        for (key, value) in tags {
            // AVI has no name for it, so ffmpeg leaves it out.
            let value = if (name, key) == ("d.avi", "DIRECTOR") { "" } else { value };
            assert_eq!(tag(&output, key), value, "{key} of {name}");
        }
    }
    for name in of_ogg {
        let name = match name {
            "LOCATION" => "RECORDING_LOCATION",
            "DISCNUMBER" => "DISC",
            name => name,
        };
        assert_eq!(tag(&place.out("a.mkv"), name), "7", "{name}");
    }
    let said = place.run(&["in", "--container", "mp4"]);
    assert!(said.contains("note: in/a.ogv: its contact is left out\n"), "{said}");
    for (name, tags) in [
        ("a.ogv", "ENCODED_BY, DIRECTOR"),
        ("b.flv", "ENCODED_BY, TRACK, DIRECTOR"),
        ("d.avi", "PART_NUMBER, ENCODED_BY"),
    ] {
        let note = format!("note: in/{name}: tags are left out: {tags}\n");
        assert!(said.contains(&note), "{note}{said}");
    }
}

/// The muxers write neither flags nor the language of the video.
#[test]
fn tracks_keep_flags_and_languages() {
    let Some(place) = Place::of_ffmpeg("flags of tracks") else { return };
    fs::write(place.path("s.srt"), "1\n00:00:00,200 --> 00:00:01,000\nHello\n").unwrap();
    let tracks = "-i s.srt -map 0 -map 1 -map 2 -map 3 -c:a aac -c:s srt";
    let names =
        "-metadata:s:a:0 title=Comments -metadata:s:s title=Signs -metadata:s:v language=ger";
    let flags = "-disposition:v 0 -disposition:a:0 comment+hearing_impaired -disposition:a:1 default+visual_impaired \
         -disposition:s forced";
    make(&place.path("in/a.mkv"), &[BARS, TONE, TONE, tracks, H264, names, flags].join(" "));
    make(&place.path("in/b.mp4"), "-i in/a.mkv -map 0 -c copy -c:s mov_text");
    let said = place.run(&["in", "--name", "{stem}.{ext}"]);
    assert!(!said.contains("b.mp4: its"), "{said}");
    // German has two codes.
    let language = |stream: &Stream| match stream.details["tags"]["language"].as_str() {
        Some("und") | None => String::new(),
        Some("deu") => "ger".to_owned(),
        Some(code) => code.to_owned(),
    };
    let describe = |path: &Path| {
        let roles = ["default", "forced", "comment", "hearing_impaired", "visual_impaired"];
        let describe = |stream: Stream| (roles.map(|role| stream.is(role)), language(&stream));
        streams(path).into_iter().map(describe).collect::<Vec<_>>()
    };
    for name in ["a.mkv", "b.mp4"] {
        assert_eq!(describe(&place.out(name)), describe(&place.input(name)), "{name}");
    }
    place.run(&["in/a.mkv", "--container", "mp4", "--name", "{stem}-c.{ext}"]);
    assert_eq!(describe(&place.out("a-c.mp4")), describe(&place.path("in/b.mp4")));
    place.run(&["in/b.mp4", "--container", "mkv", "--name", "{stem}-c.{ext}"]);
    assert_eq!(describe(&place.out("b-c.mkv")), describe(&place.path("in/b.mp4")));
}
