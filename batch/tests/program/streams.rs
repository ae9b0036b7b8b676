// SPDX-License-Identifier: MIT OR Apache-2.0

//! y4m on standard input and output, and image sequences.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    self, Place, edit,
    ffmpeg::{self, BARS},
    media::{colours, make, make_clip, tracks},
    text,
};

/// Frames of one colour, 160×120 at 10 per second.
const GREY: &str = "videotestsrc num-buffers=COUNT pattern=solid-color foreground-color=0xff404040 ! video/x-raw,format=I420,width=160,height=120,framerate=10/1";

fn grey(place: &Place, name: &str, count: u32, rest: &str) {
    let frames = GREY.replace("COUNT", &count.to_string());
    make(&place.path(name), &format!("{frames} ! {rest} ! OUT"));
}

/// Runs the program with a file as standard input.
fn run(place: &Place, arguments: &[&str], input: Option<&str>) -> Output {
    let mut program = place.program();
    program.args(arguments);
    if let Some(input) = input {
        program.stdin(Stdio::from(File::open(place.path(input)).unwrap()));
    }
    program.output().unwrap()
}

/// Fails unless all frames are the negative of the grey.
fn assert_negative(path: &Path, count: usize) {
    let all = colours(path);
    assert_eq!(all.len(), count, "{}", path.display());
    let is_light = |colour: &[u8; 3]| colour.iter().all(|c| c.abs_diff(0xbf) <= 6);
    assert!(all.iter().all(is_light), "{}: {all:?}", path.display());
}

