// SPDX-License-Identifier: MIT OR Apache-2.0

//! `report/index.html`: the progress of a run, as a self-contained page that refreshes itself.

mod chart;
pub mod warnings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use cyclegan_output::{
    page::{self, escape},
    write_atomically,
};
use serde_json::{Map, Value};

use crate::{
    costs::Costs, cyclegan::Term, eval::validation, metrics, run_folder::RunFolder, terminal::count,
};
use chart::chart;
use warnings::warnings;

/// Refresh interval of the page, in seconds.
const REFRESH: u32 = 60;
/// Number of samples on the page.
const SHOWN: usize = 6;

/// Writes the page of a run from its metrics and samples.
///
/// `caption` describes the samples.
pub fn write(run: &RunFolder, caption: &str) -> Result<()> {
    let folder = run.report();
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let lines = metrics::read(&run.metrics())?;
    let body = [
        summary(&lines),
        warning_list(&lines),
        Costs::read_if_there(&run.costs())?.as_ref().map_or_else(String::new, table),
        charts(&lines),
        pictures(&run.samples(), caption)?,
    ]
    .concat();
    let page = page::page("cyclegan-train", Some(REFRESH), &body);
    write_atomically(&folder.join("index.html"), page.as_bytes())
}

fn summary(lines: &[Map<String, Value>]) -> String {
    let Some(last) = lines.iter().rfind(|line| metrics::is_of_training(line)) else {
        return "<p>No metrics yet.</p>".to_owned();
    };
    let number = |key: &str| last.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    format!(
        "<p>Iteration {}, {}, epoch {}, {:.2} s an iteration, learning rate {:.2e}.</p>",
        number("step"),
        count(metrics::images_of(last).unwrap_or_default(), "image"),
        number("epoch"),
        number("s_per_iter"),
        number("lr")
    )
}

fn table(costs: &Costs) -> String {
    let line = |cells: &[String; 5], tag: &str| {
        let cells = cells.iter().map(|c| format!("<{tag}>{}</{tag}>", escape(c)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let rows: String = costs.rows().iter().map(|row| line(row, "td")).collect();
    format!("<h2>Cost</h2><table>{}{rows}</table>", line(&costs.columns(), "th"))
}

fn warning_list(lines: &[Map<String, Value>]) -> String {
    let item = |text: &String| format!("<p class=\"warning\">{}</p>", escape(text));
    warnings(lines).iter().map(item).collect()
}

fn charts(lines: &[Map<String, Value>]) -> String {
    let scores = validation::CHARTS.iter().map(|(title, names)| (*title, names.to_vec()));
    let all = Term::charts().into_iter().chain(scores);
    let drawn = all.filter_map(|(title, names)| chart(title, &names, lines));
    format!("<h2>Losses</h2><div class=\"charts\">{}</div>", drawn.collect::<String>())
}

fn pictures(samples: &Path, caption: &str) -> Result<String> {
    let mut files: Vec<PathBuf> = match fs::read_dir(samples) {
        Ok(listing) => listing.filter_map(|e| Some(e.ok()?.path())).collect(),
        Err(_) => return Ok(String::new()),
    };
    files.retain(|path| path.extension().is_some_and(|e| e == "png"));
    files.sort();
    let mut html = format!("<h2>Samples</h2><p>{}</p>", escape(caption));
    for path in over_time(&files, SHOWN) {
        // An unreadable sample, perhaps from a full disk, must not end the training.
        let Ok(picture) = crate::data::decode::rgb(path) else {
            continue;
        };
        let images = path.file_stem().unwrap_or_default().to_string_lossy();
        let Ok(images) = images.parse::<u64>() else { continue };
        let images = count(images, "image");
        html += &format!("<h3>After {images}</h3>{}", page::image(&picture)?);
    }
    Ok(html)
}

/// Up to `count` of `all`, which is in order of time, spread evenly: the newest first, the oldest last.
fn over_time<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    let last = all.len().saturating_sub(1);
    (0..count).map(move |i| &all[last - last * i / (count - 1).max(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_sample_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        image::RgbImage::new(4, 4).save(folder.path().join("00000100.png")).unwrap();
        fs::write(folder.path().join("00000200.png"), b"truncated").unwrap();
        let html = pictures(folder.path(), "real").unwrap();
        assert!(html.contains("After 100 images") && !html.contains("After 200"), "{html}");
    }

    #[test]
    fn samples_are_spread_over_the_run() {
        let of = |count: usize| {
            over_time(&(0..count).collect::<Vec<_>>(), 3).copied().collect::<Vec<_>>()
        };
        assert!(of(0).is_empty());
        assert_eq!(of(1), [0]);
        assert_eq!(of(2), [1, 0]);
        assert_eq!(of(3), [2, 1, 0]);
        assert_eq!(of(101), [100, 50, 0]);
    }
}
