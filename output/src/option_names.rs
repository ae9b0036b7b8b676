// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks names of options in configuration files.

use anyhow::{Result, bail};

/// Minimum Jaro similarity of a suggested name, 0 to 1.
const MIN_SIMILARITY: f64 = 0.7;

/// Fails if `key` is not one of `names`; the error suggests the nearest name.
pub fn check_option_name(key: &str, names: &[&str]) -> Result<()> {
    if names.contains(&key) {
        return Ok(());
    }
    let scored = names.iter().map(|name| (strsim::jaro(key, name), name));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((similarity, nearest)) if similarity > MIN_SIMILARITY => {
            bail!("no option `{key}`; the nearest is `{nearest}`")
        }
        _ => bail!("no option `{key}`"),
    }
}
