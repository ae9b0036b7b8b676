// SPDX-License-Identifier: MIT OR Apache-2.0

//! The README.md beside exported files.

use std::{fs, path::Path};

use anyhow::Result;
use cyclegan_output::write_beside;

use super::{Pair, Written};
use crate::net::{cost::macs, generator::Generator};

/// Marks a card that `export` wrote and may replace.
const MARK: &str =
    "<!-- The next `cyclegan-train export` replaces this file; take this line away to keep it. -->";

impl Pair {
    /// Writes the README.md of the files, unless there is one that `export` did not write.
    pub(super) fn write_card(&self, out: &Path, files: &[Written]) -> Result<()> {
        let path = out.join("README.md");
        let is_own = || fs::read_to_string(&path).is_ok_and(|card| card.contains(MARK));
        if path.exists() && !is_own() {
            say_error!(
                "{}: kept, since `export` did not write it; delete it to get a new one",
                path.display()
            );
            return Ok(());
        }
        let (a, b) = (&self.config.train.domain_a, &self.config.train.domain_b);
        let side = self.side();
        let size = |network: &Generator| {
            let giga = macs(&network.layers, side, side) as f64 / 1e9;
            format!("{:.2} M parameters, {giga:.2} GMAC", network.layout.weights() as f64 / 1e6)
        };
        let [g, f] = self.model.networks.each_ref().map(size);
        let trained = self.config.trained();
        let sizes = match trained {
            [true, false] => g,
            [false, _] => f,
            _ if g == f => g,
            _ => format!("G: {g}; F: {f};"),
        };
        let translates = [format!("G translates {a} to {b}"), format!("F translates {b} to {a}")];
        let translates: Vec<String> =
            translates.into_iter().zip(trained).filter(|x| x.1).map(|x| x.0).collect();
        let translates = translates.join(", ");
        let data = self.config.data.file_name().unwrap_or_default().to_string_lossy();
        let mut card = format!(
            "# {a} ⇄ {b}\n\n\
             {translates}. Made by `cyclegan-train export` from \
             iteration {step} of a run on `{data}`.\n\n\
             {sizes} at {side}×{side}.\n\n\
             | file | |\n| --- | --- |\n",
            step = self.model.step,
        );
        for Written { name, check } in files {
            card += &format!("| `{name}` | {check} |\n");
        }
        write_beside(&path, format!("{card}\n{MARK}\n").as_bytes())
    }
}
