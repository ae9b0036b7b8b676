// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel alignment of the features of two networks.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::features::positions;

/// Which features the alignment compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// The pixels of all images, minus their mean (CKA, arXiv 1905.00414).
    Centred,
    /// The images of a batch without centring, as published (CAT, arXiv 2103.03467).
    Paper,
}

impl Alignment {
    /// The alignment of the features `x` and `y` of the same N images, at most 1.
    pub fn of(self, x: &Tensor, y: &Tensor) -> Tensor {
        match self {
            Self::Centred => centred_alignment(x, y),
            Self::Paper => kernel_alignment(x, y),
        }
    }
}

/// Centred kernel alignment under the linear kernel (Kornblith et al. 2019, arXiv 1905.00414, equation
/// 3): CKA(X, Y) = ‖XᵀY‖²/(‖XᵀX‖·‖YᵀY‖), Frobenius norms, from 0 to 1. The rows of X and Y are the
/// positions of all images, minus their mean, the columns channels.
///
/// `x` and `y` are N×C×h×w; their channels may differ, and the larger grid is averaged to the smaller.
/// The common mean, which dominates features after a ReLU, does not count.
pub fn centred_alignment(x: &Tensor, y: &Tensor) -> Tensor {
    let [x, y] = positions(x, y).map(|rows| {
        let centred = &rows - rows.mean_dim([0i64].as_slice(), true, Kind::Float);
        let norm = centred.norm();
        centred / norm.clamp_min(f64::from(f32::MIN_POSITIVE))
    });
    let norm = |a: &Tensor, b: &Tensor| a.tr().matmul(b).norm();
    let own = norm(&x, &x) * norm(&y, &y);
    norm(&x, &y).square() / own.clamp_min(f64::from(f32::MIN_POSITIVE))
}

/// Global kernel alignment of features of the same N images (CAT, arXiv 2103.03467;
/// docs/compress.md, 5): KA(X, Y) = Σ(XXᵀ ∘ YYᵀ) / √(Σ(XXᵀ)² · Σ(YYᵀ)²), from 0 to 1 for features that are
/// nowhere negative and from −1 otherwise.
///
/// `x` and `y` are N×…, flattened to N×D; their D may differ, since only the N×N inner products
/// are compared. At N = 1 it is 1 whatever the features are, with no gradient.
pub fn kernel_alignment(x: &Tensor, y: &Tensor) -> Tensor {
    // Each kernel is divided by its norm: squares of unscaled inner products exceed float32's range.
    let kernel = |features: &Tensor| {
        let flat = features.to_kind(Kind::Float).flatten(1, -1);
        let products = flat.matmul(&flat.tr());
        let norm = products.norm();
        products / norm.clamp_min(f64::from(f32::MIN_POSITIVE))
    };
    (kernel(x) * kernel(y)).sum(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference, one product at a time in float64.
    fn reference(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut both, mut xs, mut ys) = (0.0, 0.0, 0.0);
        for i in 0..x.len() {
            for j in 0..x.len() {
                let (a, b) = (dot(&x[i], &x[j]), dot(&y[i], &y[j]));
                both += a * b;
                xs += a * a;
                ys += b * b;
            }
        }
        both / (xs * ys).sqrt()
    }

    fn rows(x: &Tensor) -> Vec<Vec<f64>> {
        let row = |r: Tensor| Vec::<f64>::try_from(r.flatten(0, -1).to_kind(Kind::Double)).unwrap();
        x.unbind(0).into_iter().map(row).collect()
    }

    fn features(n: i64, channels: i64, side: i64) -> Tensor {
        Tensor::randn([n, channels, side, side], tch::kind::FLOAT_CPU)
    }

    #[test]
    fn kernel_alignment_matches_the_paper_in_float64() {
        tch::manual_seed(3);
        for (n, c) in [(1, 4), (2, 7), (5, 3)] {
            let (x, y) = (features(n, c, 6), features(n, 5, 3) + 0.5);
            let expected = reference(&rows(&x), &rows(&y));
            let found = kernel_alignment(&x, &y).double_value(&[]);
            assert!((found - expected).abs() < 1e-5, "{n}: {found}, expected {expected}");
        }
    }

    #[test]
    fn the_gradient_matches_finite_differences_and_is_0_at_one_image() {
        tch::manual_seed(4);
        for (n, flat) in [(1, true), (2, false), (4, false)] {
            let x = features(n, 3, 2).set_requires_grad(true);
            let y = features(n, 2, 4);
            let alignment = kernel_alignment(&x, &y);
            let gradient = Tensor::run_backward(&[alignment], &[&x], false, false).remove(0);
            let size = gradient.abs().max().double_value(&[]);
            assert_eq!(size < 1e-6, flat, "{n} images: gradient {size}");
            let (mut up, mut down) = (rows(&x.detach()), rows(&x.detach()));
            up[0][0] += 1e-5;
            down[0][0] -= 1e-5;
            let y = rows(&y);
            let slope = (reference(&up, &y) - reference(&down, &y)) / 2e-5;
            let found = gradient.double_value(&[0, 0, 0, 0]);
            assert!((found - slope).abs() < 1e-4, "{n}: {found}, expected {slope}");
        }
    }

    /// Compares it with the definition by centred N×N kernels: Σ(HKH ∘ HLH)/√(Σ(HKH)²·Σ(HLH)²).
    #[test]
    fn centred_alignment_matches_the_centred_kernels() {
        tch::manual_seed(6);
        let (x, y) = (features(2, 4, 3) + 2.0, features(2, 6, 3) - 1.0);
        let centred = |t: &Tensor| {
            let rows = t.permute([0, 2, 3, 1]).reshape([18, -1]).to_kind(Kind::Double);
            rows.copy() - rows.mean_dim([0i64].as_slice(), true, Kind::Double)
        };
        let expected = reference(&rows(&centred(&x)), &rows(&centred(&y)));
        let found = centred_alignment(&x, &y).double_value(&[]);
        assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
    }

    /// The common mean of all features makes the paper's alignment nearly constant at two images.
    #[test]
    fn centring_distinguishes_networks_with_a_common_mean() {
        tch::manual_seed(7);
        let behind_relu = |seed: f64| (features(2, 16, 8) + seed).relu() + 3.0;
        let (x, other) = (behind_relu(0.1), behind_relu(0.2));
        let value = |a: Alignment| a.of(&x, &other).double_value(&[]);
        assert!(value(Alignment::Paper) > 0.95 && value(Alignment::Centred) < 0.5);
        let turned = x.flip([1]) * 3.0 + 1.0;
        assert!((Alignment::Centred.of(&x, &turned).double_value(&[]) - 1.0).abs() < 1e-5);
        // It has a gradient also at one image.
        let one = x.narrow(0, 0, 1).set_requires_grad(true);
        let alignment = centred_alignment(&one, &other.narrow(0, 0, 1));
        let gradient = Tensor::run_backward(&[alignment], &[&one], false, false).remove(0);
        assert!(gradient.abs().max().double_value(&[]) > 1e-6);
    }

    #[test]
    fn alignment_is_scale_invariant_and_does_not_overflow() {
        tch::manual_seed(5);
        let (x, y) = (features(3, 4, 8), features(3, 4, 8));
        let plain = kernel_alignment(&x, &y).double_value(&[]);
        let large = kernel_alignment(&(&x * 1e6), &(&y * 1e-6)).double_value(&[]);
        assert!((plain - large).abs() < 1e-5, "{plain} {large}");
        assert!((kernel_alignment(&x, &x).double_value(&[]) - 1.0).abs() < 1e-6);
    }
}
