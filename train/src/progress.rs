// SPDX-License-Identifier: MIT OR Apache-2.0

//! How far long work has come, on the terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many parts, drawn as `template` says in indicatif's words.
pub fn bar(length: usize, template: &str) -> ProgressBar {
    styled(ProgressBar::new(length as u64), template)
}

/// The same bar, drawn so.
pub fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
