// SPDX-License-Identifier: MIT OR Apache-2.0

//! Discriminators: an image in, a map of scores out.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    build::{Builder, Norm},
    layer::{Layer, forward, ready},
    params::{Layout, Weights},
    patchgan::{patchgan, pixel},
};

/// The architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum NetD {
    /// The 70×70 PatchGAN.
    Basic,
    /// A PatchGAN of --n-layers-d strided convolutions.
    NLayers,
    /// One pixel at a time.
    Pixel,
}

/// The shape of a discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscriminatorShape {
    /// Architecture.
    pub net: NetD,
    /// Channels of the image it sees.
    pub ins: i64,
    /// Channels of the first layer.
    pub ndf: i64,
    /// `n_layers`: strided convolutions.
    pub n_layers: u32,
    /// Normalisation.
    pub norm: Norm,
}

impl DiscriminatorShape {
    /// The least side of an image that has a score, pixels.
    pub fn least_side(&self) -> u64 {
        let halvings = match self.net {
            NetD::Basic => 3,
            NetD::NLayers => self.n_layers,
            NetD::Pixel => return 1,
        };
        // After these, two convolutions take off a pixel each.
        3u64.saturating_mul(2u64.saturating_pow(halvings))
    }
}

/// A discriminator without weights.
#[derive(Clone, Debug)]
pub struct Discriminator {
    /// Its shape.
    pub shape: DiscriminatorShape,
    /// From N×C×H×W to N×1×h×w.
    layers: Vec<Layer>,
    /// Its parameters.
    pub layout: Layout,
}

impl Discriminator {
    /// The network of a shape.
    pub fn new(shape: DiscriminatorShape) -> Self {
        let mut b = Builder::new(shape.norm);
        let DiscriminatorShape { ins, ndf, .. } = shape;
        let layers = match shape.net {
            NetD::Basic => patchgan(&mut b, ins, ndf, 3),
            NetD::NLayers => patchgan(&mut b, ins, ndf, shape.n_layers),
            NetD::Pixel => pixel(&mut b, ins, ndf),
        };
        let layout = b.layout;
        Self { shape, layers, layout }
    }

    /// Scores, float32; the layers compute in `kind`.
    pub fn forward(&self, weights: &Weights, x: &Tensor, kind: Kind) -> Tensor {
        let scores = forward(&self.layers, weights, &ready(x, kind), true);
        scores.to_kind(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, kind::FLOAT_CPU};

    use super::*;
    use crate::net::{init::InitType, params::Params};

    #[test]
    fn the_least_side_gives_one_score() {
        for (net, n_layers, least) in [
            (NetD::Basic, 9, 24),
            (NetD::NLayers, 1, 6),
            (NetD::NLayers, 4, 48),
            (NetD::Pixel, 3, 1),
        ] {
            let norm = Norm::Spectral;
            let shape = DiscriminatorShape { net, ins: 3, ndf: 2, n_layers, norm };
            assert_eq!(shape.least_side(), least);
            let discriminator = Discriminator::new(shape);
            let params = Params::new(&discriminator.layout, InitType::Normal, 0.02, Device::Cpu);
            let weights = params.weights(Kind::Float);
            let image = Tensor::zeros([1, 3, least as i64, least as i64], FLOAT_CPU);
            let scores = discriminator.forward(&weights, &image, Kind::Float);
            assert_eq!(scores.size(), [1, 1, 1, 1], "{net:?}");
        }
    }
}
