// SPDX-License-Identifier: MIT OR Apache-2.0

//! Progress bars.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of this length, with a template of indicatif.
pub fn bar(length: usize, template: &str) -> ProgressBar {
    styled(ProgressBar::new(length as u64), template)
}

/// The bar with a template.
pub fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
