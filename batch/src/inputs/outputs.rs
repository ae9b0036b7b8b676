// SPDX-License-Identifier: MIT OR Apache-2.0

//! Outputs of earlier runs, which a search leaves out.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use crate::{
    entry::{OWN_FOLDER, is_output},
    text::counted,
};

/// The output folders that searches pass.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Whether a folder has records.
    known: HashMap<PathBuf, bool>,
    /// How many outputs were found in each.
    found: BTreeMap<PathBuf, u64>,
}

impl Outputs {
    /// Whether `path`, which a search of `folder` has found, is an output that a folder below `folder` has a record of.
    pub fn have(&mut self, path: &Path, folder: &Path) -> bool {
        let below = path.ancestors().skip(1).take_while(|above| *above != folder);
        let of = below.filter(|out| *out != Path::new("")).find(|out| self.has(path, out));
        if let Some(out) = of {
            *self.found.entry(out.to_owned()).or_default() += 1;
        }
        of.is_some()
    }

    /// Whether `path` is an output that the folder `out` has a record of.
    pub fn has(&mut self, path: &Path, out: &Path) -> bool {
        let has_records =
            *self.known.entry(out.to_owned()).or_insert_with(|| out.join(OWN_FOLDER).is_dir());
        has_records && path.strip_prefix(out).is_ok_and(|below| is_output(out, below))
    }

    /// Each folder of outputs, with what to do to translate them.
    pub fn notices(&self) -> Vec<(PathBuf, String)> {
        let notice = |(out, count): (&PathBuf, &u64)| {
            let outputs = counted(*count, "output");
            let advice = "to translate them, give this folder as an input";
            (out.clone(), format!("holds {outputs} of an earlier run, left out; {advice}"))
        };
        self.found.iter().map(notice).collect()
    }
}
