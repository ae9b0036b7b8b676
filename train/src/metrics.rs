// SPDX-License-Identifier: MIT OR Apache-2.0

//! `metrics.jsonl`: a line of losses every so many iterations.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub struct Metrics(File);

impl Metrics {
    /// Opens the file for a run that goes on after `step` iterations: lines from after that, which
    /// a run that was killed may have left, are taken away.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let open = || -> Result<File> {
            if path.exists() {
                let text = fs::read_to_string(path)?;
                let kept: String = text
                    .lines()
                    .filter(|line| step_of(line).is_some_and(|s| s <= step))
                    .flat_map(|line| [line, "\n"])
                    .collect();
                cyclegan_output::write_beside(path, kept.as_bytes())?;
            }
            Ok(OpenOptions::new().create(true).append(true).open(path)?)
        };
        open().map(Self).with_context(|| path.display().to_string())
    }

    /// Writes one line.
    pub fn write(&mut self, line: &Map<String, Value>) -> Result<()> {
        let text = format!("{}\n", serde_json::to_string(line)?);
        self.0.write_all(text.as_bytes()).context("cannot write metrics.jsonl")
    }
}

/// All lines of a run.
pub fn read(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn step_of(line: &str) -> Option<u64> {
    let line: Map<String, Value> = serde_json::from_str(line).ok()?;
    line.get("step")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_work_that_was_lost_are_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = |step: u64| {
            let step = ("step".to_owned(), Value::from(step));
            Map::from_iter([step])
        };
        let mut metrics = Metrics::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            metrics.write(&line(step)).unwrap();
        }
        std::fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":4").unwrap();
        Metrics::open(&path, 20).unwrap().write(&line(25)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"step\":10}\n{\"step\":20}\n{\"step\":25}\n");
    }
}
