// SPDX-License-Identifier: MIT OR Apache-2.0

//! PatchNCE: a position of the output should resemble the same position of the input more than other positions
//! (CUT, arXiv 2007.15651, equations 3 and 4).

use tch::{Kind, Tensor};

/// Number of positions per image.
pub const PLACES: i64 = 256;
/// The temperature τ.
const TEMPERATURE: f64 = 0.07;

/// A random order of `count` positions; [`sampled`] takes the first.
pub fn random_order(count: i64, like: &Tensor) -> Tensor {
    Tensor::rand([count], (Kind::Float, like.device())).argsort(0, false)
}

/// Features N×C×h×w at up to [`PLACES`] positions: N×C×P×1. `order` is an order of h·w positions; an order of
/// another number of positions is scaled to h·w.
pub fn sampled(features: &Tensor, order: &Tensor) -> Tensor {
    let flat = features.flatten(2, 3);
    let (count, known) = (flat.size()[2], order.size()[0]);
    let order = order.narrow(0, 0, known.min(count).min(PLACES));
    let places = if known == count { order } else { order * count / known };
    flat.index_select(2, &places.to_kind(Kind::Int64)).unsqueeze(3)
}

/// The cross-entropy of identifying each position of `result` by its similarity to the positions of `input`, both
/// N×D×P×1; a mean over positions and images. No gradient flows to `input`.
pub fn nce(result: &Tensor, input: &Tensor) -> Tensor {
    let unit = |x: &Tensor| {
        let x = x.to_kind(Kind::Float).squeeze_dim(3);
        let square = x.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        // ε under the root, whose slope at 0 is infinite.
        x / square.clamp_min(1e-14).sqrt()
    };
    let (result, input) = (unit(result), unit(&input.detach()));
    // N×P×P: one row per position of the result.
    let logits = result.transpose(1, 2).matmul(&input) / TEMPERATURE;
    let own = logits.diagonal(0, 1, 2);
    (logits.logsumexp([2i64].as_slice(), false) - own).mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand for two positions.
    #[test]
    fn nce_is_the_cross_entropy_of_the_same_position() {
        let input = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0]).view([1, 2, 2, 1]);
        let result = Tensor::from_slice(&[2.0f32, 0.0, 0.0, 3.0]).view([1, 2, 2, 1]);
        let expected = (1.0 + (-1.0 / TEMPERATURE).exp()).ln();
        assert!((nce(&result, &input).double_value(&[]) - expected).abs() < 1e-6);
        let swapped = result.flip([2]);
        let expected = 1.0 / TEMPERATURE + (1.0 + (-1.0 / TEMPERATURE).exp()).ln();
        assert!((nce(&swapped, &input).double_value(&[]) - expected).abs() < 1e-4);
    }

    /// The features are all 0 if no ReLU is active.
    #[test]
    fn zero_features_give_a_finite_gradient() {
        let result = Tensor::zeros([1, 2, 2, 1], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let loss = nce(&result, &result);
        let gradient = Tensor::run_backward(&[loss], &[&result], false, false).remove(0);
        assert_eq!(gradient.isfinite().all().int64_value(&[]), 1);
    }

    #[test]
    fn sampled_positions_are_equal_and_unique() {
        let x = Tensor::arange(2 * 3 * 400, tch::kind::FLOAT_CPU).view([2, 3, 20, 20]);
        let order = random_order(400, &x);
        let taken = sampled(&x, &order);
        assert_eq!(taken.size(), [2, 3, 256, 1]);
        assert_eq!(taken, sampled(&x, &order));
        let places = taken.get(0).get(0).view([-1]);
        let steps = places.sort(0, false).0.diff(1, 0, None::<Tensor>, None::<Tensor>);
        assert!(steps.min().double_value(&[]) > 0.0);
        assert_eq!(sampled(&x.narrow(2, 0, 10), &order).size(), [2, 3, 200, 1]);
    }
}
