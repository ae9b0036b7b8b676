// SPDX-License-Identifier: MIT OR Apache-2.0

//! Losses on images that only the generator sees: more poses, scales and lighting of its domain, without
//! annotation. They have no mask, and no discriminator sees them.

use tch::Tensor;

use super::{
    both::Iteration,
    losses::{Sum, Term},
    step::{Drawn, contrast, l1},
};
use crate::{data::batch::Batch, net::params::Weights};

impl Iteration<'_> {
    /// Adds the cycle loss, the distance from a teacher, the flow loss and PatchNCE. Each image has the weight
    /// of one of the batch.
    pub(super) fn extra(
        &self,
        i: usize,
        weights: &[Weights; 2],
        drawn: &Drawn,
        cycles: bool,
        sum: &mut Sum<'_>,
    ) {
        let Self { model, batches, .. } = *self;
        let Some(images) = &batches[i].extra else {
            return;
        };
        sum.share = images.size()[0] as f64 / batches[i].images.size()[0] as f64;
        let batch = Batch { images: images.shallow_clone(), ..Batch::default() };
        let network = &model.networks[i];
        let (fake, features) = network.forward_with_features(&weights[i], images, model.kind, true);
        if cycles {
            let back = &model.networks[1 - i];
            let cycled = back.forward(&weights[1 - i], &fake.image, model.kind, true);
            sum.add(Term::Cycle, l1(&cycled.image, images));
        }
        self.distil(i, &batch, (&fake, &features), &weights[1 - i], sum);
        let projection = model.projections.as_ref().map(|all| &all[i]);
        if let (Some(projection), Some(order)) = (projection, &drawn.places) {
            let encoded = network.encoded(&weights[i], &fake.image, model.kind);
            sum.add(Term::Nce, contrast(projection, &features, &encoded, order));
        }
        if let Some(moved) = &drawn.moved {
            let generate = |x: &Tensor| network.forward(&weights[i], x, model.kind, true).image;
            sum.add(Term::Flow, moved.equivariance(generate, &fake.image));
        }
        sum.share = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::{
        cyclegan::{CycleGan, losses::Scope},
        noise::noise,
        options::TrainOptions,
    };

    #[test]
    fn extra_images_get_cycle_and_flow_losses_but_no_discriminator() {
        let options = TrainOptions {
            ngf: Some(4),
            width: 4,
            blocks: 1,
            ndf: 4,
            mask_head: true,
            lambda_flow: 2.0,
            ..TrainOptions::default()
        };
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let weights = [0, 1].map(|k| model.generators[k].params.weights(Kind::Float));
        let measured = |extra: i64| {
            let batch = Batch {
                images: noise(1, &[2, 3, 32, 32]),
                extra: Some(noise(2, &[extra, 3, 32, 32])),
                ..Batch::default()
            };
            let batches = [batch, Batch { images: noise(3, &[2, 3, 32, 32]), ..Batch::default() }];
            let iteration = Iteration { model: &model, batches: &batches, options: &options };
            let mut sum = Sum::new(Scope { options: &options, distill: None, i: 0 }, Device::Cpu);
            tch::manual_seed(1);
            let drawn = Drawn::of(batches[0].extra.as_ref().unwrap(), &options);
            iteration.extra(0, &weights, &drawn, true, &mut sum);
            let names: Vec<_> = sum.losses.iter().map(|l| l.0).collect();
            assert_eq!(names, ["cycle_A", "flow_A"]);
            let values: Vec<f64> = sum.losses.iter().map(|l| l.1.double_value(&[])).collect();
            (sum.total.double_value(&[]), options.lambda_a * values[0] + 2.0 * values[1])
        };
        // As many images as the batch have its weight, half as many have half of it.
        for (extra, share) in [(2, 1.0), (1, 0.5)] {
            let (total, weighted) = measured(extra);
            assert!(weighted > 0.0 && (total - share * weighted).abs() < 1e-4 * weighted);
        }
    }
}
