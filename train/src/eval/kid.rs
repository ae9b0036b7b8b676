// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel Inception Distance (Bińkowski et al. 2018, arXiv 1801.01401).

use tch::{Kind, Tensor};

/// The distance between two sets and its standard error.
#[derive(Clone, Debug)]
pub struct Kid {
    /// The squared distance; about 0 or slightly negative for similar sets.
    pub value: f64,
    /// Its standard error, of the delete-one jackknife over both sets (Efron and Stein 1981).
    pub error: f64,
    /// The distance without each element of one set, and of the other.
    without: [Vec<f64>; 2],
}

/// Sums of the kernel for each element of a set.
struct Sums {
    /// Over the other elements of its set.
    own: Vec<f64>,
    /// Over the elements of the other set.
    cross: Vec<f64>,
}

/// The unbiased estimate of the squared maximum mean discrepancy (equation 4 of the paper) under the cubic
/// kernel (x·y/D + 1)³, for sets of features M×D and N×D with at least three elements each.
pub fn kid(x: &Tensor, y: &Tensor) -> Kid {
    let [x, y] = [x, y].map(|set| set.to_kind(Kind::Double));
    let d = x.size()[1] as f64;
    let kernel = |a: &Tensor, b: &Tensor| (a.matmul(&b.tr()) / d + 1.0).pow_tensor_scalar(3);
    let rows = |k: &Tensor| doubles(&k.sum_dim_intlist([1i64].as_slice(), false, Kind::Double));
    let own = |set: &Tensor| {
        let k = kernel(set, set);
        rows(&(&k - k.diagonal(0, 0, 1).diag_embed(0, 0, 1)))
    };
    let cross = kernel(&x, &y);
    let of_x = Sums { own: own(&x), cross: rows(&cross) };
    let of_y = Sums { own: own(&y), cross: rows(&cross.tr()) };
    let without = [left_out(&of_x, &of_y), left_out(&of_y, &of_x)];
    let (m, n) = (of_x.own.len() as f64, of_y.own.len() as f64);
    let (xx, yy) = (total(&of_x.own), total(&of_y.own));
    let value = xx / (m * (m - 1.0)) + yy / (n * (n - 1.0)) - 2.0 * total(&of_x.cross) / (m * n);
    Kid { value, error: jackknife(&without), without }
}

impl Kid {
    /// The difference from `other` and its standard error. Both have the same target set and translations of
    /// the same images, so their sampling errors partly cancel.
    pub fn minus(&self, other: &Self) -> (f64, f64) {
        let differences = [0, 1].map(|set| {
            let pairs = self.without[set].iter().zip(&other.without[set]);
            pairs.map(|(own, other)| own - other).collect()
        });
        (self.value - other.value, jackknife(&differences))
    }
}

/// The distance without each element of `set` in turn.
fn left_out(set: &Sums, other: &Sums) -> Vec<f64> {
    let (m, n) = (set.own.len() as f64, other.own.len() as f64);
    let (own, cross) = (total(&set.own), total(&set.cross));
    let others = total(&other.own) / (n * (n - 1.0));
    let without = |(of_own, of_cross): (&f64, &f64)| {
        (own - 2.0 * of_own) / ((m - 1.0) * (m - 2.0)) + others
            - 2.0 * (cross - of_cross) / ((m - 1.0) * n)
    };
    set.own.iter().zip(&set.cross).map(without).collect()
}

/// √Σ (n−1)/n·Σ(θᵢ − θ̄)², the outer sum over the sets.
fn jackknife(without: &[Vec<f64>; 2]) -> f64 {
    let variance = |values: &Vec<f64>| {
        let n = values.len() as f64;
        let mean = total(values) / n;
        (n - 1.0) / n * values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
    };
    without.iter().map(variance).sum::<f64>().sqrt()
}

fn total(values: &[f64]) -> f64 {
    values.iter().sum()
}

fn doubles(values: &Tensor) -> Vec<f64> {
    let mut doubles = vec![0.0; values.numel()];
    let count = doubles.len();
    values.contiguous().copy_data(&mut doubles, count);
    doubles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(count: i64, mean: f64) -> Tensor {
        Tensor::randn([count, 16], tch::kind::FLOAT_CPU) + mean
    }

    #[test]
    fn equal_distributions_are_near_and_different_ones_far() {
        tch::manual_seed(1);
        let base = normal(300, 0.0);
        let same = kid(&base, &normal(300, 0.0));
        assert!(same.value.abs() < 3.0 * same.error, "{} {}", same.value, same.error);
        let near = kid(&base, &normal(300, 0.3)).value;
        let far = kid(&base, &normal(300, 1.0)).value;
        assert!(near > 3.0 * same.value.abs() && far > 3.0 * near, "{near} {far}");
    }

    /// Three one-dimensional points per set, computed by hand.
    #[test]
    fn the_estimate_matches_the_definition() {
        let x = Tensor::from_slice(&[0.0f64, 1.0, 2.0]).view([3, 1]);
        let y = Tensor::from_slice(&[1.0f64, 2.0]).view([2, 1]);
        let two = kid(&x.narrow(0, 0, 2), &y).value;
        // k(0,1) = 1; k(1,2) = 27; cross: k(0,1), k(0,2), k(1,1), k(1,2) = 1, 1, 8, 27.
        assert!((two - (1.0 + 27.0 - 2.0 * 37.0 / 4.0)).abs() < 1e-12);
        let three = kid(&x, &y);
        let without: Vec<f64> = [[1, 2], [0, 2], [0, 1]]
            .map(|left| {
                kid(&x.index_select(0, &Tensor::from_slice(&left.map(i64::from))), &y).value
            })
            .to_vec();
        let same = three.without[0].iter().zip(&without).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(same, "{:?} {without:?}", three.without[0]);
    }

    /// Compares the standard errors with the spread of many repetitions.
    #[test]
    fn the_standard_error_matches_the_spread_of_repetitions() {
        tch::manual_seed(2);
        let deviation = |values: &[f64]| {
            let mean = total(values) / values.len() as f64;
            let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            (squares / values.len() as f64).sqrt()
        };
        let mean = |values: &[f64]| total(values) / values.len() as f64;
        let (mut alone, mut between) = ([vec![], vec![]], [vec![], vec![]]);
        for _ in 0..300 {
            let (photographs, target) = (normal(60, 0.0), normal(50, 0.5));
            let made = |far: f64| kid(&(&photographs + far + 0.1 * normal(60, 0.0)), &target);
            let (one, other) = (made(0.1), made(0.0));
            let (difference, error) = one.minus(&other);
            alone[0].push(one.value);
            alone[1].push(one.error);
            between[0].push(difference);
            between[1].push(error);
        }
        for [values, errors] in [&alone, &between] {
            let ratio = mean(errors) / deviation(values);
            assert!((0.8..1.25).contains(&ratio), "{ratio}");
        }
        // The common part of the errors cancels.
        assert!(
            mean(&between[1]) < 0.5 * mean(&alone[1]),
            "{} {}",
            mean(&between[1]),
            mean(&alone[1])
        );
    }
}
