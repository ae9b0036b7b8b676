// SPDX-License-Identifier: MIT OR Apache-2.0

//! Initial weights.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// The distribution of new weights; scaled by the gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum InitType {
    /// N(0, gain), the paper's with gain 0.02.
    Normal,
    /// Glorot and Bengio 2010, normal.
    Xavier,
    /// He et al. 2015, normal, by fan-in, for ReLU. Ignores the gain.
    Kaiming,
    /// Saxe et al. 2013: random orthogonal rows.
    Orthogonal,
}

impl InitType {
    /// A tensor of `shape` (out×in×kH×kW, or a vector) drawn from libtorch's random state.
    pub fn draw(self, shape: &[i64], gain: f64) -> Tensor {
        let normal = |std: f64| Tensor::randn(shape, (Kind::Float, Device::Cpu)) * std;
        let outs = shape[0] as f64;
        let area: i64 = shape.iter().skip(2).product();
        let fan_in = (shape.get(1).unwrap_or(&1) * area) as f64;
        match self {
            Self::Normal => normal(gain),
            Self::Xavier => normal(gain * (2.0 / (fan_in + outs * area as f64)).sqrt()),
            Self::Kaiming => normal((2.0 / fan_in).sqrt()),
            Self::Orthogonal => orthogonal(shape) * gain,
        }
    }
}

fn orthogonal(shape: &[i64]) -> Tensor {
    let rows = shape[0];
    let columns: i64 = shape.iter().skip(1).product();
    let (tall, wide) = (rows.max(columns), rows.min(columns));
    let random = Tensor::randn([tall, wide], (Kind::Float, Device::Cpu));
    let (q, r) = Tensor::linalg_qr(&random, "reduced");
    // With a positive diagonal of R the result is unique, and so uniform over all orthogonal matrices.
    let q = q * r.diagonal(0, 0, 1).sign();
    let q = if rows < columns { q.tr() } else { q };
    q.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_standard_deviation() {
        tch::manual_seed(1);
        let shape = [64, 32, 3, 3];
        for (init, gain, expected) in [
            (InitType::Normal, 0.02, 0.02),
            (InitType::Xavier, 1.0, (2.0f64 / (96.0 * 9.0)).sqrt()),
            (InitType::Kaiming, 1.0, (2.0f64 / (32.0 * 9.0)).sqrt()),
        ] {
            let std = init.draw(&shape, gain).std(true).double_value(&[]);
            assert!((std / expected - 1.0).abs() < 0.05, "{init:?}: {std}");
        }
    }

    #[test]
    fn orthogonal_rows_are_orthonormal() {
        tch::manual_seed(2);
        for shape in [[8, 4, 3, 3], [64, 2, 3, 3]] {
            let flat = InitType::Orthogonal.draw(&shape, 1.0).reshape([shape[0], -1]);
            let gram = match shape[0] <= flat.size()[1] {
                true => flat.matmul(&flat.tr()),
                false => flat.tr().matmul(&flat),
            };
            let identity = Tensor::eye(gram.size()[0], (Kind::Float, Device::Cpu));
            assert!((gram - identity).abs().max().double_value(&[]) < 1e-5);
        }
    }
}