#[test]
fn y4m_goes_from_standard_input_to_standard_output() {
    let place = Place::new();
    grey(&place, "in.y4m", 20, "y4menc");
    let output = run(&place, &["-", "--out", "-"], Some("in.y4m"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("-: 20 frames in "), "{said}");
    assert!(output.stdout.starts_with(b"YUV4MPEG2 "), "{:?}", &output.stdout[..40]);
    fs::write(place.path("out.y4m"), &output.stdout).unwrap();
    assert_negative(&place.path("out.y4m"), 20);
    let frames = |bytes: &[u8]| bytes.len() - bytes.iter().position(|b| *b == b'\n').unwrap();
    assert_eq!(frames(&output.stdout), frames(&fs::read(place.path("in.y4m")).unwrap()));
}

#[test]
fn y4m_of_ffmpeg_keeps_its_depth_and_chroma() {
    let Some(place) = Place::of_ffmpeg("y4m of 10 bits") else { return };
    for (pixels, expected) in [
        ("yuv420p10le", "yuv420p10le"),
        ("yuv422p10le", "yuv422p10le"),
        ("yuv444p12le", "yuv444p12le"),
        ("yuv444p", "yuv444p"),
        ("yuvj420p", "yuv420p"),
    ] {
        let name = format!("{pixels}.y4m");
        // ffmpeg 5.1 writes half a sample too little for odd widths with more than 8 bits.
        let (width, height) = if pixels.ends_with("le") { ("162", "121") } else { ("161", "121") };
        let odd = format!("-f lavfi -i testsrc2=size=160x120:rate=25:d=0.4,scale={width}:{height}");
        ffmpeg::make(
            &place.path(format!("in/{name}")),
            &format!("{odd} -pix_fmt {pixels} -strict -1 -f yuv4mpegpipe"),
        );
        let output = run(&place, &["-", "--out", "-"], Some(&format!("in/{name}")));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{pixels}: {said}");
        fs::write(place.path(&name), &output.stdout).unwrap();
        let video = &ffmpeg::streams(&place.path(&name))[0];
        let size = (video.text("width"), video.text("height"));
        assert_eq!(video.text("pix_fmt"), expected, "{said}");
        let range = if pixels.contains('j') { "pc" } else { "tv" };
        assert_eq!(video.text("color_range"), range, "{pixels}");
        assert_eq!((size, video.times.len()), ((width.into(), height.into()), 10), "{pixels}");
        let psnr = ffmpeg::psnr(&place.path(format!("in/{name}")), &place.path(&name));
        assert!(psnr > 40.0, "{pixels}: {psnr} dB");
    }
    let refused =
        "-f lavfi -i testsrc2=size=16x16:d=0.1 -pix_fmt yuv420p14le -strict -1 -f yuv4mpegpipe";
    ffmpeg::make(&place.path("in/14.y4m"), refused);
    for (input, file) in [("-", Some("in/14.y4m")), ("in/14.y4m", None)] {
        let output = run(&place, &[input, "--out", "-"], file);
        assert!(text(&output).contains("y4m in C420p14, expected one of"), "{}", text(&output));
    }
}

#[test]
fn y4m_files_are_read_as_pipes_are() {
    let Some(place) = Place::of_ffmpeg("files of y4m") else { return };
    let rows = [
        ("gray", "160x120", ""),
        ("yuv411p", "161x121", ""),
        ("yuv444p", "161x121", ""),
        ("yuv422p10le", "162x121", ""),
        ("yuv420p", "160x120", ",interlace=scan=tff"),
    ];
    for (pixels, size, filter) in rows {
        let frames = "-f lavfi -i testsrc2=size=160x120:rate=25:d=0.8";
        let format = format!("-vf scale={size}{filter} -pix_fmt {pixels} -strict -1");
        let input = place.path(format!("in/{pixels}.y4m"));
        ffmpeg::make(&input, &format!("{frames} {format} -f yuv4mpegpipe"));
    }
    let said = place.run(&["in", "--preset", "archive", "--verify"]);
    for (pixels, size, filter) in rows {
        let (input, output) =
            (place.path(format!("in/{pixels}.y4m")), place.out(&format!("{pixels}.mkv")));
        assert_eq!(ffmpeg::frames(&output), ffmpeg::frames(&input), "{pixels}: {said}");
        // The encoder takes no odd sizes, and deinterlacing changes frames.
        if size == "160x120" && filter.is_empty() {
            let psnr = ffmpeg::psnr(&input, &output);
            assert!(psnr > 45.0, "{pixels}: {psnr} dB");
        }
        let is_noted = said.contains(&format!("{pixels}.y4m: is interlaced and becomes"));
        assert_eq!(is_noted, !filter.is_empty(), "{said}");
    }
    let cropped = said.matches(" pixels become ").count();
    assert_eq!(cropped, rows.iter().filter(|(_, size, _)| *size != "160x120").count(), "{said}");
    assert_eq!(said.matches("note: ").count(), 1 + cropped, "{said}");
    let prores = ["in/yuv444p.y4m", "--preset", "prores", "--overwrite"];
    let said = place.run(&prores);
    assert!(!said.contains("note: "), "{said}");
    let prores = ffmpeg::streams(&place.out("yuv444p.mkv")).remove(0);
    // Decoders of its profile output 12 bits.
    assert_eq!(prores.text("pix_fmt"), "yuv444p12le", "{said}");
}

#[test]
fn parts_of_a_y4m_file_are_found_and_its_end_is_missed() {
    let place = Place::new();
    // Each frame has its own grey: 0, 10, 20 and so on.
    let frame = |number: u8| [b"FRAME\n", &[10 * number; 160 * 120][..], &[128; 160 * 60]].concat();
    let frames: Vec<_> = (0..20).flat_map(frame).collect();
    let whole = [b"YUV4MPEG2 W160 H120 F10:1 Ip C420 XCOLORRANGE=FULL\n", &frames[..]].concat();
    fs::write(place.path("in/a.y4m"), &whole).unwrap();
    let greys = |path: &Path| colours(path).iter().map(|[red, ..]| 255 - red).collect::<Vec<_>>();
    let are = |greys: &[u8], range: std::ops::Range<u8>| {
        let all: Vec<_> = range.map(|number| 10 * number).collect();
        greys.len() == all.len() && greys.iter().zip(&all).all(|(a, b)| a.abs_diff(*b) < 8)
    };
    for (arguments, name, range) in [
        (&["--piece", "0.5"][..], "a.mkv", 0..20),
        (&["--start", "0.5", "--end", "1.2"], "a.mkv", 5..12),
        (&["--start", "0.55", "--frames", "3"], "a.mkv", 6..9),
        (&["--sample", "1", "--end", "0.4"], "a.sample-1.mkv", 0..4),
    ] {
        let always = ["in/a.y4m", "--overwrite", "--report", "report.html", "--verify"];
        let said = place.run(&[&always, arguments].concat());
        assert!(!said.contains("note: "), "{said}");
        let found = greys(&place.out(name));
        assert!(are(&found, range), "{arguments:?}: {found:?}");
        assert!(fs::read_to_string(place.path("report.html")).unwrap().contains("data:image"));
    }
    fs::write(place.path("in/cut.y4m"), &whole[..whole.len() - 100]).unwrap();
    let said = place.run(&["in/cut.y4m"]);
    assert!(said.contains("cut.y4m: is truncated: its last 100 bytes are missing"), "{said}");
    assert!(are(&greys(&place.out("cut.mkv")), 0..19), "{said}");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2..][..40_000].fill(0xA5);
    fs::write(place.path("in/damaged.y4m"), damaged).unwrap();
    fs::write(place.path("in/none.y4m"), &whole[..1000]).unwrap();
    for (name, cause) in [
        ("in/damaged.y4m", "is damaged: it has something else where frame "),
        ("in/none.y4m", "is truncated: it has no complete frame"),
    ] {
        let said = text(&run(&place, &[name], None));
        assert!(said.contains(&format!("{name}: {cause}")), "{said}");
    }
}

