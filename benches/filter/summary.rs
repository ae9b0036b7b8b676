// SPDX-License-Identifier: MIT OR Apache-2.0

//! Medians of times.

/// The median of `values`, 0 if there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
