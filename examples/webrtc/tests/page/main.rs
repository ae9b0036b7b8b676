// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the page in a browser, and of the server with visitors who break its rules.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod chromium;
mod service;

use std::{
    fs::File,
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use chromium::{Browser, Tab};
use cyclegan_test_support::{generators, plugin, skip};
use service::Service;

/// The time limit of waits, long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "in vain: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A clip with a dark and a light half: Y = 60 and Y = 180, which are 51 and 191 in RGB.
fn clip(path: &Path) {
    let mut file = File::create(path).unwrap();
    let (width, height) = (320, 240);
    writeln!(file, "YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg").unwrap();
    let row: Vec<u8> = (0..width).map(|x| if x < width / 2 { 60 } else { 180 }).collect();
    for _ in 0..5 {
        writeln!(file, "FRAME").unwrap();
        file.write_all(&row.repeat(height)).unwrap();
        file.write_all(&vec![128; width * height / 2]).unwrap();
    }
}

/// A browser with that clip as its camera.
fn browser(folder: &Path) -> Option<Browser> {
    let path = folder.join("clip.y4m");
    clip(&path);
    let browser = Browser::start(&path);
    if browser.is_none() {
        skip::say_skipped("SKIP: chromium is not installed, so the page is not looked at");
    }
    browser
}

/// The mean green of a video's left and right half, in grey levels.
fn halves(browser: &mut Browser, tab: &Tab, video: &str) -> [f64; 2] {
    let script = format!(
        "(() => {{
            const video = document.getElementById('{video}');
            const [width, height] = [video.videoWidth, video.videoHeight];
            const canvas = new OffscreenCanvas(width, height).getContext('2d');
            canvas.drawImage(video, 0, 0);
            return [width / 4, 3 * width / 4].map(x => {{
                const pixels = canvas.getImageData(x - 10, height / 2 - 10, 20, 20).data;
                let sum = 0;
                for (let i = 1; i < pixels.length; i += 4) sum += pixels[i];
                return sum / (pixels.length / 4);
            }});
        }})()"
    );
    let value = browser.value(tab, &script);
    [0, 1].map(|half| value[half].as_f64().unwrap())
}

fn wait_for_halves(browser: &mut Browser, tab: &Tab, expected: [f64; 2]) {
    let near = |found: [f64; 2]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 12.0);
    let until = Instant::now() + PATIENCE;
    loop {
        let found = halves(browser, tab, "output");
        if near(found) {
            return;
        }
        assert!(Instant::now() < until, "the halves are {found:?}, expected {expected:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

const FRAMES: &str = "document.getElementById('output').getVideoPlaybackQuality().totalVideoFrames";

/// Opens the page, starts the camera and waits for frames.
fn come(browser: &mut Browser, service: &Service) -> Tab {
    let tab = browser.open(&service.address());
    browser.value(&tab, "document.getElementById('start').click()");
    browser.wait(&tab, &format!("{FRAMES} > 5"));
    tab
}

/// Sets a control as a user would.
fn set(browser: &mut Browser, tab: &Tab, id: &str, change: &str, event: &str) {
    browser.value(
        tab,
        &format!(
            "{{ const control = document.getElementById('{id}'); {change};
                control.dispatchEvent(new Event('{event}', {{ bubbles: true }})) }}"
        ),
    );
}

#[test]
fn two_visitors_see_their_cameras_translated() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = browser(folder.path()) else { return };
    let Some(service) = Service::start(&[]) else { return };

    let before = service.threads();
    let first = come(&mut browser, &service);
    // Dark becomes light, light stays.
    wait_for_halves(&mut browser, &first, [204.0, 191.0]);
    let input = halves(&mut browser, &first, "input");
    assert!((input[0] - 51.0).abs() < 12.0 && (input[1] - 191.0).abs() < 12.0, "{input:?}");
    browser
        .wait(&first, "document.getElementById('status').textContent.includes('frames a second')");

    set(&mut browser, &first, "strength", "control.value = 0", "input");
    wait_for_halves(&mut browser, &first, [51.0, 191.0]);
    set(&mut browser, &first, "strength", "control.value = 1", "input");
    set(&mut browser, &first, "reverse", "control.checked = true", "change");
    wait_for_halves(&mut browser, &first, [204.0, 64.0]);
    set(&mut browser, &first, "reverse", "control.checked = false", "change");
    let models =
        browser.value(&first, "[...document.getElementById('model').options].map(o => o.value)");
    assert_eq!(models, serde_json::json!(["horse2zebra", "other"]));

    // A second visitor has another pipeline and no new session.
    let sessions = service.sessions();
    assert_eq!(sessions, 2, "G and F: {}", service.log());
    let second = come(&mut browser, &service);
    wait_for_halves(&mut browser, &second, [204.0, 191.0]);
    assert_eq!(service.sessions(), sessions, "{}", service.log());
    set(&mut browser, &second, "model", "control.value = 'other'", "change");
    wait_for_halves(&mut browser, &second, [204.0, 64.0]);
    // The settings of one visitor do not affect the other.
    wait_for_halves(&mut browser, &first, [204.0, 191.0]);

    assert!(!service.elements().is_empty());
    browser.vanish();
    service.wait_until_empty();
    let is_kept = |name: &String| {
        // The system clock, the pools of GLib and tokio, and earlier threads belong to the process.
        let pools = ["GstSystemClock", "gmain", "gdbus", "pool-", "tokio-"];
        before.contains(name) || pools.iter().any(|pool| name.starts_with(pool))
    };
    let mut left = Vec::new();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        left = service.threads().into_iter().filter(|name| !is_kept(name)).collect();
        if left.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("threads that a visit left: {left:?}");
}

