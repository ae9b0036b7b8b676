// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use clap::Parser;
use std::{ffi::OsString, fs};

/// A folder with empty files of these names.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    folder
}

/// What is found with these options in these inputs in `folder`.
fn find_with(folder: &Path, options: &[&str], inputs: &[&str]) -> Result<Found> {
    let inputs = inputs.iter().map(|input| folder.join(input).into_os_string());
    let options = ["cyclegan-batch", "--out", "x"].iter().chain(options).map(OsString::from);
    let options = Options::parse_from(options.chain(inputs));
    let destination = Destination::new(&options)?;
    Finder::new(&options, &destination)?.find()
}

/// What is found in these inputs in `folder`, with outputs in its subfolder `out`.
fn find_all(folder: &Path, inputs: &[&str]) -> Found {
    find_with(folder, &["--out", folder.join("out").to_str().unwrap()], inputs).unwrap()
}

fn find(folder: &Path, inputs: &[&str]) -> Vec<Item> {
    find_all(folder, inputs).items
}

fn outputs(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.output.to_str().unwrap()).collect()
}

#[test]
fn folders_are_searched_but_not_for_outputs_and_hidden_files() {
    let names =
        ["a.mp4", "sub/b.AVI", "sub/c.jpg", "d.bmp", "notes.txt", ".hidden.mp4", "out/a.mp4"];
    let folder = folder(&names);
    let items = find(folder.path(), &["."]);
    assert_eq!(outputs(&items), ["a.mp4", "d.png", "sub/b.mkv", "sub/c.jpg"]);
    assert!(items.iter().all(|item| item.problem.is_none()));
}

#[test]
fn the_output_folder_may_lie_above_the_inputs() {
    let folder = folder(&["clips/a.mp4", "clips/sub/b.mp4"]);
    for inputs in ["clips", "clips/**/*.mp4"] {
        let out = ["--out", folder.path().to_str().unwrap()];
        let found = find_with(folder.path(), &out, &[inputs]).unwrap();
        assert_eq!(outputs(&found.items), ["a.mp4", "sub/b.mp4"], "{inputs}");
    }
}

#[test]
fn what_cannot_be_decoded_is_not_skipped_in_silence() {
    let folder = folder(&["a.mp4", "x/b.jxl", "x/.c.jxl", "out/d.jxl", "e.txt", "f.h264"]);
    for inputs in [".", "**/*"] {
        let Found { items, skipped } = find_all(folder.path(), &[inputs]);
        assert_eq!(outputs(&items), ["a.mp4", "f.mkv"]);
        let [(path, cause)] = &skipped[..] else { panic!("{skipped:?}") };
        assert!(path.ends_with("x/b.jxl") && cause.contains(".jxl"), "{cause}");
    }
    // What is named itself is tried.
    assert_eq!(outputs(&find(folder.path(), &["x/b.jxl"])), ["b.mkv"]);
    let folder = self::folder(&["a.mp4", "b.m3u8"]);
    let Found { skipped, .. } = find_all(folder.path(), &["."]);
    assert!(skipped[0].1.contains("playlist"), "{skipped:?}");
    assert_eq!(outputs(&find(folder.path(), &["b.m3u8"])), ["b.mkv"]);
}

#[test]
fn patterns_keep_what_lies_below_their_fixed_part() {
    let folder = folder(&["clips/a.mp4", "clips/x/b.mp4", "clips/x/[c].mp4"]);
    assert_eq!(outputs(&find(folder.path(), &["clips/**/[ab].mp4"])), ["a.mp4", "x/b.mp4"]);
    // A file's name is no pattern.
    assert_eq!(outputs(&find(folder.path(), &["clips/x/[c].mp4"])), ["[c].mp4"]);
}

#[test]
fn patterns_do_not_find_outputs_and_hidden_files() {
    let folder = folder(&["a.mp4", "out/a.mp4", "out/.cyclegan-batch/x.mp4", "x/._a.mp4"]);
    assert_eq!(outputs(&find(folder.path(), &["**/*.mp4"])), ["a.mp4"]);
}

#[test]
fn links_to_nowhere_are_problems() {
    use std::os::unix::fs::symlink;

    let folder = folder(&["a.mp4"]);
    symlink("none.mp4", folder.path().join("b.mp4")).unwrap();
    symlink("c.mp4", folder.path().join("c.mp4")).unwrap();
    symlink("none.txt", folder.path().join("d.txt")).unwrap();
    symlink("none.mp4", folder.path().join(".e.mp4")).unwrap();
    for inputs in ["*", "."] {
        assert_eq!(outputs(&find(folder.path(), &[inputs])), ["a.mp4", "b.mp4", "c.mp4"]);
    }
    let items = find(folder.path(), &["."]);
    let problem = items[1].problem.as_deref();
    assert_eq!(problem, Some("is a link to none.mp4, which does not exist"));
}

