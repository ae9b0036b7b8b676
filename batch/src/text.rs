// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paths and counts in messages.

use std::path::Path;

/// A path as one line of text, with control characters escaped.
pub fn shown(path: &Path) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    path.to_string_lossy().chars().map(escape).collect()
}

/// A count with its noun.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Counts with their nouns, to continue a list: `, 2 not finished`. Leaves out zeros.
pub fn and_counts(counts: &[(u64, &str)]) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!(", {count} {what}")).collect()
}
