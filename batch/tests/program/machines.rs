// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machines that share a folder, as processes on one machine.

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{
    Place, generators,
    media::{make_clip, small_clip, tracks},
    text,
};

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut program = place.program();
    program.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The output of `--status`, and its lines as JSON.
fn status(place: &Place, arguments: &[&str]) -> (Output, Vec<Value>) {
    let run = |more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_cyclegan-batch"));
        program.current_dir(place.path("")).args(["--status", "--out", "out"]).args(arguments);
        let output = program.args(more).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        output
    };
    // Two calls: the JSON includes at least what the text does.
    let said = run(&[]);
    let lines = text(&run(&["--json"]));
    (said, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A count of a summary.
fn count(said: &str, what: &str) -> u32 {
    let before = said.split(what).next().unwrap().trim_end();
    before.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no '{what}': {said}"))
}

#[test]
fn machines_take_the_next_free_file() {
    let place = Place::new();
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/1.mp4"), 10, 10);
    for number in 2..=8 {
        fs::copy(place.path("in/1.mp4"), place.path(format!("in/{number}.mp4"))).unwrap();
    }
    // Only one of them may try it. It comes last, so that both are working by then.
    fs::write(place.path("in/9.mp4"), "This is no video.\n".repeat(50)).unwrap();
    let arguments = ["in", "--shard", "auto", "--jobs", "1", "--report", "report.html"];
    let machines = [start(&place, &arguments), start(&place, &arguments)];
    let outputs = machines.map(|machine| machine.wait_with_output().unwrap());
    let said = outputs.each_ref().map(text);
    let translated = said.each_ref().map(|said| count(said, " translated,"));
    assert_eq!(translated.iter().sum::<u32>(), 8, "{said:?}");
    assert!(translated.iter().all(|count| *count > 0), "one machine had nothing to do: {said:?}");
    let codes = outputs.each_ref().map(|output| output.status.code());
    assert!(codes == [Some(0), Some(1)] || codes == [Some(1), Some(0)], "{said:?}");
    for number in 1..=8 {
        let line = format!("out/{number}.mp4: 10 frames");
        assert_eq!(said.concat().matches(&line).count(), 1, "{number}: {said:?}");
    }
    // The report of the one that ends last has the files of both.
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    assert_eq!((page.matches("<img").count(), page.matches("is a text file").count()), (8, 1));
    // A new run retries what has failed.
    let again = start(&place, &arguments).wait_with_output().unwrap();
    assert!(text(&again).contains("0 translated, 8 up to date, 1 failed"), "{}", text(&again));
}

/// A file of ten pieces, each of which takes a while.
fn long_clip(place: &Place) -> [&'static str; 8] {
    place.generator(&generators::slow_invert(6));
    make_clip(&place.path("in/a.mp4"), 250, 25);
    ["in", "--shard", "auto", "--jobs", "1", "--piece", "1", "--json"]
}

fn wait_for_segments(place: &Place, count: usize) {
    let since = Instant::now();
    while place.segments().len() < count {
        assert!(since.elapsed() < Duration::from_secs(60), "no {count} segments");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn machines_share_the_pieces_of_one_file() {
    let place = Place::new();
    let arguments = long_clip(&place);
    place.run(&arguments);
    fs::rename(place.path("out"), place.path("alone")).unwrap();

    let machines = [start(&place, &arguments), start(&place, &arguments)];
    let said = machines.map(|machine| text(&machine.wait_with_output().unwrap()));
    let is_done = |said: &&String| said.contains("\"event\":\"done\"");
    assert_eq!(said.iter().filter(is_done).count(), 1, "{said:?}");
    let helper = said.iter().find(|said| !is_done(said)).unwrap();
    let ending = helper.lines().find(|line| line.contains("\"event\":\"elsewhere\"")).unwrap();
    let ending: Value = serde_json::from_str(ending).unwrap();
    let count = ending["text"].as_str().unwrap().split(", ").nth(2).unwrap_or("0");
    let count: u32 = count.split(' ').next().unwrap().parse().unwrap();
    assert!((1..10).contains(&count), "{helper}");
    // Identical to the output of one process.
    let [one, two] = [place.path("alone/a.mp4"), place.out("a.mp4")].map(|path| tracks(&path));
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(&two) {
        assert_eq!((&one.times, &one.data), (&two.times, &two.data));
    }
    assert!(place.segments().is_empty(), "pieces are left");
}

/// Two processes that translate segments of one file.
fn owner_and_helper(place: &Place) -> (Child, Child) {
    let arguments = long_clip(place);
    let owner = start(place, &arguments);
    wait_for_segments(place, 1);
    let helper = start(place, &arguments);
    wait_for_segments(place, 3);
    (owner, helper)
}

#[test]
fn the_file_of_a_machine_that_vanishes_is_taken_over() {
    let place = Place::new();
    let (mut owner, helper) = owner_and_helper(&place);
    owner.kill().unwrap();
    owner.wait().unwrap();
    let said = text(&helper.wait_with_output().unwrap());
    assert!(said.contains("\"event\":\"done\""), "{said}");
    assert_eq!(tracks(&place.out("a.mp4"))[0].times.len(), 250);
    assert!(place.segments().is_empty(), "pieces are left");
}

#[test]
fn nobody_helps_with_a_file_that_has_failed() {
    let place = Place::new();
    let (mut owner, helper) = owner_and_helper(&place);
    // The segments of the owner disappear, as from a faulty disk.
    let own = format!("-{}", owner.id());
    while owner.try_wait().unwrap().is_none() {
        let files = walkdir::WalkDir::new(place.out(".cyclegan-batch")).into_iter().flatten();
        let of_owner = files.filter(|file| file.file_name().to_string_lossy().ends_with(&own));
        of_owner.for_each(|file| drop(fs::remove_file(file.path())));
        thread::sleep(Duration::from_millis(5));
    }
    let failed = text(&owner.wait_with_output().unwrap());
    assert!(failed.contains("\"cause\":\"cannot write a segment"), "{failed}");
    let said = text(&helper.wait_with_output().unwrap());
    assert!(said.contains("has failed on") && said.contains("cannot write a segment"), "{said}");
    assert!(place.segments().len() < 8, "{} of 10 segments", place.segments().len());
}

#[test]
fn the_state_of_a_folder_is_shown_while_it_is_worked_on() {
    let place = Place::new();
    small_clip(&place.path("in/a.mp4"));
    fs::write(place.path("in/b.mp4"), "This is no video.\n".repeat(50)).unwrap();
    fs::copy(place.path("in/a.mp4"), place.path("in/c.mkv")).unwrap();
    place.program().arg("in").output().unwrap();
    place.generator(&generators::slow_invert(8));
    make_clip(&place.path("in/d.mp4"), 200, 25);
    small_clip(&place.path("in/e.mp4"));
    let mut machine = start(&place, &["in/d.mp4", "--piece", "0"]);
    let begun = Instant::now();
    let (said, lines) = loop {
        let (said, lines) = status(&place, &["in"]);
        if text(&said).contains("out/d.mp4") {
            break (said, lines);
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", text(&said));
        thread::sleep(Duration::from_millis(100));
    };
    let said = text(&said);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let (host, pid) = (host.trim(), machine.id());
    for expected in [
        format!("out/b.mp4: failed on {host}: is a text file"),
        "note: out/c.mkv: is Quicktime, although its extension is mkv".to_owned(),
        format!("out/d.mp4: is being translated by {host}, process {pid}"),
        "2 done, 1 failed, 1 being translated, 1 not started".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let of = |name: &str| lines.iter().find(|line| line["output"] == name).unwrap();
    assert_eq!((&of("a.mp4")["state"], &of("a.mp4")["frames"]), (&"done".into(), &3.into()));
    assert_eq!((&of("d.mp4")["state"], &of("d.mp4")["pid"]), (&"translating".into(), &pid.into()));
    // Another process leaves it alone, and says so.
    let other = place.program().arg("in/d.mp4").output().unwrap();
    let expected = format!("out/d.mp4: is being translated by {host}, process {pid}");
    assert!(text(&other).contains(&expected), "{}", text(&other));
    assert_eq!(other.status.code(), Some(1));

    machine.kill().unwrap();
    machine.wait().unwrap();
    let (said, _) = status(&place, &["--report", "page.html"]);
    assert!(
        text(&said).contains("2 done, 1 failed, 0 being translated, 1 unfinished"),
        "{}",
        text(&said)
    );
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.contains("<h2>d.mp4</h2><p>Not finished</p>"), "{page}");
}

#[test]
fn shares_write_one_report() {
    let place = Place::new();
    for number in 0..4 {
        small_clip(&place.path(format!("in/{number}.mp4")));
    }
    for share in ["1/2", "2/2"] {
        place.run(&["in", "--shard", share, "--report", "report.html"]);
    }
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    assert_eq!((page.matches("<section>").count(), page.matches("<img").count()), (4, 4));
    let others = fs::read_dir(place.path("")).unwrap().flatten();
    let others = others.filter(|entry| entry.file_name().to_string_lossy().starts_with("report"));
    assert_eq!(others.count(), 1);
}
