// SPDX-License-Identifier: MIT OR Apache-2.0

//! One input into an output that the command line names.

use std::{fs, process::Output};

use crate::common::{
    Place,
    media::{self, make, make_clip, small_clip},
    text,
};

/// The program with this `--out` instead of the folder of the other tests.
fn run(place: &Place, arguments: &[&str]) -> Output {
    let mut program = place.program();
    program.args(arguments).output().unwrap()
}

#[test]
fn an_output_with_a_known_extension_is_a_file() {
    let place = Place::new();
    make_clip(&place.path("in/a.mp4"), 10, 10);
    let said = place.run(&["in/a.mp4", "--out", "made/zebra.mkv"]);
    assert!(said.contains("made/zebra.mkv: 10 frames"), "{said}");
    assert_eq!(media::tracks(&place.path("made/zebra.mkv"))[0].times.len(), 10);
    assert!(text(&run(&place, &["in/a.mp4", "--out", "made/zebra.mkv"])).contains("up to date"));

    make(&place.path("in/b.png"), "videotestsrc num-buffers=1 ! pngenc ! OUT");
    place.run(&["in/b.png", "--out", "made/b.jpg"]);
    assert!(fs::read(place.path("made/b.jpg")).unwrap().starts_with(&[0xff, 0xd8]));
}

#[test]
fn an_output_file_needs_one_input_file_of_its_kind() {
    let place = Place::new();
    make_clip(&place.path("in/a.mp4"), 5, 5);
    make_clip(&place.path("in/b.mp4"), 5, 5);
    for (arguments, cause) in [
        (&["in/a.mp4", "in/b.mp4", "--out", "x.mp4"][..], "--out x.mp4: expected one input file"),
        (&["in", "--out", "x.mp4"], "--out x.mp4: expected one input file"),
        (&["in/*.mp4", "--out", "x.mp4"], "--out x.mp4: expected one input file"),
        (&["in/a.mp4", "--out", "x.mp4", "--name", "{stem}.{ext}"], "--name"),
        (&["in/a.mp4", "--out", "x.mp4", "--container", "mkv"], "--container"),
        (&["in/a.mp4", "--out", "x.png"], "--out x.png: names an image, but in/a.mp4 is a video"),
        (&["in/a.mp4", "--out", "x.avi"], "--out x.avi: expected mp4, "),
        (&["in/c.png", "--out", "x.bmp"], "--out x.bmp: expected jpg, png or webp"),
        (&["in/a.mp4", "--out", "x/%04d.tga"], "--out x/%04d.tga: expected jpg, png or webp"),
        (&["in/a.mp4", "--out", "model.onnx"], "--out model.onnx: a file, expected a folder"),
    ] {
        let output = run(&place, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(cause), "{arguments:?}: {}", text(&output));
    }
    // A folder may have such a name.
    fs::create_dir(place.path("x.mp4")).unwrap();
    let output = run(&place, &["in", "--out", "x.mp4"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(place.path("x.mp4/b.mp4").is_file());
}

/// File systems hold names of 255 bytes.
#[test]
fn names_that_are_too_long_are_refused_before_the_work() {
    let place = Place::unchanged();
    let stem = "n".repeat(251);
    small_clip(&place.path(format!("in/{stem}.mkv")));
    let long = format!("made/{}.mp4", "n".repeat(240));
    let name = "{stem}.z.{ext}";
    for (arguments, bytes, most) in [
        (&["in", "--container", "webm"][..], 256, 255),
        (&["in", "--container", "webm", "--dry-run"], 256, 255),
        (&["in", "--name", name], 257, 255),
        (&["in", "--sample", "1"], 264, 255),
        (&["-", "--out", &long], 244, 237),
    ] {
        let output = run(&place, arguments);
        let error =
            format!("the name of its output is {bytes} bytes long, expected at most {most}");
        assert!(text(&output).contains(&error), "{arguments:?}: {}", text(&output));
        assert!(!output.status.success(), "{arguments:?}");
    }
    let output = run(&place, &["in"]);
    assert!(output.status.success(), "{}", text(&output));
}
