// SPDX-License-Identifier: MIT OR Apache-2.0

//! The input and the output that a record or a lock is about.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::item::Item;

/// An input and its output. Names that are not UTF-8 are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paths {
    pub input: Option<PathBuf>,
    /// Its path below the output folder.
    pub output: Option<PathBuf>,
}

impl Paths {
    pub fn of(item: &Item) -> Self {
        let input = item.input.canonicalize().unwrap_or_else(|_| item.input.clone());
        let in_json = |path: &PathBuf| path.to_str().map(PathBuf::from);
        Self { input: in_json(&input), output: in_json(&item.output) }
    }

    /// Whether a record with these may belong to `item`.
    pub fn may_be_of(&self, item: &Item) -> bool {
        self.input.is_none() || self.input == Self::of(item).input
    }
}
