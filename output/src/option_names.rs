// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of options in the files that programs read.

use anyhow::{Result, bail};

/// Least similarity of a suggested name, 0 to 1.
const ALIKE: f64 = 0.7;

/// Fails for a `key` that is none of the `names` of options, and suggests the nearest.
pub fn check_option_name(key: &str, names: &[&str]) -> Result<()> {
    if names.contains(&key) {
        return Ok(());
    }
    let scored = names.iter().map(|name| (strsim::jaro(key, name), name));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((alike, nearest)) if alike > ALIKE => {
            bail!("no option `{key}`; the nearest is `{nearest}`")
        }
        _ => bail!("no option `{key}`"),
    }
}
