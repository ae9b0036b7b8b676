// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report page in a real browser.

mod common;

use std::fs;

use common::{Place, media::make, skip::say_skipped};
use cyclegan_test_support::browser;

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
    // Files that were finished before are shown as well.
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
