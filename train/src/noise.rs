// SPDX-License-Identifier: MIT OR Apache-2.0

//! Deterministic noise for tests: libtorch's own generator is shared by all threads of a process.

use rand::RngExt;
use tch::Tensor;

use crate::data::order::{Purpose, random};

/// Uniform in [−1, 1).
pub fn noise(seed: u64, shape: &[i64]) -> Tensor {
    let mut rng = random(seed, Purpose::Step, 0);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect();
    Tensor::from_slice(&values).view(shape)
}

/// An image of `height`×`width` pixels, 1×3×H×W, with details of many sizes: as in nature, larger ones are
/// stronger.
pub fn scene(seed: u64, height: i64, width: i64) -> Tensor {
    let details = |side: i64| {
        let coarse = noise(seed + side as u64, &[1, 3, side, side]);
        coarse.upsample_bicubic2d([height, width], true, None, None) * (2.0 / side as f64)
    };
    details(4) + details(8) + details(16)
}
