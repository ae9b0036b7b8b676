// SPDX-License-Identifier: MIT OR Apache-2.0

//! One-step pruning (CAT, arXiv 2103.03467; docs/compress.md, 2 and 3): removes the channels with the smallest
//! scales at once, with one threshold for the whole network.

pub mod fast;
pub mod inception;

use std::fmt::Debug;

use anyhow::Result;

use super::budget::Limit;
use crate::net::generator::Pruned;

/// The scales of the channels that can be pruned, by layer.
pub trait Scales {
    /// All scales.
    fn all(&self) -> Vec<f64>;
    /// The channels with a scale above `threshold`; fewer for a higher one.
    fn keep(&self, threshold: f64) -> Box<dyn Kept>;
}

/// The channels that a network keeps in each layer.
pub trait Kept: Debug {
    /// Their number.
    fn pruned(&self) -> Pruned;
    /// Which channels a parameter (`block3.dw5.norm2.weight`) keeps in each of its dimensions, from the
    /// first; all in those that are left out.
    fn of(&self, parameter: &str) -> [Channels<'_>; 2];
}

/// Which channels are kept; none means all.
pub type Channels<'a> = Option<&'a [i64]>;

/// The channels that are left at the smallest threshold for which `cost` is within `limit`.
///
/// # Errors
/// If even the smallest student costs more; the message states its cost.
pub fn prune(
    scales: &dyn Scales,
    limit: &Limit,
    mut cost: impl FnMut(Pruned) -> Result<f64>,
) -> Result<Box<dyn Kept>> {
    let mut cost = |threshold: f64| cost(scales.keep(threshold).pruned());
    // Thresholds: one below all scales, then each scale.
    let mut thresholds = scales.all();
    thresholds.push(-1.0);
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let (mut low, mut high) = (0, thresholds.len() - 1);
    limit.allow_least(cost(thresholds[high])?)?;
    if cost(thresholds[low])? <= limit.most {
        high = low;
    }
    // All thresholds below `low` cost too much, `high` does not.
    while low < high {
        let middle = (low + high) / 2;
        if cost(thresholds[middle])? <= limit.most {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(scales.keep(thresholds[high]))
}

/// The indices of the `count(n)` largest values, where n is the number of values above `threshold`.
fn largest(scales: &[f64], threshold: f64, count: impl Fn(usize) -> usize) -> Vec<i64> {
    let mut order: Vec<usize> = (0..scales.len()).collect();
    order.sort_by(|&a, &b| scales[b].total_cmp(&scales[a]));
    order.truncate(count(scales.iter().filter(|s| **s > threshold).count()));
    order.sort_unstable();
    order.into_iter().map(|i| i as i64).collect()
}
