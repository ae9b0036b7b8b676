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
