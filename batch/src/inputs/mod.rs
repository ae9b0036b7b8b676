// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds the input files of the command line and their outputs.

mod list;
mod newer;
mod outputs;
mod search;
#[cfg(test)]
mod tests;
mod undecodable;

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};

use outputs::Outputs;

use crate::{
    destination::Destination,
    files::{check_names, is_pattern, is_same},
    item::{Item, name},
    options::Options,
};

#[derive(Debug, Default)]
pub struct Found {
    /// The files to translate, in the order of the command line, including those with a problem.
    pub items: Vec<Item>,
    /// Videos and images that cannot be decoded, and folders of outputs, each with a notice.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Finds the input files; [`find`](Self::find) consumes it.
pub struct Finder<'a> {
    options: &'a Options,
    destination: &'a Destination,
    /// The folder of the outputs; `None` if it does not exist yet.
    out: Option<PathBuf>,
    /// Files that are older than this are left out.
    newer: Option<SystemTime>,
    outputs: Outputs,
    found: Found,
}

impl<'a> Finder<'a> {
    pub fn new(options: &'a Options, destination: &'a Destination) -> Result<Self> {
        options.name.as_deref().map_or(Ok(()), name::check)?;
        let newer = options.newer.as_deref().map(newer::time).transpose()?;
        let out = destination.folder.canonicalize().ok();
        let (outputs, found) = (Outputs::default(), Found::default());
        Ok(Self { options, destination, out, newer, outputs, found })
    }

    pub fn find(mut self) -> Result<Found> {
        let options = self.options;
        for input in &options.inputs {
            let path = Path::new(input);
            if input == "-" {
                self.add_list()?;
            } else if let Some(pattern) = input.to_str().filter(|_| is_pattern(input)) {
                self.add_matches(pattern).with_context(|| format!("'{pattern}'"))?;
            } else {
                self.add(path, Path::new(path.file_name().unwrap_or_default()));
            }
        }
        let Found { items, mut skipped } = std::mem::take(&mut self.found);
        skipped.extend(self.outputs.notices());
        if items.is_empty() {
            let skipped =
                skipped.iter().map(|(path, cause)| format!("; {} {cause}", path.display()));
            let skipped: String = skipped.take(3).collect();
            bail!("no video or image in the inputs matches the options{skipped}");
        }
        let samples = items.into_iter().flat_map(|item| item.sampled(options.sample));
        let mut items = self.without_conflicts(samples.collect());
        for item in &mut items {
            if let Err(error) = check_names(&item.output, 0) {
                item.problem.get_or_insert(format!("{error}; use --name or --out"));
            }
        }
        Ok(Found { items, skipped })
    }

    fn push(&mut self, input: PathBuf, mut relative: PathBuf) {
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
        self.found.items.push(item);
    }

    /// Adds a file or folder that a search cannot read, as one failure.
    fn push_unreadable(&mut self, path: PathBuf, relative: PathBuf, cause: String) {
        let mut item = self.item(path, relative);
        item.problem = Some(cause);
        self.found.items.push(item);
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
                item.problem.get_or_insert("would overwrite itself; use another --out".to_owned());
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
