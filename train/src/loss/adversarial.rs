// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adversarial losses.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

/// The adversarial objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanMode {
    /// Least squares (Mao et al. 2017), as in the paper.
    Lsgan,
    /// Cross-entropy (Goodfellow et al. 2014).
    Vanilla,
    /// Wasserstein with gradient penalty (Gulrajani et al. 2017).
    Wgangp,
}

impl GanMode {
    /// The loss of scores with the target `real`: their mean, or their sum weighted by [`patch_weights`].
    pub fn loss(self, scores: &Tensor, real: bool, weights: Option<&Tensor>) -> Tensor {
        let target = f64::from(u8::from(real));
        let losses = match self {
            Self::Lsgan => (scores - target).square(),
            Self::Vanilla => {
                let none = None::<Tensor>;
                scores.binary_cross_entropy_with_logits(
                    &scores.full_like(target),
                    none.as_ref(),
                    none.as_ref(),
                    Reduction::None,
                )
            }
            Self::Wgangp if real => -scores,
            Self::Wgangp => scores.shallow_clone(),
        };
        weighted_mean(&losses, weights)
    }

    /// The score of an undecided discriminator.
    pub fn undecided(self) -> f64 {
        match self {
            Self::Lsgan => 0.5,
            Self::Vanilla | Self::Wgangp => 0.0,
        }
    }
}

/// The mean of a map, or the sum of its values times their weights.
pub fn weighted_mean(values: &Tensor, weights: Option<&Tensor>) -> Tensor {
    match weights {
        Some(weights) => (values * weights).sum(Kind::Float),
        None => values.mean(Kind::Float),
    }
}

/// The weights of N×1×h×w scores for --look-at foreground: the mask (N×1×H×W) at the size of the scores. The
/// weights of each image sum to 1/N, so that a small animal counts as much as a large one; those of an image
/// with an empty mask are 0.
pub fn patch_weights(mask: &Tensor, scores: &Tensor) -> Tensor {
    let pooled = mask.adaptive_avg_pool2d(&scores.size()[2..]);
    let sum = pooled.sum_dim_intlist([1i64, 2, 3].as_slice(), true, Kind::Float);
    pooled / (sum.clamp_min(1e-6) * scores.size()[0] as f64)
}

/// λ·E[(‖∇D(x̂)‖₂ − 1)²], x̂ between real and generated (Gulrajani et al. 2017, equation 3), λ = 10.
///
/// `score` is the discriminator; `real` and `fake` are N×C×H×W. D(x̂) is the mean of the N×1×h×w scores over each image, as
/// in the loss: the gradient of their sum would be larger for larger images.
pub fn gradient_penalty(score: impl Fn(&Tensor) -> Tensor, real: &Tensor, fake: &Tensor) -> Tensor {
    let between = Tensor::rand([real.size()[0], 1, 1, 1], (real.kind(), real.device()));
    let mixed = (fake + between * (real - fake)).detach().set_requires_grad(true);
    let means = score(&mixed).mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    let sum = means.sum(Kind::Float);
    let gradient = Tensor::run_backward(&[sum], &[&mixed], true, true).remove(0);
    let norm = gradient.flatten(1, -1).norm_scalaropt_dim(2.0, [1i64], false);
    (norm - 1.0).square().mean(Kind::Float) * 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(mode: GanMode, scores: &[f32], real: bool) -> f64 {
        mode.loss(&Tensor::from_slice(scores), real, None).double_value(&[])
    }

    #[test]
    fn losses_match_the_papers() {
        assert!((value(GanMode::Lsgan, &[1.0, 0.0], true) - 0.5).abs() < 1e-6);
        assert!((value(GanMode::Lsgan, &[0.5, 0.5], false) - 0.25).abs() < 1e-6);
        let softplus = (1.0f64 + 2.0f64.exp()).ln();
        assert!((value(GanMode::Vanilla, &[2.0], false) - softplus).abs() < 1e-6);
        assert!((value(GanMode::Wgangp, &[1.0, 3.0], true) + 2.0).abs() < 1e-6);
    }

    /// The left half of the first image is foreground, and nothing of the second.
    #[test]
    fn patch_weights_follow_the_mask() {
        let mask = Tensor::zeros([2, 1, 8, 8], tch::kind::FLOAT_CPU);
        let _ = mask.get(0).narrow(2, 0, 4).fill_(1.0);
        let scores = Tensor::zeros([2, 1, 4, 4], tch::kind::FLOAT_CPU);
        let _ = scores.get(0).narrow(2, 0, 2).fill_(3.0);
        let _ = scores.get(1).fill_(100.0);
        let weights = patch_weights(&mask, &scores);
        assert!((weights.get(0).sum(Kind::Float).double_value(&[]) - 0.5).abs() < 1e-6);
        // (3 − 1)² on the cells that see the animal, and half of that for one of two images.
        let loss = GanMode::Lsgan.loss(&scores, true, Some(&weights));
        assert!((loss.double_value(&[]) - 2.0).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_penalty_is_0_at_a_slope_of_1() {
        let weight = Tensor::from_slice(&[3.0f32, 4.0]).set_requires_grad(true);
        // A map of 2×3 equal scores of each image has the slope of one of them, 5.
        let score = |x: &Tensor| {
            let of_image =
                (x.flatten(1, -1) * &weight).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
            of_image.view([-1, 1, 1, 1]).expand([-1, 1, 2, 3], false)
        };
        let x = Tensor::zeros([2, 2, 1, 1], tch::kind::FLOAT_CPU);
        let penalty = gradient_penalty(score, &x, &x);
        assert!((penalty.double_value(&[]) - 160.0).abs() < 1e-3);
        let gradient = Tensor::run_backward(&[penalty], &[&weight], false, false).remove(0);
        assert!(gradient.double_value(&[0]) > 0.0 && gradient.double_value(&[1]) > 0.0);
    }
}
