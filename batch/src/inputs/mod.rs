// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds the input files of the command line and their outputs.

mod item;
mod list;
mod name;
mod newer;
mod outputs;
mod undecodable;

use std::{
    collections::{HashMap, hash_map::Entry},
    ffi::OsStr,
    io::{self, Read},
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};
use walkdir::WalkDir;

pub use item::Item;
use outputs::Outputs;

use crate::{
    container::is_video_name,
    destination::Destination,
    files::{check_names, is_pattern, is_same, unreadable},
    options::Options,
    picture::PictureFormat,
};

/// The program's own folder within the output folder.
pub const OWN_FOLDER: &str = ".cyclegan-batch";

#[derive(Debug, Default)]
pub struct Found {
    /// The files to translate, in the order of the command line, including those with a problem.
    pub items: Vec<Item>,
    /// Videos and images that cannot be decoded, and folders of outputs, each with a note.
    pub skipped: Vec<(PathBuf, String)>,
}

pub struct Finder<'a> {
    options: &'a Options,
    destination: &'a Destination,
    /// The folder of the outputs; `None` if it does not exist yet.
    out: Option<PathBuf>,
    /// Files that are older than this are left out.
    newer: Option<SystemTime>,
    outputs: Outputs,
}

impl<'a> Finder<'a> {
    pub fn new(options: &'a Options, destination: &'a Destination) -> Result<Self> {
        options.name.as_deref().map_or(Ok(()), name::check)?;
        let newer = options.newer.as_deref().map(newer::time).transpose()?;
        let out = destination.folder.canonicalize().ok();
        Ok(Self { options, destination, out, newer, outputs: Outputs::default() })
    }

    pub fn find(&self) -> Result<Found> {
        let mut found = Found::default();
        for input in &self.options.inputs {
            let path = Path::new(input);
            if input == "-" {
                self.add_list(&mut found)?;
            } else if let Some(pattern) = input.to_str().filter(|_| is_pattern(input)) {
                self.add_matches(pattern, &mut found).with_context(|| format!("'{pattern}'"))?;
            } else {
                self.add(path, Path::new(path.file_name().unwrap_or_default()), &mut found);
            }
        }
        let Found { items, mut skipped } = found;
        skipped.extend(self.outputs.notes());
        if items.is_empty() {
            let skipped =
                skipped.iter().map(|(path, cause)| format!("; {} {cause}", path.display()));
            let skipped: String = skipped.take(3).collect();
            bail!("no video or image in the inputs matches the options{skipped}");
        }
        let samples = items.into_iter().flat_map(|item| item.sampled(self.options.sample));
        let mut items = self.without_conflicts(samples.collect());
        for item in &mut items {
            if let Err(error) = check_names(&item.output, 0) {
                item.problem.get_or_insert(format!("{error}; use --name or --out"));
            }
        }
        Ok(Found { items, skipped })
    }

