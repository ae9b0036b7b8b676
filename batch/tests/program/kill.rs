// SPDX-License-Identifier: MIT OR Apache-2.0

//! If the program is killed at any moment, it leaves no partial file under a final name and loses nothing that was
//! finished.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::common::{
    Place,
    media::{make_clip, tracks},
    skip::is_slow_wanted,
};

/// Clips that come with each run, more than most runs get done.
const NEW_CLIPS: usize = 8;
const FRAMES: usize = 30;

/// The files in the output folder, and when each was written.
fn finished(out: &Path) -> BTreeMap<String, SystemTime> {
    let files = fs::read_dir(out).into_iter().flatten().flatten();
    let files = files.filter(|file| file.file_type().unwrap().is_file());
    files
        .map(|f| (f.file_name().into_string().unwrap(), f.metadata().unwrap().modified().unwrap()))
        .collect()
}

/// Kills the program `kills` times while it works, each time at another moment, then lets it finish.
fn kill_and_go_on(kills: usize) {
    let place = Place::new();
    let clip = place.path("clip.mp4");
    make_clip(&clip, FRAMES as u32, 10);
    let mut random = fastrand::Rng::with_seed(7);
    let mut before = BTreeMap::new();
    let (mut clips, mut caught) = (0, 0);
    while caught < kills {
        // There is always some left to do.
        for number in clips..clips + NEW_CLIPS {
            let name = format!("in/{number}.{}", if number % 2 == 0 { "mp4" } else { "mov" });
            fs::copy(&clip, place.path(name)).unwrap();
        }
        clips += NEW_CLIPS;
        let mut run = place.program();
        run.args(["in", "--jobs", "2", "--piece", "0.4"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut run = run.spawn().unwrap();
        // From before the first file to the middle of the others.
        let moment = Duration::from_millis(random.u64(0..1500));
        let since = Instant::now();
        while since.elapsed() < moment && run.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        let is_at_work = run.try_wait().unwrap().is_none();
        caught += usize::from(is_at_work);
        run.kill().unwrap();
        run.wait().unwrap();
        let after = finished(&place.path("out"));
        for (name, written) in &before {
            assert_eq!(
                after.get(name),
                Some(written),
                "{name} was lost or made anew, kill {caught}"
            );
        }
        for name in after.keys().filter(|name| !before.contains_key(*name)) {
            assert_eq!(tracks(&place.out(name))[0].times.len(), FRAMES, "{name}, kill {caught}");
        }
        assert!(clips < 10 * kills * NEW_CLIPS, "the program ends too soon to be killed");
        before = after;
    }
    let said = place.said(&["in", "--piece", "0.4"]);
    assert!(said.contains(", 0 failed") && !said.contains("note:"), "{said}");
    let after = finished(&place.path("out"));
    assert_eq!(after.len(), clips);
    assert!(before.iter().all(|(name, written)| after[name] == *written));
    for name in after.keys() {
        assert_eq!(tracks(&place.out(name))[0].times.len(), FRAMES, "{name}");
    }
    assert!(place.run(&["in", "--piece", "0.4"]).contains(&format!("{clips} up to date")));
}

/// Closing a terminal sends SIGHUP.
#[test]
fn after_nohup_the_program_goes_on_without_its_terminal() {
    let place = Place::new();
    make_clip(&place.path("in/a.mp4"), 60, 10);
    for (prepare, code) in [("trap '' HUP", 0), (":", 130)] {
        let _ = fs::remove_dir_all(place.path("out"));
        let program = place.program();
        let variables = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut run = Command::new("sh")
            .args(["-c", &format!("{prepare}; exec \"$0\" \"$@\"")])
            .arg(program.get_program())
            .args(program.get_args())
            .arg("in")
            .envs(variables)
            .current_dir(program.get_current_dir().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !place.path("out/.cyclegan-batch").exists() {
            assert!(run.try_wait().unwrap().is_none(), "the program has ended");
            thread::sleep(Duration::from_millis(2));
        }
        let sent = Command::new("kill").args(["-HUP", &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(run.wait().unwrap().code(), Some(code), "{prepare}");
    }
}

#[test]
fn three_kills_lose_nothing() {
    kill_and_go_on(3);
}

#[test]
fn twenty_kills_lose_nothing() {
    if is_slow_wanted("killing the program twenty times") {
        kill_and_go_on(20);
    }
}
