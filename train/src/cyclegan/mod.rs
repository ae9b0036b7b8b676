// SPDX-License-Identifier: MIT OR Apache-2.0

//! CycleGAN training (arXiv 1703.10593): generators G: A→B and F: B→A, discriminators of A and B.
//! With paired images, the same four networks train as two pix2pix models (arXiv 1611.07004).

pub mod adam;
mod both;
mod discriminator_step;
pub mod distill;
mod extend;
mod extra;
pub mod feature_discriminators;
mod freeze;
mod losses;
pub mod network_state;
pub mod pool;
pub mod schedule;
mod step;
pub mod teacher;

use anyhow::Result;
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    net::{
        discriminator::Discriminator, generator::Generator, init::InitType, projection::Projections,
    },
    options::TrainOptions,
    ranks::Ranks,
};
use distill::Distillation;
use feature_discriminators::FeatureDiscriminators;
pub use losses::{Losses, Term};
use network_state::NetworkState;
use pool::ImagePool;
use schedule::Plateau;
use teacher::Teacher;

/// A run's networks and training state.
#[derive(Debug)]
pub struct CycleGan {
    /// The networks of G and F.
    pub networks: [Generator; 2],
    discriminator: Discriminator,
    /// G and F.
    pub generators: [NetworkState; 2],
    /// Discriminators of G's output (domain B) and of F's output (domain A).
    pub discriminators: [NetworkState; 2],
    /// Discriminators on pretrained features, if there are any.
    pub feature_discriminators: Option<FeatureDiscriminators>,
    /// The projections of PatchNCE for the features of G and F, if it is used.
    pub projections: Option<[(Projections, NetworkState); 2]>,
    /// The image pools of G's and F's output.
    pub pools: [ImagePool; 2],
    /// The teacher, if there is one.
    pub distill: Option<Distillation>,
    /// The generators of --init-from, with --lambda-init.
    pub initial: Option<Teacher>,
    /// State of the plateau policy.
    pub plateau: Plateau,
    /// Number of iterations.
    pub step: u64,
    /// Images of each domain seen, over all ranks.
    pub images: u64,
    /// The number of these before the current stage.
    pub before_stage: u64,
    /// The ranks.
    pub ranks: Ranks,
    /// The device.
    pub device: Device,
    kind: Kind,
}

impl CycleGan {
    /// New networks by the options.
    pub fn new(options: &TrainOptions, device: Device) -> Result<Self> {
        // libtorch takes a signed seed; the bits are what counts.
        tch::manual_seed(options.seed as i64);
        let networks = [0, 1].map(|i| Generator::new(options.generator(i)));
        let discriminator = Discriminator::new(options.discriminator());
        let (init, gain, beta1) = (options.init_type(), options.init_gain, options.beta1);
        let initial = |network: &Generator| {
            let state = NetworkState::new(&network.layout, init, gain, beta1, device);
            if options.ema_half_life > 0.0 { state.with_ema() } else { state }
        };
        let generators = networks.each_ref().map(initial);
        let critic = || {
            let layout = &discriminator.layout;
            NetworkState::new(layout, InitType::Normal, gain, beta1, device)
        };
        let discriminators = [critic(), critic()];
        let project = |network: &Generator| {
            let projections = Projections::new(&network.encoded_channels());
            let layout = &projections.layout;
            let state = NetworkState::new(layout, InitType::Kaiming, gain, beta1, device);
            (projections, state)
        };
        let counts = options.lambda_nce > 0.0;
        let projections = counts.then(|| networks.each_ref().map(project));
        let feature_discriminators = options.d_features.as_deref();
        let feature_discriminators = feature_discriminators
            .map(|path| FeatureDiscriminators::new(path, options, device))
            .transpose()?;
        let pool = || ImagePool::new(options.pool_size());
        Ok(Self {
            networks,
            discriminator,
            generators,
            discriminators,
            feature_discriminators,
            projections,
            pools: [pool(), pool()],
            distill: None,
            initial: None,
            plateau: Plateau::default(),
            step: 0,
            images: 0,
            before_stage: 0,
            ranks: Ranks::default(),
            device,
            kind: options.mixed_precision.kind(),
        })
    }

    /// The output of generator `i`, with its averaged weights, for N×3×H×W in [−1, 1].
    pub fn translate(&self, i: usize, x: &Tensor) -> Tensor {
        no_grad(|| {
            let weights = self.generators[i].averaged().weights(Kind::Float);
            self.networks[i].forward(&weights, x, Kind::Float, false).image
        })
    }
}