#[test]
fn an_unreadable_folder_is_one_problem() {
    use std::os::unix::fs::PermissionsExt;

    use cyclegan_test_support::skip::say_skipped;

    let folder = folder(&["a.mp4", "closed/b.mp4"]);
    let closed = folder.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        return say_skipped("SKIP: this user may read every file, so none is unreadable");
    }
    for inputs in [".", "**/*"] {
        let items = find(folder.path(), &[inputs]);
        let problems: Vec<_> = items.iter().filter_map(|item| item.problem.clone()).collect();
        assert_eq!(
            (items.len(), &problems[..]),
            (2, &["cannot be read: Permission denied".to_owned()][..])
        );
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_pattern_may_match_only_what_the_options_leave_out() {
    let folder = folder(&["one/a.mp4", "two/b.mp4"]);
    let find = |patterns: [&str; 2]| find_with(folder.path(), &["--exclude", "b.mp4"], &patterns);
    assert_eq!(outputs(&find(["one/*.mp4", "two/*.mp4"]).unwrap().items), ["a.mp4"]);
    let error = find(["one/*.mp4", "two/*.mov"]).err().unwrap();
    assert!(format!("{error:#}").contains("two/*.mov': matches no video or image"), "{error:#}");
    let error = find(["two/*.mp4", "two/b*"]).err().unwrap();
    assert!(error.to_string().contains("matches the options"), "{error:#}");
}

#[test]
fn options_choose_files_by_their_names_and_their_folders() {
    let folder = folder(&["a.mp4", "old/b.mp4", "x/old/c.mov", "x/older/d.mp4"]);
    let find = |option: &str, pattern: &str| {
        let found = find_with(folder.path(), &[option, pattern], &["."]).unwrap();
        outputs(&found.items).join(" ")
    };
    assert_eq!(find("--exclude", "old"), "a.mp4 x/older/d.mp4");
    assert_eq!(find("--exclude", "x/old"), "a.mp4 old/b.mp4 x/older/d.mp4");
    assert_eq!(find("--exclude", "old/**"), "a.mp4 x/old/c.mov x/older/d.mp4");
    assert_eq!(find("--include", "*.mov"), "x/old/c.mov");
    assert_eq!(find("--include", "old"), "old/b.mp4 x/old/c.mov");
}

#[test]
fn the_preset_may_need_another_container() {
    let folder = folder(&["a.mp4", "b.webm", "c.ts"]);
    let named = |preset: &str| {
        let found = find_with(folder.path(), &["--preset", preset], &["."]).unwrap();
        outputs(&found.items).join(" ")
    };
    assert_eq!(named("web"), "a.mp4 b.webm c.ts");
    assert_eq!(named("hevc"), "a.mp4 b.mkv c.ts");
    assert_eq!(named("av1"), "a.mp4 b.webm c.mkv");
    assert_eq!(named("prores"), "a.mov b.mov c.mov");
}

#[test]
fn samples_lie_beside_their_file() {
    let folder = folder(&["a.mp4"]);
    let options = ["--sample", "2", "--out", folder.path().to_str().unwrap()];
    let items = find_with(folder.path(), &options, &["a.mp4"]).unwrap().items;
    assert_eq!(outputs(&items), ["a.sample-1.mp4", "a.sample-2.mp4"]);
    assert!(items.iter().all(|item| item.problem.is_none()), "{items:?}");
}

#[test]
fn names_do_not_say_another_format() {
    let folder = folder(&["a.png", "b.mp4", "c.bmp"]);
    let problems = |template: &str| {
        let found = find_with(folder.path(), &["--name", template], &["."]).unwrap();
        [0, 1, 2].map(|i| found.items[i].problem.is_some())
    };
    assert_eq!(problems("{stem}.z.{ext}"), [false; 3]);
    assert_eq!(problems("{stem}.png"), [false, true, false]);
    assert_eq!(problems("{stem}.bmp"), [true; 3]);
    assert_eq!(problems("{stem}.avi"), [true; 3]);
    assert_eq!(problems("{stem}.z"), [false; 3]);
}

#[test]
fn two_files_do_not_get_one_output() {
    let folder = folder(&["one/a.mp4", "two/a.mp4", "one/b.mpg", "one/b.avi"]);
    let items = find(folder.path(), &["one", "two", "one/a.mp4"]);
    let problems: Vec<_> = items.iter().map(|item| item.problem.is_some()).collect();
    assert_eq!(outputs(&items), ["a.mp4", "b.mkv", "b.mkv", "a.mp4"]);
    assert_eq!(problems, [false, false, true, true]);
}

#[test]
fn a_file_is_not_its_own_output() {
    let folder = folder(&["out/a.mp4"]);
    let items = find(folder.path(), &["out/a.mp4"]);
    assert!(items[0].problem.as_ref().unwrap().contains("would overwrite itself"));
}
