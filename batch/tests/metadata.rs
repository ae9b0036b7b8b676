// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a file has besides its tracks: chapters, dates, locations, time codes, covers.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::fs;

use common::{
    Place,
    ffmpeg::{self, BARS, H264, TONE, make, streams, tag},
};

/// The filter that changes nothing.
const IDENTITY: [&str; 2] = ["--filter", "strength=0 inference-size=64"];

/// Two chapters, and an input of them for ffmpeg.
fn chapters(place: &Place, input: u32) -> String {
    let text = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=3000\ntitle=Zwölf\n";
    fs::write(place.path("chapters.txt"), text).unwrap();
    format!("-i chapters.txt -map 0 -map 1 -map_chapters {input}")
}

#[test]
fn chapters_are_in_every_container_that_has_them() {
    if !ffmpeg::is_installed("chapters") {
        return;
    }
    let place = Place::new();
    let two = chapters(&place, 2);
    for name in ["a.mp4", "b.mov", "c.mkv"] {
        make(&place.path("in").join(name), &[BARS, TONE, &two, H264, "-c:a aac"].join(" "));
    }
    for container in ["mp4", "mov", "mkv"] {
        // Sound of Matroska whose last packet has no duration is copied whole, too.
        let said = place.run(&[&["in", "--container", container][..], &IDENTITY].concat());
        assert!(!said.contains("note:"), "{said}");
        for stem in ["a", "b", "c"] {
            let output = place.out(&format!("{stem}.{container}"));
            assert_eq!(ffmpeg::chapters(&output), [(0.0, "One".into()), (1.0, "Zwölf".into())]);
            assert_eq!(streams(&output).len(), 2, "{}", output.display());
            assert_eq!(streams(&output)[0].times.len(), 75);
        }
        let part =
            ["in", "--container", container, "--out", "part", "--start", "0.4", "--end", "2"];
        place.run(&[&part[..], &IDENTITY].concat());
        for stem in ["a", "b", "c"] {
            let found = ffmpeg::chapters(&place.path(format!("part/{stem}.{container}")));
            assert_eq!(found, [(0.0, "One".into()), (0.6, "Zwölf".into())], "{stem} {container}");
        }
    }
    let said = place.run(&[&["in/a.mp4", "--container", "ts"][..], &IDENTITY].concat());
    let note = "its 2 chapters are left out: an MPEG transport stream cannot hold chapters";
    assert!(said.contains(note), "{said}");
}

#[test]
fn when_and_where_it_was_made_is_kept() {
    if !ffmpeg::is_installed("dates and locations") {
        return;
    }
    let place = Place::new();
    let made = "-metadata title=Film -metadata creation_time=2020-01-02T03:04:05Z -metadata location=+48.8577+002.2950/";
    // ffmpeg writes it as `loci`, `©xyz` and by Apple's key.
    for (name, more) in [("a.mp4", ""), ("b.mov", ""), ("c.mov", "-movflags use_metadata_tags")] {
        let made = match more {
            "" => made.to_owned(),
            _ => made.replace("location", "com.apple.quicktime.location.ISO6709"),
        };
        make(&place.path("in").join(name), &[BARS, TONE, &made, more, H264, "-c:a aac"].join(" "));
    }
    let said = place.run(&[&["in"][..], &IDENTITY].concat());
    assert!(!said.contains("note:"), "{said}");
    for name in ["a.mp4", "b.mov", "c.mov"] {
        let output = place.out(name);
        assert_eq!(tag(&output, "location"), "+48.8577+002.2950/", "{name}");
        // `qtdemux` does not read a title that ffmpeg writes by a key of its own.
        let title = if name == "c.mov" { "" } else { "Film" };
        assert_eq!(tag(&output, "title"), title, "{name}");
        assert_eq!(tag(&output, "creation_time"), "2020-01-02T03:04:05.000000Z", "{name}");
        for stream in streams(&output) {
            let made = &stream.details["tags"]["creation_time"];
            assert_eq!(made, "2020-01-02T03:04:05.000000Z", "{name}");
        }
    }
    let said = place.run(&[&["in/a.mp4", "--container", "mkv"][..], &IDENTITY].concat());
    assert!(said.contains("a.mp4: its location is left out"), "{said}");
    assert!(tag(&place.out("a.mkv"), "creation_time").starts_with("2020-01-02T03:04:05"));
}
