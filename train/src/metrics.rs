// SPDX-License-Identifier: MIT OR Apache-2.0

//! `metrics.jsonl`: a line of losses every `--print-freq` images and at the end of the run.

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
    /// Opens the file for a run that continues after `images` images; removes later lines, which a killed
    /// run may have left.
    pub fn open(path: &Path, images: u64) -> Result<Self> {
        let open = || -> Result<File> {
            if path.exists() {
                let text = fs::read_to_string(path)?;
                let kept: String = text
                    .lines()
                    .filter(|line| of_text(line).is_some_and(|at| at <= images))
                    .flat_map(|line| [line, "\n"])
                    .collect();
                cyclegan_output::write_atomically(path, kept.as_bytes())?;
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

/// The image count of a line.
pub fn images_of(line: &Map<String, Value>) -> Option<u64> {
    line.get("images")?.as_u64()
}

/// Whether a line has training losses and not validation scores.
pub fn is_of_training(line: &Map<String, Value>) -> bool {
    line.contains_key("epoch")
}

fn of_text(line: &str) -> Option<u64> {
    images_of(&serde_json::from_str(line).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_checkpoint_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = |images: u64| {
            let images = ("images".to_owned(), Value::from(images));
            Map::from_iter([images])
        };
        let mut metrics = Metrics::open(&path, 0).unwrap();
        for images in [10, 20, 30] {
            metrics.write(&line(images)).unwrap();
        }
        std::fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"images\":4").unwrap();
        Metrics::open(&path, 20).unwrap().write(&line(25)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"images\":10}\n{\"images\":20}\n{\"images\":25}\n");
    }
}