#[test]
fn y4m_becomes_a_file_and_a_file_y4m() {
    let place = Place::new();
    grey(&place, "in.y4m", 15, "y4menc");
    for name in ["made/a.mp4", "made/a.mkv"] {
        let output = run(&place, &["-", "--out", name], Some("in.y4m"));
        assert!(output.status.success(), "{}", text(&output));
        assert_negative(&place.path(name), 15);
        assert_eq!(tracks(&place.path(name))[0].shown()[..3], [0, 100, 200]);
    }
    assert_eq!(fs::read_dir(place.path("made")).unwrap().count(), 2);
    make_clip(&place.path("in/b.mp4"), 30, 10);
    let output = run(&place, &["in/b.mp4", "--out", "-"], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let frames = output.stdout.windows(6).filter(|window| window == b"FRAME\n").count();
    assert_eq!(frames, 30);
}

#[test]
fn image_sequences_keep_their_numbers_and_depth() {
    let place = Place::new();
    let image = image::ImageBuffer::from_pixel(64, 48, image::Rgb([0x4000u16, 0x4001, 0x4002]));
    for number in [8, 9, 11] {
        image.save(place.path(format!("in/s_{number:04}.png"))).unwrap();
    }
    place.run(&["in/s_%04d.png"]);
    let mut names: Vec<_> = fs::read_dir(place.path("out")).unwrap().flatten().collect();
    names.sort_by_key(|entry| entry.file_name());
    let names: Vec<_> = names.iter().map(|e| e.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["s_0008.png", "s_0009.png", "s_0011.png"]);
    let made = image::open(place.out("s_0011.png")).unwrap();
    assert_eq!(made.color(), image::ColorType::Rgb16);
    assert!(made.to_rgb16().get_pixel(9, 9).0.iter().all(|c| c.abs_diff(0xbfff) < 0x400));

    let refused = run(&place, &["in/s_%04d.png"], None);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("would replace out/s_0008.png; use --overwrite"));
    let renamed = run(&place, &["in/s_%04d.png", "--out", "new/%d.jpg"], None);
    assert!(renamed.status.success() && place.path("new/11.jpg").is_file(), "{}", text(&renamed));
}

