// SPDX-License-Identifier: MIT OR Apache-2.0

//! Freezes instance normalisation: the mean over many images replaces each image's own statistics. The result
//! is a pure convolution network, whose look does not vary from frame to frame with the statistics.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor, no_grad};

use super::{CycleGan, network_state::NetworkState};
use crate::{
    data::batch::Batch,
    net::{
        build::Norm,
        generator::{Generator, GeneratorShape},
        layer::{ready, statistics},
        params::Params,
    },
};

impl CycleGan {
    /// The same model with generators of [`Norm::Frozen`] in place of [`Norm::Instance`]; the
    /// statistics are means over `images`, batches of both domains.
    pub fn freeze(self, images: impl Iterator<Item = Result<[Batch; 2]>>) -> Result<Self> {
        let shape = |g: &Generator| GeneratorShape { norm: Norm::Frozen, ..g.shape.clone() };
        let frozen = self.networks.each_ref().map(|g| Generator::new(shape(g)));
        let mut sums: [[Vec<Tensor>; 2]; 2] = Default::default();
        let mut count = 0u32;
        for batches in images {
            let batches = batches?;
            for (i, batch) in batches.iter().enumerate() {
                let state = &self.generators[i];
                for (sum, params) in sums[i].iter_mut().zip([&state.params, state.averaged()]) {
                    add(sum, measure(&self.networks[i], params, batch));
                }
            }
            count += 1;
        }
        ensure!(count > 0, "no images for the statistics");
        let mean = |sum: &Vec<Tensor>| sum.iter().map(|s| s / f64::from(count)).collect();
        let means: [[Vec<Tensor>; 2]; 2] = sums.map(|s| s.each_ref().map(mean));
        let [g, f] = [0, 1].map(|i| self.frozen_state(&frozen[i], i, &means[i]));
        Ok(Self { networks: frozen, generators: [g, f], ..self })
    }

    /// Generator `i` with statistics for its weights and for their average.
    fn frozen_state(&self, frozen: &Generator, i: usize, means: &[Vec<Tensor>; 2]) -> NetworkState {
        let old = &self.generators[i];
        let new = old.resized(&frozen.layout);
        let [own, averaged] = means;
        new.params.set_statistics(own);
        if let Some(ema) = &new.ema {
            ema.set_statistics(averaged);
        }
        new
    }
}

/// Mean and variance of each instance normalisation, in order.
fn measure(network: &Generator, params: &Params, batch: &Batch) -> Vec<Tensor> {
    no_grad(|| {
        let x = ready(&batch.images, Kind::Float);
        let found = statistics(&network.layers, &params.weights(Kind::Float), &x);
        found.into_iter().flatten().collect()
    })
}

fn add(sums: &mut Vec<Tensor>, found: Vec<Tensor>) {
    if sums.is_empty() {
        *sums = found;
        return;
    }
    for (sum, found) in sums.iter_mut().zip(&found) {
        *sum += found;
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::{net::generator::NetG, options::TrainOptions};

    /// The frozen statistics of a single image are its own, so its output does not change.
    #[test]
    fn freezing_on_an_image_does_not_change_its_output() {
        for net in [NetG::Fast, NetG::Resnet6Blocks, NetG::Unet128] {
            let options = TrainOptions {
                net_g: Some(net),
                norm: Some(Norm::Instance),
                ngf: Some(4),
                ndf: 4,
                mask_head: true,
                ..TrainOptions::default()
            };
            let model = CycleGan::new(&options, Device::Cpu).unwrap();
            let images = Tensor::rand([1, 3, 128, 128], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
            let batch = || Batch { images: images.shallow_clone(), ..Batch::default() };
            let generate = |model: &CycleGan, i: usize| {
                let weights = model.generators[i].averaged().weights(Kind::Float);
                let (generator, weights) = model.networks[i].folded(weights);
                generator.forward(&weights, &images, Kind::Float, false).image
            };
            let before = [0, 1].map(|i| generate(&model, i));
            let frozen = model.freeze([Ok([batch(), batch()])].into_iter()).unwrap();
            for (i, before) in before.iter().enumerate() {
                let difference = (generate(&frozen, i) - before).abs().max().double_value(&[]);
                assert!(difference < 1e-3, "{net:?} {i}: {difference}");
            }
        }
    }
}
