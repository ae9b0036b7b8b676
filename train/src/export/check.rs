// SPDX-License-Identifier: MIT OR Apache-2.0

//! Compares an exported file with its source.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};

use super::frames::{Difference, References};
use crate::{
    net::{generator::Generator, params::Weights},
    onnx_generator::OnnxGenerator,
};

/// Largest difference in [0, 2] that a different order of float32 arithmetic explains.
const TOLERANCE: f64 = 1e-3;
/// Largest mean difference of a variant's output, grey levels: more is visible next to float32.
const TOLERANCE_OF_VARIANT: f64 = 2.0;
/// The same, weighted by the generator's mask. Generated texture hides larger differences than a flat background;
/// the shipped G has 2.7 in int8.
const TOLERANCE_INSIDE: f64 = 4.0;

/// The largest absolute difference between `onnx` and libtorch over three sizes of noise.
///
/// Fails if it is more than rounding explains.
pub fn against_libtorch(
    onnx: &mut OnnxGenerator,
    generator: &Generator,
    weights: &Weights,
) -> Result<f64> {
    // Fixed noise, so that equal exports print the same.
    tch::manual_seed(0);
    let unit = i64::from(generator.multiple_of()).max(64);
    let mut worst = 0.0f64;
    for (rows, columns) in [(1, 1), (2, 1), (2, 3)] {
        let shape = [1, 3, rows * unit, columns * unit];
        let x = Tensor::rand(shape, tch::kind::FLOAT_CPU) * 2.0 - 1.0;
        let expected = tch::no_grad(|| generator.forward(weights, &x, Kind::Float, false));
        let references = onnx.generate(&x)?;
        worst = worst.max(difference(&references.image, &expected.image)?);
        if let Some(logits) = expected.mask_logits {
            let mask = references.mask.context("the exported model has no mask output")?;
            worst = worst.max(difference(&mask, &logits.sigmoid())?);
        }
    }
    ensure!(
        worst < TOLERANCE,
        "the exported model differs from libtorch by {worst:.2e}, expected less than {TOLERANCE:.0e}"
    );
    Ok(worst)
}

/// The difference of a variant's output on frames from the float32 generator's.
///
/// Fails if it is too large.
pub fn against_float32(onnx: &mut OnnxGenerator, references: &References) -> Result<Difference> {
    let found = references.difference(onnx, references.frames.len())?;
    for (mean, most, place) in [
        (found.mean, TOLERANCE_OF_VARIANT, "on average"),
        (found.inside, TOLERANCE_INSIDE, "on average where the generator changes them"),
    ] {
        ensure!(
            mean <= most,
            "its images differ from float32's by {mean:.1} grey levels {place}, expected at most \
             {most}; a larger --float-share keeps more of int8 in float32"
        );
    }
    Ok(found)
}

fn difference(found: &Tensor, expected: &Tensor) -> Result<f64> {
    ensure!(
        found.size() == expected.size(),
        "the exported model gives {:?}, expected {:?}",
        found.size(),
        expected.size()
    );
    let worst = (found - expected).abs().max().double_value(&[]);
    ensure!(worst.is_finite(), "the exported model gives values that are NaN or infinite");
    Ok(worst)
}
