// SPDX-License-Identifier: MIT OR Apache-2.0

//! What makes a picture look real or painted.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

/// The adversarial objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanMode {
    /// Least squares (Mao et al. 2017), the paper's.
    Lsgan,
    /// Cross-entropy (Goodfellow et al. 2014).
    Vanilla,
    /// Wasserstein with gradient penalty (Gulrajani et al. 2017).
    Wgangp,
}

impl GanMode {
    /// The loss of scores that ought to say `real`.
    pub fn loss(self, scores: &Tensor, real: bool) -> Tensor {
        match self {
            Self::Lsgan => (scores - f64::from(u8::from(real))).square().mean(Kind::Float),
            Self::Vanilla => {
                let target = scores.full_like(f64::from(u8::from(real)));
                let none = None::<Tensor>;
                scores.binary_cross_entropy_with_logits(
                    &target,
                    none.as_ref(),
                    none.as_ref(),
                    Reduction::Mean,
                )
            }
            Self::Wgangp if real => -scores.mean(Kind::Float),
            Self::Wgangp => scores.mean(Kind::Float),
        }
    }

    /// The score half-way between real and painted, where a discriminator is undecided.
    pub fn undecided(self) -> f64 {
        match self {
            Self::Lsgan => 0.5,
            Self::Vanilla | Self::Wgangp => 0.0,
        }
    }
}

/// λ·E[(‖∇D(x̂)‖₂ − 1)²], x̂ between real and painted (Gulrajani et al. 2017, equation 3), λ = 10.
///
/// `score` is the discriminator; `real` and `fake` are N×C×H×W.
pub fn gradient_penalty(score: impl Fn(&Tensor) -> Tensor, real: &Tensor, fake: &Tensor) -> Tensor {
    let between = Tensor::rand([real.size()[0], 1, 1, 1], (real.kind(), real.device()));
    let mixed = (fake + between * (real - fake)).detach().set_requires_grad(true);
    let scores = score(&mixed).sum(Kind::Float);
    let gradient = Tensor::run_backward(&[scores], &[&mixed], true, true).remove(0);
    let norm = gradient.flatten(1, -1).norm_scalaropt_dim(2.0, [1i64], false);
    (norm - 1.0).square().mean(Kind::Float) * 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(mode: GanMode, scores: &[f32], real: bool) -> f64 {
        mode.loss(&Tensor::from_slice(scores), real).double_value(&[])
    }

    #[test]
    fn losses_are_the_papers() {
        assert!((value(GanMode::Lsgan, &[1.0, 0.0], true) - 0.5).abs() < 1e-6);
        assert!((value(GanMode::Lsgan, &[0.5, 0.5], false) - 0.25).abs() < 1e-6);
        let softplus = (1.0f64 + 2.0f64.exp()).ln();
        assert!((value(GanMode::Vanilla, &[2.0], false) - softplus).abs() < 1e-6);
        assert!((value(GanMode::Wgangp, &[1.0, 3.0], true) + 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_slope_of_one_costs_nothing_and_pulls_weights_there() {
        let weight = Tensor::from_slice(&[3.0f32, 4.0]).set_requires_grad(true);
        let score = |x: &Tensor| (x.flatten(1, -1) * &weight).sum(Kind::Float);
        let x = Tensor::zeros([1, 2, 1, 1], tch::kind::FLOAT_CPU);
        let penalty = gradient_penalty(score, &x, &x);
        assert!((penalty.double_value(&[]) - 160.0).abs() < 1e-3);
        let pull = Tensor::run_backward(&[penalty], &[&weight], false, false).remove(0);
        assert!(pull.double_value(&[0]) > 0.0 && pull.double_value(&[1]) > 0.0);
    }
}
