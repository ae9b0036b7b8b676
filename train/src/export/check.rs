// SPDX-License-Identifier: MIT OR Apache-2.0

//! Holding an exported file against libtorch.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};

use crate::{
    net::{generator::Generator, params::Weights},
    onnx_generator::OnnxGenerator,
};

/// The largest difference that float32 arithmetic in another order explains, of a range of 2.
const TOLERANCE: f64 = 1e-3;
/// float16 keeps 11 bits, and a value near 1 passes through dozens of roundings.
const TOLERANCE_F16: f64 = 5e-2;

/// The largest absolute difference between `onnx` and libtorch over three sizes of noise.
///
/// Fails when it is more than rounding explains.
pub fn against_libtorch(
    onnx: &mut OnnxGenerator,
    generator: &Generator,
    weights: &Weights,
) -> Result<f64> {
    let unit = i64::from(generator.multiple_of()).max(64);
    let mut worst = 0.0f64;
    for (rows, columns) in [(1, 1), (2, 1), (2, 3)] {
        let shape = [1, 3, rows * unit, columns * unit];
        let x = Tensor::rand(shape, tch::kind::FLOAT_CPU) * 2.0 - 1.0;
        let expected = tch::no_grad(|| generator.forward(weights, &x, Kind::Float, false));
        let painted = onnx.paint(&x)?;
        worst = worst.max(difference(&painted.image, &expected.image)?);
        if let Some(logits) = expected.mask_logits {
            let mask = painted.mask.context("the exported model has no mask output")?;
            worst = worst.max(difference(&mask, &logits.sigmoid())?);
        }
    }
    let tolerance = if onnx.is_f16() { TOLERANCE_F16 } else { TOLERANCE };
    ensure!(
        worst < tolerance,
        "the exported model differs from libtorch by {worst:.2e}, expected less than {tolerance:.0e}"
    );
    Ok(worst)
}

fn difference(found: &Tensor, expected: &Tensor) -> Result<f64> {
    ensure!(
        found.size() == expected.size(),
        "the exported model gives {:?}, expected {:?}",
        found.size(),
        expected.size()
    );
    let worst = (found - expected).abs().max().double_value(&[]);
    ensure!(worst.is_finite(), "the exported model gives values that are no numbers");
    Ok(worst)
}