/// The page asks the browser for smaller frames; a browser that sends larger ones gets an error.
#[test]
fn frames_over_the_limit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = browser(folder.path()) else { return };
    let Some(service) = Service::start(&["--max-size", "160x120"]) else { return };
    let tab = come(&mut browser, &service);
    let size = browser.value(&tab, "[output.videoWidth, output.videoHeight]");
    assert!(size[0].as_u64() <= Some(160) && size[1].as_u64() <= Some(120), "{size}");

    let tab = browser.open(&service.address());
    browser.value(&tab, "MediaStreamTrack.prototype.applyConstraints = async () => {}");
    browser.value(&tab, "document.getElementById('start').click()");
    browser.wait(&tab, "!document.getElementById('problem').hidden");
    let problem = browser.text(&tab, "problem");
    assert!(problem.contains("160×120"), "{problem}");
    assert_eq!(browser.text(&tab, "status"), "Stopped.");
}

#[test]
fn pages_of_other_sites_are_refused() {
    let Some(service) = Service::start(&[]) else { return };
    for origin in ["https://example.net", "null", "http://127.0.0.1:1"] {
        assert_eq!(
            service.visitor(origin).err().map(|status| status.as_u16()),
            Some(403),
            "{origin}"
        );
    }
    service.own_visitor().hear("offer");
}

#[test]
fn a_visitor_who_breaks_a_rule_gets_an_error_and_is_cleaned_up() {
    let Some(service) = Service::start(&["--visitors", "1", "--timeout", "15"]) else { return };
    for (message, reason) in [
        (r#"{"type":"set","strength":7}"#.to_owned(), "from 0 to 1"),
        (r#"{"type":"set","model":"/etc/passwd"}"#.to_owned(), "not in the menu"),
        (r#"{"type":"shout"}"#.to_owned(), "does not know"),
        (r#"{"type":"answer","sdp":"v=0"}"#.to_owned(), "one stream of video"),
        (format!(r#"{{"type":"answer","sdp":"{}"}}"#, "x".repeat(40_000)), "is longer than"),
    ] {
        let mut visitor = service.own_visitor();
        visitor.hear("offer");
        visitor.say(&message);
        let error = visitor.error();
        assert!(error.to_lowercase().contains(reason), "{error}");
        service.wait_until_empty();
    }

    // The only place is taken by a visitor who sends nothing.
    let mut silent = service.own_visitor();
    silent.hear("offer");
    let error = service.own_visitor().error();
    assert!(error.contains("All 1 places are taken"), "{error}");
    let error = silent.error();
    assert!(error.contains("No picture came"), "{error}");
    service.wait_until_empty();
    service.own_visitor().hear("offer");
}

#[test]
fn a_message_far_over_the_limit_is_not_read() {
    let Some(service) = Service::start(&[]) else { return };
    let mut visitor = service.own_visitor();
    visitor.hear("offer");
    visitor.say(&"x".repeat(1_000_000));
    visitor.hear_the_end();
    service.wait_until_empty();
}

/// The connection stays open, as after a loss of the network.
#[test]
fn a_silent_visitor_is_disconnected() {
    let Some(service) = Service::start(&["--timeout", "3"]) else { return };
    let mut visitor = service.own_visitor();
    visitor.hear("offer");
    service.wait_until_empty();
    visitor.hear_the_end();
}

#[test]
fn missing_elements_are_named_with_their_package() {
    let models = service::models();
    let empty = tempfile::tempdir().unwrap();
    let output = service::command(&models)
        .env("GST_PLUGIN_SYSTEM_PATH_1_0", empty.path())
        .env("GST_REGISTRY_1_0", empty.path().join("registry.bin"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("webrtcbin") && said.contains("install gstreamer1.0-plugins-bad"),
        "{said}"
    );
}