    fn add_list(&self, found: &mut Found) -> Result<()> {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text).context("cannot read the list")?;
        let out = self.out_of_search(Path::new("."));
        for path in list::paths(&text) {
            let relative = list::place(&path);
            if !is_in(&path, out) && self.is_chosen(&path, &relative) && !self.is_own(&path) {
                self.add(&path, &relative, found);
            }
        }
        Ok(())
    }

    fn add_matches(&self, pattern: &str, found: &mut Found) -> Result<()> {
        let is_fixed =
            |part: &Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let fixed: PathBuf = Path::new(pattern).components().take_while(is_fixed).collect();
        let out = self.out_of_search(if fixed == Path::new("") { Path::new(".") } else { &fixed });
        // Even if the options exclude all of them, as --newer often does.
        let mut has_matches = false;
        for path in glob::glob(pattern)? {
            let path = match path {
                Ok(path) => path,
                Err(error) => {
                    let place = error.path().to_owned();
                    let relative = place.strip_prefix(&fixed).unwrap_or(&place).to_owned();
                    let cause = unreadable(&place, error.error());
                    self.push_unreadable(place, relative, cause, found);
                    has_matches = true;
                    continue;
                }
            };
            has_matches |= is_known(&path);
            // `**` also matches the files in a matching folder.
            let relative = path.strip_prefix(&fixed).unwrap_or(&path).to_owned();
            let is_hidden = relative.iter().any(is_hidden);
            let is_near = relative.components().count() <= self.max_depth();
            if !is_hidden && is_near && !path.is_dir() && !is_in(&path, out) {
                self.sort(path, relative, &fixed, found);
            }
        }
        ensure!(has_matches, "matches no video or image");
        Ok(())
    }

    /// Adds the file `path` at `relative`, or all files of the folder `path`.
    fn add(&self, path: &Path, relative: &Path, found: &mut Found) {
        if !path.is_dir() {
            return self.push(path.to_owned(), relative.to_owned(), &mut found.items);
        }
        let out = self.out_of_search(path);
        let is_wanted = |entry: &walkdir::DirEntry| {
            let is_out = || entry.file_type().is_dir() && is_in(entry.path(), out);
            entry.depth() == 0 || !(is_hidden(entry.file_name()) || is_out())
        };
        let walk = WalkDir::new(path).follow_links(true).max_depth(self.max_depth());
        for entry in walk.sort_by_file_name().into_iter().filter_entry(is_wanted) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    let relative = entry.path().strip_prefix(path).unwrap_or(relative).to_owned();
                    self.sort(entry.into_path(), relative, path, found);
                }
                Err(error) => {
                    let place = error.path().unwrap_or(path).to_owned();
                    let relative = match place.strip_prefix(path) {
                        Ok(below) if below != Path::new("") => below.to_owned(),
                        _ => relative.to_owned(),
                    };
                    let is_wanted = || {
                        let is_hidden = relative.iter().any(is_hidden);
                        !is_hidden && is_known(&place) && self.is_chosen(&place, &relative)
                    };
                    // A link to nothing may have any name.
                    if !place.is_dir() && !is_wanted() {
                        continue;
                    }
                    let cause = match error.io_error() {
                        Some(error) => unreadable(&place, error),
                        None => format!("cannot be read: {error}"),
                    };
                    self.push_unreadable(place, relative, cause, found);
                }
            }
        }
    }

    /// Adds a file that a search of `folder` has found, if it has the extension of a video or an image and is no output.
    fn sort(&self, path: PathBuf, relative: PathBuf, folder: &Path, found: &mut Found) {
        let is_wanted = is_known(&path) && self.is_chosen(&path, &relative);
        if !is_wanted || self.is_own(&path) || self.outputs.have(&path, folder) {
            return;
        }
        match undecodable::cause(&path) {
            Some(cause) => found.skipped.push((path, cause)),
            None => self.push(path, relative, &mut found.items),
        }
    }

    /// Whether a file that a search has found is an output of an earlier run into the same folder.
    fn is_own(&self, path: &Path) -> bool {
        let folder = path.parent().and_then(|parent| parent.canonicalize().ok());
        let place = folder.zip(path.file_name()).map(|(folder, name)| folder.join(name));
        self.out.as_ref().zip(place).is_some_and(|(out, place)| self.outputs.has(&place, out))
    }

    /// Whether a file that a search has found passes --include, --exclude and --newer.
    fn is_chosen(&self, path: &Path, relative: &Path) -> bool {
        if self.newer.is_some_and(|time| !newer::is_newer(path, time)) {
            return false;
        }
        let matches = |pattern: &glob::Pattern| {
            pattern.matches_path(relative)
                || relative.file_name().is_some_and(|name| pattern.matches_path(Path::new(name)))
        };
        let is_included =
            self.options.include.is_empty() || self.options.include.iter().any(matches);
        is_included && !self.options.exclude.iter().any(matches)
    }

    fn max_depth(&self) -> usize {
        self.options.max_depth.map_or(usize::MAX, |depth| depth as usize)
    }

    /// The folder of the outputs, which a search of `folder` skips unless `folder` lies in it.
    fn out_of_search(&self, folder: &Path) -> Option<&Path> {
        self.out.as_deref().filter(|out| !is_in(folder, Some(out)))
    }

    fn push(&self, input: PathBuf, mut relative: PathBuf, items: &mut Vec<Item>) {
        let below_base = self.options.base.as_ref().and_then(|base| {
            let (base, input) = (base.canonicalize().ok()?, std::path::absolute(&input).ok()?);
            let input = input.parent()?.canonicalize().ok()?.join(input.file_name()?);
            Some(input.strip_prefix(&base).ok()?.to_owned())
        });
        let mut problem = None;
        match (&self.options.base, below_base) {
            (_, Some(below)) => relative = below,
            (Some(base), None) => problem = Some(format!("is not below {}", base.display())),
            (None, None) => {}
        }
        let mut item = self.item(input, relative);
        item.problem = problem.or(item.problem);
        items.push(item);
    }

    /// Adds a file or folder that a search cannot read, as one failure.
    fn push_unreadable(&self, path: PathBuf, relative: PathBuf, cause: String, found: &mut Found) {
        let mut item = self.item(path, relative);
        item.problem = Some(cause);
        found.items.push(item);
    }

    fn item(&self, input: PathBuf, relative: PathBuf) -> Item {
        Item::new(self.options, self.destination, input, relative)
    }

    /// Removes duplicates. Of two files with the same output, the second gets a problem that names the
    /// first.
    fn without_conflicts(&self, items: Vec<Item>) -> Vec<Item> {
        let mut first = HashMap::<PathBuf, PathBuf>::new();
        let mut kept = Vec::with_capacity(items.len());
        for mut item in items {
            if is_same(&self.destination.folder.join(&item.output), &item.input) {
                item.problem.get_or_insert("is its own output; use another --out".to_owned());
            }
            match first.entry(item.output.clone()) {
                Entry::Vacant(free) => {
                    free.insert(item.input.clone());
                }
                Entry::Occupied(taken) if is_same(taken.get(), &item.input) => continue,
                Entry::Occupied(taken) => {
                    let other = taken.get();
                    let advice = match other.parent() == item.input.parent() {
                        true => "--name '{dir}/{stem}.{from}.{ext}'",
                        false => "a --base above both",
                    };
                    let cause = format!(
                        "has the same output as {}; translate it into another --out, or use {advice}",
                        other.display()
                    );
                    item.problem.get_or_insert(cause);
                }
            }
            kept.push(item);
        }
        kept
    }
}