#[test]
fn sequences_become_videos_and_videos_sequences() {
    let place = Place::new();
    for number in 0..12 {
        grey(&place, &format!("in/{number:03}.png"), 1, "videoconvert ! pngenc");
    }
    let arguments = ["in/%03d.png", "--out", "made.mkv", "--framerate", "20"];
    place.run(&arguments);
    assert_negative(&place.path("made.mkv"), 12);
    assert_eq!(tracks(&place.path("made.mkv"))[0].shown()[..3], [0, 50, 100]);

    place.run(&["made.mkv", "--out", "frames/%05d.png"]);
    assert_eq!(fs::read_dir(place.path("frames")).unwrap().count(), 12);
    let first = image::open(place.path("frames/00001.png")).unwrap().into_rgb8();
    let colour = first.get_pixel(80, 60).0;
    assert!(colour.iter().all(|c| c.abs_diff(0x40) <= 8), "{colour:?}");
    assert!(place.path("frames/00012.png").is_file());
}

#[test]
fn what_a_stream_loses_is_named() {
    let Some(place) = Place::of_ffmpeg("alpha and HDR") else { return };
    let alpha = "-frames:v 3 -vf format=rgba,colorchannelmixer=aa=0.5";
    ffmpeg::make(&place.path("in/%d.png"), &[BARS, alpha].join(" "));
    ffmpeg::make(&place.path("in/a.mov"), &[BARS, alpha, "-c:v qtrle"].join(" "));
    let hdr = "-vf format=yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    ffmpeg::make(&place.path("in/b.mkv"), &[BARS, "-frames:v 3", hdr].join(" "));
    let said = |input: &str, out: &str, preset: &str| {
        let output =
            place.program().args([input, "--out", out, "--preset", preset]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let transparency = "its transparency, if it has any, is left out";
    assert!(said("in/%d.png", "a.mp4", "web").contains(transparency));
    assert!(said("in/a.mov", "-", "web").contains(transparency));
    assert!(!said("in/a.mov", "out/%d.png", "web").contains(transparency));
    assert!(said("in/a.mov", "out/%d.jpg", "web").contains(transparency));
    assert!(said("in/b.mkv", "hdr/%d.png", "web").contains("is HDR and becomes SDR"));
    let said = said("in/%d.png", "a.mov", "prores");
    assert!(!said.contains("note: "), "{said}");
    assert_eq!(ffmpeg::streams(&place.path("a.mov"))[0].text("pix_fmt"), "yuva444p12le");
}

#[test]
fn a_sequence_replaces_all_of_a_longer_one() {
    let place = Place::new();
    let video = &["in/v.mkv", "--out", "frames/%03d.png", "--overwrite"][..];
    let images = &["in/%03d.png", "--out", "frames/%03d.png", "--overwrite"];
    let make = |length| {
        grey(&place, "in/v.mkv", length, "x264enc ! matroskamux");
        for number in 1..9 {
            let _ = fs::remove_file(place.path(format!("in/{number:03}.png")));
        }
        for number in 1..=length {
            grey(&place, &format!("in/{number:03}.png"), 1, "videoconvert ! pngenc");
        }
    };
    for length in [6, 2] {
        make(length);
        for arguments in [images, video] {
            let said = place.run(arguments);
            let count = fs::read_dir(place.path("frames")).unwrap().count();
            assert_eq!(count, length as usize, "{said}");
            let is_noted = said.contains("replaces a longer sequence: 4 images removed");
            assert_eq!(is_noted, length == 2 && arguments == images, "{said}");
        }
    }
}

#[test]
fn parts_of_a_sequence_are_translated_one_after_another() {
    let place = Place::new();
    let arguments = &["in/%03d.png", "--out", "frames/%03d.png"];
    for (first, overwrite) in [(1, false), (4, false), (4, true)] {
        for number in 1..9 {
            let _ = fs::remove_file(place.path(format!("in/{number:03}.png")));
        }
        for number in first..first + 3 {
            grey(&place, &format!("in/{number:03}.png"), 1, "videoconvert ! pngenc");
        }
        let more: &[&str] = if overwrite { &["--overwrite"] } else { &[] };
        let said = place.run(&[&arguments[..], more].concat());
        let count = fs::read_dir(place.path("frames")).unwrap().count();
        let expected = match (first, overwrite) {
            (1, _) => 3,
            (_, false) => 6,
            // All that was there, if some of it is replaced.
            (_, true) => 3,
        };
        assert_eq!(count, expected, "{said}");
    }
}

#[test]
fn streams_that_fail_or_are_stopped_leave_nothing() {
    let place = Place::new();
    grey(&place, "in.y4m", 100, "y4menc");
    let frames = fs::read(place.path("in.y4m")).unwrap();
    let header = frames.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(place.path("none.y4m"), &frames[..header]).unwrap();
    let arguments = ["-", "--out", "made/x.mp4", "--json"];
    let files = || fs::read_dir(place.path("made")).unwrap().flatten().collect::<Vec<_>>();
    let events = |output: &Output| {
        let lines = String::from_utf8(output.stdout.clone()).unwrap();
        let event = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event"].as_str().unwrap().to_owned()
        };
        lines.lines().map(event).filter(|event| event != "progress").collect::<Vec<_>>()
    };
    let output = run(&place, &arguments, Some("none.y4m"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(events(&output), ["begin", "start", "failed", "summary"]);
    assert!(files().is_empty(), "{:?}", files());

    let mut program = place.program();
    program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = program.spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    input.write_all(&frames).unwrap();
    while program.try_wait().unwrap().is_none()
        && fs::read_dir(place.path("made")).unwrap().count() < 2
    {
        thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    let output = program.wait_with_output().unwrap();
    drop(input);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert_eq!(events(&output), ["begin", "start", "summary"]);
    assert!(files().is_empty(), "{:?}", files());
}

#[test]
fn a_program_that_waits_for_its_input_can_be_stopped() {
    let place = Place::new();
    let mut program = place.program();
    program.args(["-", "--out", "made.mkv", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = program.spawn().unwrap();
    // It waits for input once it has reported its start.
    let mut said = [0; 2];
    program.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    let begun = Instant::now();
    while program.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    let ended = program.try_wait().unwrap();
    let _ = program.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
}

/// y4m and images have no timestamps, so those of the input may be missing or wrong.
#[test]
fn frames_become_y4m_whatever_their_times() {
    let Some(place) = Place::of_ffmpeg("films with the same times, and without times") else {
        return;
    };
    let film = "-f lavfi -i testsrc2=size=64x48:rate=10:d=2";
    ffmpeg::make(&place.path("a.ogv"), &[film, "-c:v libtheora"].join(" "));
    let film_twice = fs::read(place.path("a.ogv")).unwrap().repeat(2);
    fs::write(place.path("in/a.ogv"), film_twice).unwrap();
    ffmpeg::make(&place.path("in/b.mjpeg"), &[film, "-c:v mjpeg -f mjpeg"].join(" "));
    // libtheora of ffmpeg 7 leaves out the last frame.
    let expected = 2 * ffmpeg::frames(&place.path("a.ogv"));
    for (name, expected) in [("in/a.ogv", expected), ("in/b.mjpeg", 20)] {
        let output = run(&place, &[name, "--out", "-"], None);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("time"), "{said}");
        let frames = output.stdout.windows(6).filter(|window| window == b"FRAME\n").count();
        assert_eq!(frames, expected, "{name}");
    }
}

/// `jpegdec` of GStreamer 1.22 outputs 4:2:2 as 4:2:0.
#[test]
fn streams_have_the_decoders_of_files() {
    let Some(place) = Place::of_ffmpeg("motion JPEG of 4:2:2") else { return };
    let jpeg = "-f lavfi -i testsrc2=size=160x120:rate=25:d=0.4 -c:v mjpeg -pix_fmt yuvj422p";
    ffmpeg::make(&place.path("in/a.avi"), jpeg);
    let output = run(&place, &["in/a.avi", "--out", "-"], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(place.path("a.y4m"), &output.stdout).unwrap();
    assert_eq!(ffmpeg::streams(&place.path("a.y4m"))[0].text("pix_fmt"), "yuv422p");
}

#[test]
fn damage_is_named_as_for_files() {
    let Some(place) = Place::of_ffmpeg("damaged streams") else { return };
    let bars = [ffmpeg::BARS, ffmpeg::H264].join(" ");
    ffmpeg::make(&place.path("in/a.mp4"), &bars);
    ffmpeg::make(&place.path("in/b.avi"), &[ffmpeg::BARS, "-c:v mpeg4"].join(" "));
    let truncate = |name: &str, left: fn(usize) -> usize| {
        edit(&place.path(name), |bytes| bytes.truncate(left(bytes.len())));
    };
    common::damage(&place.path("in/a.mp4"), 800);
    truncate("in/b.avi", |whole| whole * 6 / 10);
    for number in [1, 2] {
        let name = format!("in/{number:03}.jpg");
        grey(&place, &name, 1, "videoconvert ! jpegenc");
        if number == 2 {
            truncate(&name, |whole| whole - 20);
        }
    }
    for (input, note) in [
        ("in/a.mp4", "is damaged: its decoder reports "),
        ("in/b.avi", "is truncated: its last "),
        ("in/%03d.jpg", "002.jpg: is truncated: its last rows are missing"),
    ] {
        for out in ["-", "made/%03d.png"] {
            let output = run(&place, &[input, "--out", out, "--overwrite"], None);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(&format!("note: {input}: {note}")), "{out}: {said}");
        }
    }
}

#[test]
fn notes_about_images_are_not_lost_if_a_later_one_fails() {
    let place = Place::new();
    for number in [1, 2] {
        grey(&place, &format!("in/{number:03}.jpg"), 1, "videoconvert ! jpegenc");
    }
    edit(&place.path("in/001.jpg"), |bytes| bytes.truncate(bytes.len() - 20));
    fs::write(place.path("in/003.jpg"), "no image").unwrap();
    for out in ["made.mkv", "made/%03d.png", "-"] {
        let output = run(&place, &["in/%03d.jpg", "--out", out], None);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{out}: {said}");
        let note = "note: in/%03d.jpg: 001.jpg: is truncated: its last rows are missing";
        assert!(said.contains(note), "{out}: {said}");
        let error = "error: in/%03d.jpg: in/003.jpg: is not an image";
        assert!(said.contains(error), "{out}: {said}");
    }
}

#[test]
fn streams_that_make_no_sense_are_refused() {
    let place = Place::new();
    make_clip(&place.path("in/a.mp4"), 5, 5);
    fs::write(place.path("in/001.png"), "no image").unwrap();
    fs::write(place.path("text"), "in/a.mp4\n").unwrap();
    for (arguments, code, cause) in [
        (&["in/a.mp4", "in/a.mp4", "--out", "-"][..], 2, "--out -: expected one input"),
        (
            &["in/a.mp4", "--out", "-", "--start", "1"],
            2,
            "--start: cannot be used with image sequences or y4m",
        ),
        (&["in/%04d.png"], 1, "no image named like 0001.png"),
        (&["in/%03d.png"], 1, "in/001.png: is not an image"),
        (&["in/%03d.png", "--out", "in"], 2, "would overwrite itself"),
        (&["in/%03d.png", "--out", "./in/../in/", "--overwrite"], 2, "would overwrite itself"),
        (&["in/%03d.png", "--out", "x.gif"], 2, "--out x.gif: expected a folder, mp4,"),
        (&["in/%03d.png", "--out", "x.png"], 2, "--out x.png: expected a folder, mp4,"),
        (&["in/absent.mp4", "--out", "-"], 2, "in/absent.mp4: expected a video"),
        (&["in/%03d.png", "--framerate", "fast"], 2, "expected frames per second"),
        (&["-", "--out", "x.mkv"], 1, "standard input is not y4m"),
    ] {
        let output = run(&place, arguments, Some("text"));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(cause), "{arguments:?}: {}", text(&output));
    }
    let whole = [b"YUV4MPEG2 W160 H120 F10:1 C420\nFRAME\n", &[0; 160 * 180 - 1][..]].concat();
    fs::write(place.path("cut"), whole).unwrap();
    let said = text(&run(&place, &["-", "--out", "x.mkv"], Some("cut")));
    assert!(said.contains("standard input ends in the middle of frame 0\n"), "{said}");
    assert!(!place.path("x.mkv").exists() && !place.path("x.mkv.partial").exists());
}
