// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel Inception Distance (Bińkowski et al. 2018, arXiv 1801.01401).

use rand::seq::index::sample;
use tch::{Kind, Tensor};

use crate::data::order::{Purpose, random};

/// Subsets that the distance is averaged over.
const SUBSETS: u64 = 100;
/// Samples of a subset, where there are as many.
const SUBSET: usize = 100;

/// A mean over subsets and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Kid {
    /// The squared distance between the two sets; near 0 or a little below when they are alike.
    pub mean: f64,
    /// Standard deviation over the subsets.
    pub std: f64,
}

/// The distance between two sets of features, each K×D.
pub fn kid(x: &Tensor, y: &Tensor) -> Kid {
    let (of_x, of_y) = (x.size()[0] as usize, y.size()[0] as usize);
    let size = SUBSET.min(of_x).min(of_y);
    let subset = |set: &Tensor, count: usize, position: u64| {
        let mut rng = random(0, Purpose::Subset, position);
        let picked: Vec<i64> =
            sample(&mut rng, count, size).into_iter().map(|i| i as i64).collect();
        set.index_select(0, &Tensor::from_slice(&picked)).to_kind(Kind::Double)
    };
    let values: Vec<f64> =
        (0..SUBSETS).map(|i| mmd2(&subset(x, of_x, 2 * i), &subset(y, of_y, 2 * i + 1))).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    Kid { mean, std: variance.sqrt() }
}

/// The unbiased estimate of the squared maximum mean discrepancy (equation 4 there) under the
/// cubic kernel (x·y/D + 1)³, of two sets of equal size.
fn mmd2(x: &Tensor, y: &Tensor) -> f64 {
    let (n, d) = (x.size()[0] as f64, x.size()[1] as f64);
    let kernel = |a: &Tensor, b: &Tensor| (a.matmul(&b.tr()) / d + 1.0).pow_tensor_scalar(3);
    let sum = |k: &Tensor| k.sum(Kind::Double).double_value(&[]);
    let off_diagonal = |k: Tensor| (sum(&k) - sum(&k.diagonal(0, 0, 1))) / (n * (n - 1.0));
    off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2.0 * sum(&kernel(x, y)) / (n * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(count: i64, mean: f64) -> Tensor {
        Tensor::randn([count, 16], tch::kind::FLOAT_CPU) + mean
    }

    #[test]
    fn sets_of_one_distribution_are_near_and_of_two_far() {
        tch::manual_seed(1);
        let base = normal(300, 0.0);
        let same = kid(&base, &normal(300, 0.0));
        assert!(same.mean.abs() < 2.0 * same.std, "{same:?}");
        let near = kid(&base, &normal(300, 0.3));
        let far = kid(&base, &normal(300, 1.0));
        assert!(
            near.mean > 3.0 * same.mean.abs() && far.mean > 3.0 * near.mean,
            "{near:?} {far:?}"
        );
    }

    /// Two points each in one dimension, worked out by hand.
    #[test]
    fn the_estimate_is_the_definition() {
        let x = Tensor::from_slice(&[0.0f64, 1.0]).view([2, 1]);
        let y = Tensor::from_slice(&[1.0f64, 2.0]).view([2, 1]);
        // k(0,1) = 1; k(1,2) = 27; cross: k(0,1), k(0,2), k(1,1), k(1,2) = 1, 1, 8, 27.
        let expected = 1.0 + 27.0 - 2.0 * 37.0 / 4.0;
        assert!((mmd2(&x, &y) - expected).abs() < 1e-12);
    }
}
