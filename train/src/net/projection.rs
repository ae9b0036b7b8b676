// SPDX-License-Identifier: MIT OR Apache-2.0

//! The projection heads of PatchNCE (CUT, arXiv 2007.15651, section 3.2): two linear layers for each depth of the
//! features. They are not exported.

use super::{
    build::{Builder, Norm, Window},
    layer::{Layer, forward},
    params::{Layout, Weights},
};
use tch::Tensor;

/// Number of channels in which features are compared.
const CHANNELS: i64 = 256;

/// One projection per depth, without weights.
#[derive(Clone, Debug)]
pub struct Projections {
    depths: Vec<Vec<Layer>>,
    /// Its parameters.
    pub layout: Layout,
}

impl Projections {
    /// Projections for features with these numbers of channels.
    pub fn new(channels: &[i64]) -> Self {
        let mut b = Builder::new(Norm::None);
        let one = Window::valid(1);
        let depth = |(k, &ins): (usize, &i64)| {
            let first = b.conv(&format!("depth{k}.1"), ins, CHANNELS, one);
            let second = b.conv(&format!("depth{k}.2"), CHANNELS, CHANNELS, one);
            vec![first, Layer::Relu, second]
        };
        let depths = channels.iter().enumerate().map(depth).collect();
        Self { depths, layout: b.layout }
    }

    /// Maps features of depth `k`, N×C×P×1, to N×256×P×1.
    pub fn forward(&self, weights: &Weights, k: usize, x: &Tensor) -> Tensor {
        forward(&self.depths[k], weights, x, true)
    }
}