fn is_in(path: &Path, folder: Option<&Path>) -> bool {
    folder.is_some_and(|folder| path.canonicalize().is_ok_and(|path| path.starts_with(folder)))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a search reports files of this name.
fn is_known(path: &Path) -> bool {
    is_video_name(path)
        || PictureFormat::of_name(path).is_some()
        || undecodable::cause(path).is_some()
}

#[cfg(test)]
mod tests {
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

    fn find(folder: &Path, inputs: &[&str]) -> Vec<Item> {
        find_all(folder, inputs).items
    }

    fn find_all(folder: &Path, inputs: &[&str]) -> Found {
        let inputs = inputs.iter().map(|input| folder.join(input));
        let arguments = ["cyclegan-batch".into(), "--out".into(), folder.join("out")];
        let options = Options::parse_from(arguments.into_iter().chain(inputs));
        let destination = Destination::new(&options).unwrap();
        Finder::new(&options, &destination).unwrap().find().unwrap()
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
            let arguments = ["cyclegan-batch".into(), "--out".into(), folder.path().to_owned()];
            let options =
                Options::parse_from(arguments.into_iter().chain([folder.path().join(inputs)]));
            let destination = Destination::new(&options).unwrap();
            let items = Finder::new(&options, &destination).unwrap().find().unwrap().items;
            assert_eq!(outputs(&items), ["a.mp4", "sub/b.mp4"], "{inputs}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_not_skipped_in_silence() {
        let folder = folder(&["a.mp4", "x/b.avif", "x/.c.avif", "out/d.avif", "e.txt", "f.h264"]);
        for inputs in [".", "**/*"] {
            let Found { items, skipped } = find_all(folder.path(), &[inputs]);
            assert_eq!(outputs(&items), ["a.mp4", "f.mkv"]);
            let [(path, cause)] = &skipped[..] else { panic!("{skipped:?}") };
            assert!(path.ends_with("x/b.avif") && cause.contains(".avif"), "{cause}");
        }
        // What is named itself is tried.
        assert_eq!(outputs(&find(folder.path(), &["x/b.avif"])), ["b.mkv"]);
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
        let find = |patterns: [&str; 2]| {
            let inputs = patterns.map(|pattern| folder.path().join(pattern).into_os_string());
            let options =
                ["cyclegan-batch", "--out", "x", "--exclude", "b.mp4"].map(OsString::from);
            let options = Options::parse_from(options.into_iter().chain(inputs));
            let destination = Destination::new(&options).unwrap();
            Finder::new(&options, &destination).unwrap().find()
        };
        assert_eq!(outputs(&find(["one/*.mp4", "two/*.mp4"]).unwrap().items), ["a.mp4"]);
        let error = find(["one/*.mp4", "two/*.mov"]).err().unwrap();
        assert!(
            format!("{error:#}").contains("two/*.mov': matches no video or image"),
            "{error:#}"
        );
        let error = find(["two/*.mp4", "two/b*"]).err().unwrap();
        assert!(error.to_string().contains("matches the options"), "{error:#}");
    }

    #[test]
    fn the_preset_may_need_another_container() {
        let folder = folder(&["a.mp4", "b.webm", "c.ts"]);
        let named = |preset: &str| {
            let options = ["cyclegan-batch", "--preset", preset, "--out", "x"].map(OsString::from);
            let input = folder.path().as_os_str().to_owned();
            let options = Options::parse_from(options.into_iter().chain([input]));
            let destination = Destination::new(&options).unwrap();
            let items = Finder::new(&options, &destination).unwrap().find().unwrap().items;
            outputs(&items).join(" ")
        };
        assert_eq!(named("web"), "a.mp4 b.webm c.ts");
        assert_eq!(named("hevc"), "a.mp4 b.mkv c.ts");
        assert_eq!(named("av1"), "a.mp4 b.webm c.mkv");
        assert_eq!(named("prores"), "a.mov b.mov c.mov");
    }

    #[test]
    fn samples_lie_beside_their_file() {
        let folder = folder(&["a.mp4"]);
        let options = ["cyclegan-batch", "--sample", "2", "--out"].map(OsString::from).into_iter();
        let paths = [folder.path().into(), folder.path().join("a.mp4").into_os_string()];
        let options = Options::parse_from(options.chain(paths));
        let destination = Destination::new(&options).unwrap();
        let items = Finder::new(&options, &destination).unwrap().find().unwrap().items;
        assert_eq!(outputs(&items), ["a.sample-1.mp4", "a.sample-2.mp4"]);
        assert!(items.iter().all(|item| item.problem.is_none()), "{items:?}");
    }

    #[test]
    fn names_do_not_say_another_format() {
        let folder = folder(&["a.png", "b.mp4", "c.bmp"]);
        let problems = |template: &str| {
            let options = [".", "--name", template].map(OsString::from);
            let arguments = ["cyclegan-batch", "--out", "x"].map(OsString::from);
            let options = Options::parse_from(arguments.into_iter().chain(options));
            let destination = Destination::new(&options).unwrap();
            let named = ["a.png", "b.mp4", "c.bmp"].map(|name| {
                Item::new(&options, &destination, folder.path().join(name), name.into()).problem
            });
            named.map(|problem| problem.is_some())
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
        assert!(items[0].problem.as_ref().unwrap().contains("its own output"));
    }
}
