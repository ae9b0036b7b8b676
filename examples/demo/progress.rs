// SPDX-License-Identifier: MIT OR Apache-2.0

//! The progress bar: frames done, frames a second, time left.

use std::{
    fmt,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a line is printed where a bar cannot be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A bar on a terminal, a line now and then elsewhere.
pub struct Progress {
    bar: ProgressBar,
    last_line: Instant,
}

impl Progress {
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner} {pos} frames, {rate} frames/s"));
        Self { bar, last_line: Instant::now() }
    }

    /// Shows that `done` frames of `total`, where that is known, are through.
    pub fn show(&mut self, done: u64, total: Option<u64>) {
        if let Some(total) = total.filter(|_| self.bar.length().is_none()) {
            self.bar.set_length(total);
            self.bar.set_style(style("{wide_bar} {pos}/{len} frames, {rate} frames/s, {eta} left"));
            // The time that loading took is no part of the speed.
            self.bar.reset_elapsed();
        }
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            let total = total.map(|total| format!(" of {total}")).unwrap_or_default();
            eprintln!("{done}{total} frames, {:.1} a second", self.bar.per_sec());
        }
    }

    /// Prints a line without tearing the bar.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // Every template is a constant of this file.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is no reason to stop.
            let _ = write!(out, "{:.1}", state.per_sec());
        })
}
