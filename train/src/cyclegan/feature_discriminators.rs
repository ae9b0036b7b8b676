// SPDX-License-Identifier: MIT OR Apache-2.0

//! Discriminators on the features of a pretrained network (Projected GAN, arXiv 2111.01007; vision-aided GAN,
//! arXiv 2112.09130): small heads at several depths, hinge loss, and differentiable augmentation of real and
//! generated images alike.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor, no_grad};

use super::{discriminator_step::DiscriminatorInput, network_state::NetworkState};
use crate::{
    loss::{
        adversarial::{patch_weights, weighted_mean},
        diff_augment::Augmentation,
    },
    net::{
        build::{Builder, Norm, Window},
        frozen::Frozen,
        init::InitType,
        layer::{Layer, forward},
        params::{Layout, Weights},
    },
    options::TrainOptions,
};

/// Channels inside a head.
const CHANNELS: i64 = 64;
const SLOPE: f64 = 0.2;

/// The pretrained network and the heads of both directions.
#[derive(Debug)]
pub struct FeatureDiscriminators {
    frozen: Frozen,
    /// The heads, one per depth.
    heads: Vec<Vec<Layer>>,
    /// Their parameters, for the outputs of G and of F.
    pub states: [NetworkState; 2],
}

impl FeatureDiscriminators {
    /// New heads on the network in `path`. Fails if it does not accept the run's crops.
    pub fn new(path: &Path, options: &TrainOptions, device: Device) -> Result<Self> {
        let frozen = Frozen::read(path, device)?;
        let side = i64::from(options.crop_size);
        let crop = Tensor::zeros([1, 3, side, side], (Kind::Float, device));
        no_grad(|| frozen.features(&crop)).with_context(|| path.display().to_string())?;
        let (heads, layout) = heads(&frozen.channels);
        let state = || NetworkState::new(&layout, InitType::Kaiming, 1.0, options.beta1, device);
        let states = [state(), state()];
        Ok(Self { frozen, heads, states })
    }

    /// The adversarial loss of generator `i` for its discriminator's input: −E[D(fake)].
    pub(super) fn adversarial(
        &self,
        i: usize,
        view: &DiscriminatorInput,
        augmentation: &Augmentation,
    ) -> Tensor {
        let weights = self.states[i].params.weights(Kind::Float);
        self.loss(&weights, view, augmentation, |scores| -scores)
    }

    /// The loss of the discriminator of generator `i`, E[max(0, 1 − D(real))] + E[max(0, 1 + D(fake))],
    /// and its gradient with respect to the heads, flat.
    pub(super) fn gradient(
        &self,
        i: usize,
        views: [&DiscriminatorInput; 2],
        augmentations: &[Augmentation; 2],
    ) -> (Tensor, Tensor) {
        let params = &self.states[i].params;
        let weights = params.weights(Kind::Float);
        let [real, fake] = views;
        let loss = self.loss(&weights, real, &augmentations[0], |scores| (-scores + 1.0).relu())
            + self.loss(&weights, fake, &augmentations[1], |scores| (scores + 1.0).relu());
        let gradients = Tensor::run_backward(&[&loss], &params.leaves(), false, false);
        (no_grad(|| params.flatten(&gradients)), loss.detach())
    }

    /// A mean over the depths.
    fn loss(
        &self,
        weights: &Weights,
        view: &DiscriminatorInput,
        augmentation: &Augmentation,
        of: fn(&Tensor) -> Tensor,
    ) -> Tensor {
        let (input, mask) = augmented(view, augmentation);
        let features = self.frozen.features(&input).expect("`new` ran the network on such a crop");
        let losses = self.heads.iter().zip(&features).map(|(head, features)| {
            let scores = forward(head, weights, features, true);
            let counted = mask.as_ref().map(|mask| patch_weights(mask, &scores));
            weighted_mean(&of(&scores), counted.as_ref())
        });
        Tensor::stack(&losses.collect::<Vec<_>>(), 0).mean(Kind::Float)
    }
}

/// The discriminator's input with its mask applied; pixels outside the mask are 0.
fn augmented(view: &DiscriminatorInput, augmentation: &Augmentation) -> (Tensor, Option<Tensor>) {
    let input = augmentation.colour(&view.input.to_kind(Kind::Float));
    match &view.mask {
        Some(mask) => (augmentation.place(&(input * mask)), Some(augmentation.place(mask))),
        None => (augmentation.place(&input), None),
    }
}

/// One head per depth: a 3×3 convolution and the score, with spectral normalisation.
fn heads(channels: &[i64]) -> (Vec<Vec<Layer>>, Layout) {
    let mut b = Builder::new(Norm::Spectral);
    let head = |(k, &ins): (usize, &i64)| {
        let first = b.conv(&format!("depth{k}.1"), ins, CHANNELS, Window::same(3, 1));
        let score = b.conv(&format!("depth{k}.score"), CHANNELS, 1, Window::valid(1));
        vec![first, Layer::LeakyRelu(SLOPE), score]
    };
    let heads = channels.iter().enumerate().map(head).collect();
    (heads, b.layout)
}
