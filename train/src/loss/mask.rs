// SPDX-License-Identifier: MIT OR Apache-2.0

//! Losses of the mask head.

use tch::{Kind, Reduction, Tensor};

/// Cross-entropy between mask logits and the annotated mask, both N×1×H×W.
///
/// `known` (N×1×1×1) is 1 for images with a mask and 0 for the others.
pub fn supervised(logits: &Tensor, truth: &Tensor, known: &Tensor) -> Tensor {
    let none = None::<Tensor>;
    let weight = known.expand_as(logits);
    let loss = logits.binary_cross_entropy_with_logits(
        truth,
        Some(&weight),
        none.as_ref(),
        Reduction::Sum,
    );
    loss / weight.sum(Kind::Float).clamp_min(1.0)
}

/// Cross-entropy between mask logits and a mask that is 0 everywhere: −log(1 − σ(x)).
pub fn empty(logits: &Tensor) -> Tensor {
    logits.softplus().mean(Kind::Float)
}

/// The mean of the mask: without supervision, it should be small.
pub fn small(logits: &Tensor) -> Tensor {
    logits.sigmoid().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_mask_do_not_count() {
        let logits = Tensor::from_slice(&[0.0f32, 50.0]).view([2, 1, 1, 1]);
        let truth = Tensor::from_slice(&[1.0f32, 0.0]).view([2, 1, 1, 1]);
        let known = Tensor::from_slice(&[1.0f32, 0.0]).view([2, 1, 1, 1]);
        let loss = supervised(&logits, &truth, &known).double_value(&[]);
        assert!((loss - 2.0f64.ln()).abs() < 1e-6);
        let nothing = supervised(&logits, &truth, &known.zeros_like());
        assert_eq!(nothing.double_value(&[]), 0.0);
    }

    #[test]
    fn empty_is_supervision_with_a_zero_mask() {
        let logits = Tensor::from_slice(&[0.5f32, -3.0]).view([2, 1, 1, 1]);
        let (truth, known) = (logits.zeros_like(), logits.ones_like());
        let expected = supervised(&logits, &truth, &known).double_value(&[]);
        assert!((empty(&logits).double_value(&[]) - expected).abs() < 1e-6);
    }

    #[test]
    fn small_is_the_mean_of_the_mask() {
        // σ(0) = 1/2, σ(ln 3) = 3/4.
        let logits = Tensor::from_slice(&[0.0f32, 3f32.ln()]).view([2, 1, 1, 1]);
        assert!((small(&logits).double_value(&[]) - 0.625).abs() < 1e-6);
    }
}
