// SPDX-License-Identifier: MIT OR Apache-2.0

//! Generators: an image in, an image out.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::{
    build::{Builder, Norm},
    fast::fast,
    fold::fold,
    inception::{Widths, inception},
    init::InitType,
    layer::{Layer, forward_tapped, ready},
    params::{Layout, Params, Weights},
    resnet::resnet,
    unet::unet,
};

/// The architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum NetG {
    /// The real-time architecture.
    Fast,
    /// The paper's generator for 256 pixels and more.
    #[serde(rename = "resnet_9blocks")]
    #[value(name = "resnet_9blocks")]
    Resnet9Blocks,
    /// The paper's generator for 128 pixels.
    #[serde(rename = "resnet_6blocks")]
    #[value(name = "resnet_6blocks")]
    Resnet6Blocks,
    /// A teacher for `compress`: residual blocks with several branches that it can prune.
    #[serde(rename = "inception_9blocks")]
    #[value(name = "inception_9blocks")]
    Inception9Blocks,
    /// pix2pix; the sides must be multiples of 128 pixels.
    #[serde(rename = "unet_128")]
    #[value(name = "unet_128")]
    Unet128,
    /// pix2pix; the sides must be multiples of 256 pixels.
    #[serde(rename = "unet_256")]
    #[value(name = "unet_256")]
    Unet256,
}

/// The shape of a generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GeneratorShape {
    /// Architecture.
    pub net: NetG,
    /// Channels of the first layer.
    pub ngf: i64,
    /// `fast`: channels of the residual blocks.
    pub width: i64,
    /// `fast`: number of residual blocks.
    pub blocks: usize,
    /// Normalisation.
    pub norm: Norm,
    /// Dropout, if the architecture has it. Not stored in files.
    #[serde(skip)]
    pub dropout: bool,
    /// A fourth output channel for the mask.
    pub mask_head: bool,
    /// `fast`: a path that sees the whole image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context: bool,
    /// `fast`: adds features of a pretrained network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backbone: bool,
    /// `fast`: adds the stem's features between the pixel shuffles.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
    /// `fast`: a low-pass filter before the second downsampling.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blur: bool,
    /// The channels that are left after pruning; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
}

/// The channels of a generator that are left after pruning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pruned {
    /// Of `fast`: those inside each residual block.
    Blocks(Vec<i64>),
    /// Of `fast`: those inside each residual block, and those of the first upsampling layer.
    Fast(FastWidths),
    /// Of `inception_9blocks`.
    Inception(Widths),
}

/// The channels of a pruned `fast`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastWidths {
    /// Those inside each residual block.
    pub blocks: Vec<i64>,
    /// Those at half of the image's size, after the first pixel shuffle.
    pub up: i64,
}

/// A generator without weights.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Its shape.
    pub shape: GeneratorShape,
    /// From N×3×H×W to 3 channels, or 4 with a mask head, before the last activation.
    pub layers: Vec<Layer>,
    /// The numbers of layers after which distillation compares features: before the residual blocks, and after a
    /// third, two thirds and all of them. Empty without residual blocks.
    taps: Vec<usize>,
    /// Its parameters.
    pub layout: Layout,
}

/// The output of a generator.
#[derive(Debug)]
pub struct GeneratorOutput {
    /// N×3×H×W in [−1, 1], composited.
    pub image: Tensor,
    /// N×1×H×W, the logits of the mask.
    pub mask_logits: Option<Tensor>,
}

impl GeneratorShape {
    /// The value of `cyclegan.shape` in an exported file, without a normalisation that is folded into the
    /// convolutions.
    pub fn to_json(&self) -> Result<String> {
        let folds = matches!(self.norm, Norm::Batch | Norm::Frozen);
        let norm = if folds { Norm::None } else { self.norm };
        Ok(serde_json::to_string(&Self { norm, ..self.clone() })?)
    }

    /// The inverse of [`GeneratorShape::to_json`].
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).with_context(|| {
            format!("metadata `cyclegan.shape` is `{text}`, expected what `export` writes")
        })
    }

    /// The channels that are left, all of them without pruning; `None` for architectures that cannot be
    /// pruned.
    pub fn left(&self) -> Option<Pruned> {
        match self.net {
            NetG::Fast => Some(self.pruned.clone().unwrap_or(Pruned::Blocks(self.hidden()))),
            NetG::Inception9Blocks => Some(Pruned::Inception(self.widths())),
            _ => None,
        }
    }

    /// `fast`: the channels inside each residual block.
    pub fn hidden(&self) -> Vec<i64> {
        match &self.pruned {
            Some(Pruned::Blocks(blocks) | Pruned::Fast(FastWidths { blocks, .. })) => {
                blocks.clone()
            }
            _ => vec![self.width; self.blocks],
        }
    }

    /// `fast`: the channels at half of the image's size, after the first pixel shuffle.
    pub fn up(&self) -> i64 {
        match &self.pruned {
            Some(Pruned::Fast(widths)) => widths.up,
            _ => self.ngf,
        }
    }

    /// `inception_9blocks`: the channels of each layer that can be pruned.
    pub fn widths(&self) -> Widths {
        match &self.pruned {
            Some(Pruned::Inception(widths)) => widths.clone(),
            _ => Widths::whole(self.ngf),
        }
    }
}

