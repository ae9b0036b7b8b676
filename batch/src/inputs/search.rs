// SPDX-License-Identifier: MIT OR Apache-2.0

//! Searches folders, patterns and lists for videos and images.

use std::{
    ffi::OsStr,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

use super::{Finder, list, newer, undecodable};
use crate::{container::is_video_name, files::unreadable, picture::PictureFormat};

impl Finder<'_> {
    pub(super) fn add_list(&mut self) -> Result<()> {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text).context("cannot read the list")?;
        let out = self.out_of_search(Path::new("."));
        for path in list::paths(&text) {
            let relative = list::place(&path);
            if !is_in(&path, out.as_deref())
                && self.is_chosen(&path, &relative)
                && !self.is_own(&path)
            {
                self.add(&path, &relative);
            }
        }
        Ok(())
    }

    pub(super) fn add_matches(&mut self, pattern: &str) -> Result<()> {
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
                    self.push_unreadable(place, relative, cause);
                    has_matches = true;
                    continue;
                }
            };
            has_matches |= is_known(&path);
            // `**` also matches the files in a matching folder.
            let relative = path.strip_prefix(&fixed).unwrap_or(&path).to_owned();
            let is_hidden = relative.iter().any(is_hidden);
            let is_near = relative.components().count() <= self.max_depth();
            if !is_hidden && is_near && !path.is_dir() && !is_in(&path, out.as_deref()) {
                self.sort(path, relative, &fixed);
            }
        }
        ensure!(has_matches, "matches no video or image");
        Ok(())
    }

    /// Adds the file `path` at `relative`, or all files of the folder `path`.
    pub(super) fn add(&mut self, path: &Path, relative: &Path) {
        if !path.is_dir() {
            return self.push(path.to_owned(), relative.to_owned());
        }
        let out = self.out_of_search(path);
        let is_wanted = |entry: &walkdir::DirEntry| {
            let is_out = || entry.file_type().is_dir() && is_in(entry.path(), out.as_deref());
            entry.depth() == 0 || !(is_hidden(entry.file_name()) || is_out())
        };
        let walk = WalkDir::new(path).follow_links(true).max_depth(self.max_depth());
        for entry in walk.sort_by_file_name().into_iter().filter_entry(is_wanted) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    let relative = entry.path().strip_prefix(path).unwrap_or(relative).to_owned();
                    self.sort(entry.into_path(), relative, path);
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
                    self.push_unreadable(place, relative, cause);
                }
            }
        }
    }

    /// Adds a file that a search of `folder` has found, if it has the extension of a video or an image and is not an output.
    fn sort(&mut self, path: PathBuf, relative: PathBuf, folder: &Path) {
        let is_wanted = is_known(&path) && self.is_chosen(&path, &relative);
        if !is_wanted || self.is_own(&path) || self.outputs.have(&path, folder) {
            return;
        }
        match undecodable::cause(&path) {
            Some(cause) => self.found.skipped.push((path, cause)),
            None => self.push(path, relative),
        }
    }

    /// Whether a file that a search has found is an output of an earlier run into the same folder.
    fn is_own(&mut self, path: &Path) -> bool {
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
            // The file, or a folder that it is in. `matches_path` refuses names that are not UTF-8.
            let is_match = |name: &OsStr| pattern.matches(&name.to_string_lossy());
            let places = relative.ancestors().filter_map(|place| Some((place, place.file_name()?)));
            places.into_iter().any(|(place, name)| is_match(place.as_os_str()) || is_match(name))
        };
        let is_included =
            self.options.include.is_empty() || self.options.include.iter().any(matches);
        is_included && !self.options.exclude.iter().any(matches)
    }

    fn max_depth(&self) -> usize {
        self.options.max_depth.map_or(usize::MAX, |depth| depth as usize)
    }

    /// The folder of the outputs, which a search of `folder` skips unless `folder` lies in it.
    fn out_of_search(&self, folder: &Path) -> Option<PathBuf> {
        self.out.clone().filter(|out| !is_in(folder, Some(out)))
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
