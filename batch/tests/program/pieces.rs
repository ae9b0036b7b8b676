// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long files, translated in pieces: the same as in one, and finished pieces are kept.

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::common::{
    Place, generators,
    media::{Track, VIDEO, frames, make, make_clip, make_with, tracks},
};

/// Whether two videos look the same when decoded.
fn assert_alike(a: &Path, b: &Path) {
    let (a, b) = (frames(a), frames(b));
    assert_eq!(a.len(), b.len());
    for (i, ((size, a), (_, b))) in a.iter().zip(&b).enumerate() {
        let squares: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        let error = squares as f64 / f64::from(size.0 * size.1 * 4);
        // 30 dB: two encodings of one picture, not two pictures.
        assert!(error < 65.0, "frame {i}: mean squared error {error}");
    }
}

fn assert_same_tracks(whole: &[Track], joined: &[Track]) {
    assert_eq!(whole.len(), joined.len());
    assert_eq!(whole[0].shown(), joined[0].shown());
    // At most a few frames, which a decoder may hold back.
    assert!(joined[0].delay <= whole[0].delay + 200, "{} ms", joined[0].delay);
    for (whole, joined) in whole.iter().zip(joined).skip(1) {
        assert_eq!((&whole.times, &whole.data), (&joined.times, &joined.data));
    }
}

#[test]
fn segments_equal_one_piece() {
    let place = Place::new();
    make_clip(&place.path("in/a.mp4"), 125, 25);
    make_clip(&place.path("in/b.mkv"), 100, 30);
    // Frames at uneven times, and B frames that lead the key frame they belong to.
    let uneven = VIDEO.replace("=25 ", "=100 ");
    make_with(
        &place.path("in/c.mp4"),
        &format!(
            "{uneven} ! identity name=varied ! x264enc key-int-max=20 bframes=3 b-adapt=false option-string=open-gop=1 ! mp4mux ! OUT"
        ),
        |bin| {
            let pad = bin.by_name("varied").unwrap().static_pad("src").unwrap();
            pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
                if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                    let time = buffer.pts().unwrap().mseconds();
                    buffer
                        .make_mut()
                        .set_pts(gst::ClockTime::from_mseconds(time + time * time / 4000));
                }
                gst::PadProbeReturn::Ok
            });
        },
    );
    let said = place.run(&["in", "--piece", "0"]);
    assert!(said.contains("3 translated"), "{said}");
    fs::rename(place.path("out"), place.path("whole")).unwrap();
    let said = place.run(&["in", "--piece", "1.2", "--jobs", "2"]);
    assert!(said.contains("3 translated") && !said.contains("note:"), "{said}");
    for name in ["a.mp4", "b.mkv", "c.mp4"] {
        let (whole, joined) = (place.path("whole").join(name), place.out(name));
        assert_same_tracks(&tracks(&whole), &tracks(&joined));
        assert_alike(&whole, &joined);
    }
    let (whole, joined) = (key_frames(&place.path("whole/a.mp4")), key_frames(&place.out("a.mp4")));
    assert!(joined > whole, "was not cut: {joined} key frames, {whole} in one piece");
}

/// Slices that a decoder can begin with.
fn key_frames(path: &Path) -> usize {
    let is_key = |data: &Vec<u8>| {
        let mut rest = data.as_slice();
        while let Some((length, unit)) = rest.split_at_checked(4) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if unit.first().is_some_and(|byte| byte & 31 == 5) {
                return true;
            }
            rest = &unit[length.min(unit.len())..];
        }
        false
    };
    tracks(path)[0].data.iter().filter(|data| is_key(data)).count()
}

#[test]
fn smoothing_does_not_show_where_pieces_meet() {
    let place = Place::new();
    let moving = "videotestsrc num-buffers=75 pattern=ball motion=sweep ! video/x-raw,format=I420,width=160,height=120,framerate=25/1";
    make(&place.path("in/a.mp4"), &format!("{moving} ! x264enc key-int-max=25 ! mp4mux ! OUT"));
    let options = ["in", "--preset", "archive", "--filter", "smoothing=0.7 inference-size=64"];
    place.run(&[&options[..], &["--piece", "0"]].concat());
    fs::rename(place.path("out"), place.path("whole")).unwrap();
    place.run(&[&options[..], &["--piece", "1"]].concat());
    assert_alike(&place.path("whole/a.mp4"), &place.out("a.mp4"));
}

/// Kills a run with these arguments when two pieces are finished.
fn kill_between_pieces(place: &Place, arguments: &[&str]) {
    let mut run = place.program();
    let mut run = run.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while place.segments().len() < 2 && since.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(place.segments().len() >= 2);
}

#[test]
fn pieces_that_are_not_wanted_any_more_are_not_joined() {
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/a.mp4"), 100, 25);
    let same = ["in", "--jobs", "1", "--filter", "inference-size=64"];
    kill_between_pieces(&place, &[&same[..], &["--piece", "1"]].concat());
    let said = place.run(&[&same[..], &["--piece", "0"]].concat());
    assert!(said.contains("1 translated"), "{said}");
    assert!(key_frames(&place.out("a.mp4")) < 4, "was joined");
    assert!(place.segments().is_empty(), "pieces are left");
}

#[test]
fn finished_pieces_survive_a_kill() {
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/a.mp4"), 250, 25);
    fs::rename(place.path("in/a.mp4"), place.path("in/a.mkv")).unwrap();
    let arguments = ["in", "--piece", "1", "--jobs", "1", "--filter", "inference-size=64"];
    kill_between_pieces(&place, &arguments);
    // The second run is stopped so late that it loses only what it has started.
    let said = place.said(&arguments);
    assert!(said.contains("1 translated"), "{said}");
    // The notes of the first run also apply to the output.
    assert!(said.contains("although its extension is mkv"), "{said}");
    assert_eq!(tracks(&place.out("a.mkv"))[0].times.len(), 250);
    assert!(place.segments().is_empty(), "pieces are left");
}