impl Generator {
    /// The network of a shape.
    pub fn new(shape: GeneratorShape) -> Self {
        let mut b = Builder::new(shape.norm);
        let outs = if shape.mask_head { 4 } else { 3 };
        let GeneratorShape { ngf, dropout, .. } = shape;
        let (layers, blocks) = match shape.net {
            NetG::Fast => fast(&mut b, &shape, outs),
            NetG::Resnet9Blocks => with_blocks(resnet(&mut b, ngf, 9, dropout, outs)),
            NetG::Resnet6Blocks => with_blocks(resnet(&mut b, ngf, 6, dropout, outs)),
            NetG::Inception9Blocks => inception(&mut b, &shape.widths(), outs),
            NetG::Unet128 => with_blocks(unet(&mut b, ngf, 7, dropout, outs)),
            NetG::Unet256 => with_blocks(unet(&mut b, ngf, 8, dropout, outs)),
        };
        let taps = thirds(&blocks);
        let layout = b.layout;
        Self { shape, layers, taps, layout }
    }

    /// The same generator with fixed statistics folded into its convolutions, for use outside training.
    pub fn folded(&self, mut weights: Weights) -> (Self, Weights) {
        let layers = fold(&self.layers, &mut weights);
        (Self { layers, taps: Vec::new(), ..self.clone() }, weights)
    }

    /// Height and width must be multiples of this, pixels.
    pub fn multiple_of(&self) -> u32 {
        match self.shape.net {
            NetG::Unet128 => 128,
            NetG::Unet256 => 256,
            _ => 4,
        }
    }

    /// Whether it has features that distillation can compare.
    pub fn has_features(&self) -> bool {
        !self.taps.is_empty()
    }

    /// Translates N×3×H×W in [−1, 1]. The layers compute in `kind`, the last activation and the composition
    /// in float32.
    pub fn forward(
        &self,
        weights: &Weights,
        x: &Tensor,
        kind: Kind,
        train: bool,
    ) -> GeneratorOutput {
        self.generate(weights, x, kind, train, &[]).0
    }

    /// The same, and N×C×h×w features for distillation.
    pub fn forward_with_features(
        &self,
        weights: &Weights,
        x: &Tensor,
        kind: Kind,
        train: bool,
    ) -> (GeneratorOutput, Vec<Tensor>) {
        self.generate(weights, x, kind, train, &self.taps)
    }

    /// The features that distillation compares, except the last; later layers are not computed.
    pub fn encoded(&self, weights: &Weights, x: &Tensor, kind: Kind) -> Vec<Tensor> {
        let taps = &self.taps[..self.taps.len().saturating_sub(1)];
        let end = taps.last().copied().unwrap_or_default();
        forward_tapped(&self.layers[..end], weights, &ready(x, kind), true, taps).1
    }

    /// Channels of the result of [`Generator::encoded`].
    pub fn encoded_channels(&self) -> Vec<i64> {
        let params = Params::new(&self.layout, InitType::Normal, 0.0, Device::Cpu);
        let x = Tensor::zeros([1, 3, 32, 32], tch::kind::FLOAT_CPU);
        let weights = params.weights(Kind::Float);
        let features = no_grad(|| self.encoded(&weights, &x, Kind::Float));
        features.iter().map(|f| f.size()[1]).collect()
    }

    fn generate(
        &self,
        weights: &Weights,
        x: &Tensor,
        kind: Kind,
        train: bool,
        taps: &[usize],
    ) -> (GeneratorOutput, Vec<Tensor>) {
        let input = ready(x, kind);
        let (out, features) = forward_tapped(&self.layers, weights, &input, train, taps);
        let out = out.to_kind(Kind::Float);
        if !self.shape.mask_head {
            return (GeneratorOutput { image: out.tanh(), mask_logits: None }, features);
        }
        let generated = out.narrow(1, 0, 3).tanh();
        let logits = out.narrow(1, 3, 1);
        let image = x + logits.sigmoid() * (generated - x);
        (GeneratorOutput { image, mask_logits: Some(logits) }, features)
    }
}

/// The layers, and the numbers of layers before the first residual block and up to the end of each; empty without
/// residual blocks.
fn with_blocks(layers: Vec<Layer>) -> (Vec<Layer>, Vec<usize>) {
    let blocks = layers.iter().enumerate().filter(|(_, l)| matches!(l, Layer::Residual(_)));
    let mut after: Vec<usize> = blocks.map(|(i, _)| i + 1).collect();
    if let Some(first) = after.first() {
        after.insert(0, first - 1);
    }
    (layers, after)
}

/// The numbers of layers before the residual blocks, and up to a third, two thirds and all of them. Removed blocks
/// count, so that a student's features correspond to its teacher's.
fn thirds(after: &[usize]) -> Vec<usize> {
    let Some(blocks) = after.len().checked_sub(1) else {
        return Vec::new();
    };
    [0, blocks / 3, blocks * 2 / 3, blocks].map(|i| after[i]).to_vec()
}
