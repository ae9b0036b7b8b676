// SPDX-License-Identifier: MIT OR Apache-2.0

//! A track that cannot be kept is lost alone, with one note.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use common::{
    Place,
    ffmpeg::{BARS, H264, OTHER_TONE, TONE, make, streams},
};

/// `tsdemux` takes TrueHD for PCM unless the stream is marked as Blu-ray, and then does not find the TrueHD that ffmpeg
/// writes.
#[test]
fn true_hd_of_a_transport_stream_costs_no_other_track() {
    let Some(place) = Place::of_ffmpeg("TrueHD in transport streams") else { return };
    for name in ["a.ts", "b.m2ts"] {
        let tracks = "-map 0 -map 1 -map 2 -c:a:0 truehd -strict -2 -c:a:1 ac3";
        make(&place.path("in").join(name), &[BARS, TONE, OTHER_TONE, H264, tracks].join(" "));
    }
    let said = place.run(&["in"]);
    for (name, note) in [
        ("a.ts", "TrueHD or PCM, which GStreamer cannot tell apart, is left out: "),
        ("b.m2ts", "Dolby TrueHD, is left out: it has no data that can be decoded"),
    ] {
        assert!(said.contains(&format!("note: in/{name}: track 2, {note}")), "{said}");
        let codecs: Vec<_> = streams(&place.out(name)).into_iter().map(|s| s.codec).collect();
        assert_eq!(codecs, ["h264", "ac3"], "{name}");
    }
    assert_eq!(said.matches("note: ").count(), 2, "{said}");
}

/// A track that is not read back is not confused with the next one.
#[test]
fn damaged_sound_costs_no_other_track() {
    let Some(place) = Place::of_ffmpeg("damaged sound") else { return };
    let tracks = "-map 0 -map 1 -map 2 -bsf:a:0 noise=amount=2 -c:a:0 mp2 -c:a:1 aac";
    make(&place.path("in/a.mkv"), &[BARS, TONE, OTHER_TONE, H264, tracks].join(" "));
    let said = place.run(&["in", "--container", "mp4"]);
    assert!(!said.contains("track 3"), "{said}");
    let codecs: Vec<_> = streams(&place.out("a.mp4")).into_iter().map(|s| s.codec).collect();
    // How much of the damaged audio is read back differs from run to run.
    assert!(codecs.first().is_some_and(|codec| codec == "h264"), "{codecs:?}");
    assert!(codecs.last().is_some_and(|codec| codec == "aac"), "{codecs:?}");
}
