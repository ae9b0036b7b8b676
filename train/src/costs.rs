// SPDX-License-Identifier: MIT OR Apache-2.0

//! `compress.json`: the cost of the generators before and after compression.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use cyclegan_output::write_atomically;

/// The cost of a generator; unknown values are `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Number of weights.
    pub parameters: Option<u64>,
    /// Multiply-accumulates, with transposed convolutions counted at their input's size, as computed.
    pub macs: Option<u64>,
    /// The same counted at their output's size, as in the literature.
    pub macs_at_output_size: Option<u64>,
    /// Median time per image, milliseconds.
    pub ms: f64,
}

/// A generator before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compressed {
    /// `G` or `F`.
    pub generator: char,
    /// The teacher, if there is one.
    pub teacher: Option<Cost>,
    /// The student.
    pub student: Cost,
}

/// Both generators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Side of the image, pixels.
    pub size: u32,
    /// The provider on which ONNX Runtime measured the times, with all cores.
    pub provider: String,
    /// G, then F.
    pub generators: Vec<Compressed>,
}

impl Costs {
    /// Reads the file of a run, if it has one.
    pub fn read_if_there(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> Result<Self> { Ok(serde_json::from_str(&fs::read_to_string(path)?)?) };
        read().map(Some).with_context(|| path.display().to_string())
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// The heads of a table's columns.
    pub fn columns(&self) -> [String; 5] {
        let size = self.size;
        [
            format!("at {size}×{size}"),
            "parameters".to_owned(),
            "GMAC".to_owned(),
            "GMAC at output size".to_owned(),
            format!("ms, {}", self.provider),
        ]
    }

    /// The rows of a table.
    pub fn rows(&self) -> Vec<[String; 5]> {
        let of = |generator: &Compressed| {
            let teacher = generator.teacher.as_ref().map(|cost| ("teacher", cost));
            let both = teacher.into_iter().chain([("student", &generator.student)]);
            both.map(|(what, cost)| row(&format!("{} {what}", generator.generator), cost))
                .collect::<Vec<_>>()
        };
        self.generators.iter().flat_map(of).collect()
    }

    /// A table in Markdown.
    pub fn table(&self) -> String {
        let line = |cells: &[String; 5]| format!("| {} |\n", cells.join(" | "));
        let rows: String = self.rows().iter().map(line).collect();
        format!("{}| --- | --- | --- | --- | --- |\n{rows}", line(&self.columns()))
    }
}

fn row(what: &str, cost: &Cost) -> [String; 5] {
    let show = |value: Option<u64>, unit: f64, suffix: &str| {
        value.map_or_else(|| "–".to_owned(), |v| format!("{:.3}{suffix}", v as f64 / unit))
    };
    [
        what.to_owned(),
        show(cost.parameters, 1e6, " M"),
        show(cost.macs, 1e9, ""),
        show(cost.macs_at_output_size, 1e9, ""),
        format!("{:.1}", cost.ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_known_values() {
        let student = Cost {
            parameters: Some(342_000),
            macs: Some(2_500_000_000),
            macs_at_output_size: Some(2_670_000_000),
            ms: 33.25,
        };
        let teacher = Cost { parameters: None, macs: None, macs_at_output_size: None, ms: 71.0 };
        let g = Compressed { generator: 'G', teacher: Some(teacher), student };
        let costs = Costs { size: 256, provider: "cpu".to_owned(), generators: vec![g] };
        let table = costs.table();
        assert!(table.contains("| G teacher | – | – | – | 71.0 |"), "{table}");
        assert!(table.contains("| G student | 0.342 M | 2.500 | 2.670 | 33.2 |"), "{table}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compress.json");
        assert_eq!(Costs::read_if_there(&path).unwrap(), None);
        costs.write(&path).unwrap();
        assert_eq!(Costs::read_if_there(&path).unwrap(), Some(costs));
    }
}
