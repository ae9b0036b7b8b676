// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report page in a real browser.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use cyclegan_test_support::browser;
use image::RgbImage;

use crate::common::{Place, ffmpeg, media::make, skip::say_skipped};

#[test]
fn a_browser_shows_strips_before_and_after() {
    let place = Place::new();
    let clip = "videotestsrc num-buffers=25 pattern=solid-color foreground-color=0xff204060 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! x264enc ! mp4mux ! OUT";
    make(&place.path("in/a.mp4"), clip);
    make(
        &place.path("in/<b>.png"),
        "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xff804020 ! video/x-raw,width=160,height=120 ! pngenc ! OUT",
    );
    fs::write(
        place.path("in/c.mp4"),
        "This is not a video, only a text of some length.\n".repeat(20),
    )
    .unwrap();
    let arguments = ["in", "--report", "report.html"];
    let status = place.program().args(arguments).output().unwrap().status;
    assert_eq!(status.code(), Some(1));
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "the page loads something");
    assert!(page.contains("&lt;b&gt;.png") && page.contains("is a text file"), "{page}");
    assert_eq!(page.matches("<img").count(), 2);
    // Files that are up to date are shown as well.
    fs::remove_file(place.path("report.html")).unwrap();
    place.program().args(arguments).output().unwrap();
    let again = fs::read_to_string(place.path("report.html")).unwrap();
    assert!(again == page, "{again}");

    let page = place.path("report.html");
    let Some(shot) = browser::screenshot(&page, &place.path(""), 1200, 1200) else {
        return say_skipped("SKIP: no chromium to look at the page with");
    };
    let near = |colour| browser::near(&shot, colour, 10);
    // Six frames of 160×120 above, their negatives below; one of the picture.
    let (before, after) = (near([0x20, 0x40, 0x60]), near([0xdf, 0xbf, 0x9f]));
    assert!(before > 100_000 && after > 100_000, "{before} and {after} pixels of the clip");
    let (before, after) = (near([0x80, 0x40, 0x20]), near([0x7f, 0xbf, 0xdf]));
    assert!(before > 17_000 && after > 17_000, "{before} and {after} pixels of the picture");
}

#[test]
fn the_page_names_outputs_and_explains_only_thumbnails_that_are_there() {
    let place = Place::new();
    fs::create_dir_all(place.path("in")).unwrap();
    fs::write(place.path("in/b.avi"), "Not a video.\n".repeat(20)).unwrap();
    let page = || {
        let arguments = ["in", "--report", "report.html"];
        assert_eq!(place.program().args(arguments).output().unwrap().status.code(), Some(1));
        fs::read_to_string(place.path("report.html")).unwrap()
    };
    let first = page();
    assert!(first.contains("<h2>b.avi</h2>") && !first.contains("Thumbnails"), "{first}");
    RgbImage::new(32, 32).save(place.path("in/a.bmp")).unwrap();
    let second = page();
    assert!(second.contains("<h2>a.bmp → a.png</h2>") && second.contains("Thumbnails"), "{second}");
}

#[cfg(unix)]
#[test]
fn the_page_replaces_only_files() {
    let place = Place::new();
    RgbImage::new(32, 32).save(place.path("in/a.bmp")).unwrap();
    fs::write(place.path("page.html"), "").unwrap();
    std::os::unix::fs::symlink("page.html", place.path("link.html")).unwrap();
    place.run(&["in", "--report", "link.html"]);
    assert!(place.path("link.html").is_symlink());
    assert!(fs::read_to_string(place.path("page.html")).unwrap().contains("a.bmp"));
    let said = place.said(&["in", "--report", "/dev/null"]);
    assert!(said.contains("--report /dev/null: a device or a pipe, expected a file"), "{said}");
    // As `--report in/*.bmp` does.
    let before = fs::read(place.path("in/a.bmp")).unwrap();
    let said = place.said(&["in", "--report", "in/a.bmp"]);
    assert!(said.contains("--report in/a.bmp: expected a name that ends in .html"), "{said}");
    assert!(fs::read(place.path("in/a.bmp")).unwrap() == before);
}

/// The thumbnails of a report, in its order.
fn thumbnails(place: &Place) -> Vec<RgbImage> {
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    let images = page.split("data:image/jpeg;base64,").skip(1);
    let decode = |data: &str| {
        let jpeg = STANDARD.decode(data.split('"').next().unwrap()).unwrap();
        image::load_from_memory(&jpeg).unwrap().into_rgb8()
    };
    images.map(decode).collect()
}

/// Fails unless each frame below equals the one above, with a filter that changes nothing.
fn assert_same_moments(sheet: &RgbImage) {
    let row = (sheet.height() + 4) / 2;
    let difference = |x, y| {
        let (above, below) = (sheet.get_pixel(x, y).0, sheet.get_pixel(x, y + row).0);
        above.iter().zip(below).map(|(a, b)| u64::from(a.abs_diff(b))).max().unwrap()
    };
    let all = (0..sheet.width()).flat_map(|x| (0..row - 4).map(move |y| (x, y)));
    let mean =
        all.map(|(x, y)| difference(x, y)).sum::<u64>() / u64::from(sheet.width() * (row - 4));
    assert!(mean < 12, "differ by {mean}");
}

#[test]
fn thumbnails_before_and_after_are_of_the_same_moments() {
    let place = Place::unchanged();
    // From black to white in twelve seconds.
    let parts = (0..12).map(|second| {
        let grey = second * 23;
        format!(
            "videotestsrc num-buffers=10 pattern=solid-color foreground-color=0xff{grey:02x}{grey:02x}{grey:02x} \
             ! video/x-raw,format=I420,width=160,height=120,framerate=10/1 ! c. "
        )
    });
    let clip = parts.collect::<String>()
        + "concat name=c ! x264enc speed-preset=ultrafast key-int-max=10 ! mp4mux ! OUT";
    make(&place.path("in/a.mp4"), &clip);
    for part in [&["--start", "6"][..], &["--sample", "2"]] {
        let mut arguments = vec!["in", "--overwrite", "--report", "report.html"];
        arguments.extend(part);
        place.run(&arguments);
        let sheets = thumbnails(&place);
        assert!(!sheets.is_empty(), "{part:?}");
        sheets.iter().for_each(assert_same_moments);
    }
}

/// GStreamer 1.22 decodes these only with the caps and times that the probe corrects.
#[test]
fn corrected_files_have_thumbnails() {
    let Some(place) = Place::of_ffmpeg("thumbnails of corrected files") else { return };
    for (name, codec) in [
        ("a.mov", "-c:v ffv1 -level 3"),
        ("b.mov", "-pix_fmt yuv422p -c:v dnxhd -profile:v dnxhr_lb -s 320x256"),
    ] {
        ffmpeg::make(&place.input(name), &[ffmpeg::BARS, codec].join(" "));
    }
    let said = place.run(&["in", "--report", "report.html"]);
    let sheets = thumbnails(&place);
    assert_eq!(sheets.len(), 2, "{said}");
    sheets.iter().for_each(assert_same_moments);
}

#[test]
fn animated_images_have_thumbnails() {
    let Some(place) = Place::of_ffmpeg("thumbnails of an animated GIF") else { return };
    ffmpeg::make(
        &place.path("in/a.gif"),
        "-f lavfi -i testsrc2=size=160x120:rate=10:d=2,format=gray",
    );
    let said = place.run(&["in", "--report", "report.html"]);
    let [sheet] = &thumbnails(&place)[..] else { panic!("{said}") };
    assert_same_moments(sheet);
}
