// SPDX-License-Identifier: MIT OR Apache-2.0

//! The README.md beside exported files.

use std::{fs, path::Path};

use anyhow::Result;
use cyclegan_contract::Direction;
use cyclegan_output::write_atomically;

use super::{Pair, Written};
use crate::net::{cost::macs, generator::Generator};

/// Marks a card that `export` wrote and may replace.
const MARK: &str = "<!-- The next `cyclegan-train export` replaces this file; remove this line to keep your changes. -->";

/// Writes the README.md of a folder, unless there is one that `export` did not write.
pub(super) fn write(out: &Path, [a, b]: &[String; 2], sections: &[String]) -> Result<()> {
    let path = out.join("README.md");
    let is_own = || fs::read_to_string(&path).is_ok_and(|card| card.contains(MARK));
    if path.exists() && !is_own() {
        say_error!(
            "{}: kept, since `export` did not write it; delete it to get a new one",
            path.display()
        );
        return Ok(());
    }
    let card = format!("# {a} ⇄ {b}\n\n{}\n{MARK}\n", sections.join("\n"));
    write_atomically(&path, card.as_bytes())
}

impl Pair {
    /// What the README.md says about the files of this pair.
    pub(super) fn section(&self, files: &[Written]) -> String {
        let (a, b) = (&self.config.train.domain_a, &self.config.train.domain_b);
        let side = self.side();
        let size = |network: &Generator| {
            let giga = macs(&network.layers, side, side) as f64 / 1e9;
            format!("{:.2} M parameters, {giga:.2} GMAC", network.layout.weights() as f64 / 1e6)
        };
        let [g, f] = self.model.networks.each_ref().map(size);
        let sizes = match self.directions[..] {
            [Direction::AToB] => g,
            [Direction::BToA] => f,
            _ if g == f => g,
            _ => format!("G: {g}; F: {f};"),
        };
        let translates = self.directions.iter().map(|direction| match direction {
            Direction::AToB => format!("G translates {a} to {b}"),
            Direction::BToA => format!("F translates {b} to {a}"),
        });
        let translates = translates.collect::<Vec<_>>().join(", ");
        let data = self.config.data.file_name().unwrap_or_default().to_string_lossy();
        let mut section = format!(
            "{translates}. Made by `cyclegan-train export` from \
             iteration {step} of a run on `{data}`.\n\n\
             {sizes} at {side}×{side}.\n\n\
             | file | |\n| --- | --- |\n",
            step = self.model.step,
        );
        for Written { name, check } in files {
            section += &format!("| `{name}` | {check} |\n");
        }
        section
    }
}
