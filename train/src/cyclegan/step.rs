// SPDX-License-Identifier: MIT OR Apache-2.0

//! One iteration: the generators against frozen discriminators, then the discriminators.

use tch::{Kind, Tensor, no_grad};

use super::{
    CycleGan,
    both::Iteration,
    distill::Target,
    judge::{Judged, seen},
    losses::{Losses, NAMES},
};
use crate::{
    data::{
        batch::{Batch, Masks},
        order::{Purpose, random},
    },
    loss::{alignment::kernel_alignment, flicker, mask},
    net::{generator::Painted, params::Weights},
    options::TrainOptions,
};

/// What one direction of the generator step gives.
struct Share {
    /// Its share of the gradients of G and F, flat.
    gradients: [Tensor; 2],
    losses: Losses,
    judged: Judged,
}

/// One direction of the generator step; `i` is 0 for A→B and 1 for B→A.
struct Forward {
    /// What the generator made of the real images.
    fake: Painted,
    /// What it made of images of its target domain, which it ought to leave alone.
    identity: Option<Tensor>,
    /// Its features of the real images.
    features: Vec<Tensor>,
}

impl CycleGan {
    /// Trains on a batch of each domain.
    pub fn train_step(&mut self, batches: &[Batch; 2], options: &TrainOptions, lr: f64) -> Losses {
        let place = self.step * self.peers.count() as u64 + self.peers.rank() as u64;
        let mut seed = random(options.seed, Purpose::Step, place);
        tch::manual_seed(rand::RngExt::random::<i64>(&mut seed));
        let mut losses = Losses::new();
        let judged = if self.step < options.discriminators_first {
            self.painted(batches, options)
        } else {
            self.generator_step(batches, options, lr, &mut losses)
        };
        self.discriminator_step(batches, judged, options, lr, &mut losses);
        for generator in &mut self.generators {
            generator.average(options.ema);
        }
        self.step += 1;
        losses
    }

    /// What the discriminators are to look at while G and F wait for them.
    fn painted(&self, batches: &[Batch; 2], options: &TrainOptions) -> [Judged; 2] {
        no_grad(|| {
            [0, 1].map(|i| {
                let weights = self.generators[i].params.weights(self.kind);
                let batch = &batches[i];
                let fake = self.networks[i].forward(&weights, &batch.images, self.kind, true);
                Judged::unseen(seen(options, &fake.image, batch, batch))
            })
        })
    }

    /// Updates G and F; returns what the discriminators looked at.
    fn generator_step(
        &mut self,
        batches: &[Batch; 2],
        options: &TrainOptions,
        lr: f64,
        losses: &mut Losses,
    ) -> [Judged; 2] {
        let iteration = Iteration { model: self, batches, options };
        let ([of_g, of_f], told, judged) = iteration.generator_gradients();
        self.generators[0].update(of_g, lr, &self.peers);
        self.generators[1].update(of_f, lr, &self.peers);
        losses.extend(told);
        judged
    }
}

impl Iteration<'_> {
    /// The gradients of G and F, flat, and what was measured and judged beside.
    fn generator_gradients(&self) -> ([Tensor; 2], Losses, [Judged; 2]) {
        let flows = self.options.lambda_flow > 0.0;
        let moved = |batch: &Batch| flows.then(|| flicker::Moved::random(&batch.images));
        let [there, back] = self.both(self.batches.each_ref().map(moved), Self::direction);
        let sum = |k: usize| no_grad(|| &there.gradients[k] + &back.gradients[k]);
        let losses = there.losses.into_iter().chain(back.losses).collect();
        ([sum(0), sum(1)], losses, [there.judged, back.judged])
    }

    /// What generator `i` paints, and what both generators are to learn from that.
    fn direction(&self, i: usize, moved: Option<flicker::Moved>) -> Share {
        let Self { model, batches, options } = *self;
        let weights = [0, 1].map(|k| model.generators[k].params.weights(model.kind));
        let names = &NAMES[i];
        let lambda = [options.lambda_a, options.lambda_b];
        let (batch, other) = (&batches[i], &batches[1 - i]);
        let mut total = Tensor::zeros([], (Kind::Float, model.device));
        let mut losses = Losses::new();
        let mut add = |name, weight: f64, loss: Tensor| {
            total = &total + &loss * weight;
            losses.push((name, loss.detach()));
        };
        let forward = self.paint(i, &weights[i]);
        let fake = &forward.fake;
        let view = seen(options, &fake.image, batch, batch);
        let (judged, loss) = self.judge(i, &view);
        add(names.adversarial, 1.0, loss);
        let paint =
            |k: usize, x: &Tensor| model.networks[k].forward(&weights[k], x, model.kind, true);
        let cycled = (!options.paired() && lambda[i] > 0.0).then(|| paint(1 - i, &fake.image));
        if let Some(cycled) = &cycled {
            add(names.cycle, lambda[i], l1(&cycled.image, &batch.images));
        }
        if options.paired() {
            add(names.partner, options.lambda_l1, l1(&fake.image, &other.images));
        }
        if let Some(same) = &forward.identity {
            let weight = lambda[1 - i] * options.lambda_identity;
            add(names.identity, weight, l1(same, &other.images));
        }
        let painted: Vec<&Painted> = [fake].into_iter().chain(&cycled).collect();
        if let Some(loss) = mask_loss(&painted, batch.masks.as_ref()) {
            add(names.mask, options.lambda_mask, loss);
        }
        self.distil(i, &forward, &weights[1 - i], &mut add);
        let there = |x: &Tensor| paint(i, x).image;
        if let Some(moved) = moved {
            add(names.flow, options.lambda_flow, moved.equivariance(there, &fake.image));
        }
        if let Some(next) = batch.next.as_ref().filter(|_| options.lambda_diff > 0.0) {
            let loss = flicker::frame_difference(there, &batch.images, &fake.image, next);
            add(names.difference, options.lambda_diff, loss);
        }
        let image = fake.image.detach();
        losses.push((names.change, l1(&image, &batch.images)));
        losses.push((names.likeness, likeness(&image, &batch.images)));
        Share { gradients: self.gradients(total), losses, judged }
    }

    /// The gradients of a loss in the weights of G and of F.
    fn gradients(&self, loss: Tensor) -> [Tensor; 2] {
        let [g, f] = self.model.generators.each_ref();
        let leaves = [g.params.leaves(), f.params.leaves()];
        let gradients = Tensor::run_backward(&[loss], &leaves.concat(), false, false);
        let (of_g, of_f) = gradients.split_at(leaves[0].len());
        no_grad(|| [g.params.flatten(of_g), f.params.flatten(of_f)])
    }

    /// Adds what generator `i` learns from its teacher, and the other one from the way back.
    fn distil(
        &self,
        i: usize,
        forward: &Forward,
        back: &Weights,
        add: &mut impl FnMut(&'static str, f64, Tensor),
    ) {
        let (model, batch) = (self.model, &self.batches[i]);
        let Some(distill) = &model.distill else {
            return;
        };
        let Some(lesson) = distill.lesson(i, batch, model.kind) else {
            return;
        };
        let target = Target::new(&lesson.image, batch, self.options.mask_head);
        let weights = &distill.options;
        add(NAMES[i].recon, weights.recon(i), target.l1(&forward.fake.image, &target.image));
        if weights.lambda_inverse > 0.0 {
            let painted = model.networks[1 - i].forward(back, &target.image, model.kind, true);
            let loss = target.l1(&painted.image, &batch.images);
            add(NAMES[i].inverse, weights.lambda_inverse, loss);
        }
        let pairs = forward.features.iter().zip(&lesson.features);
        let alignments: Vec<Tensor> = pairs.map(|(own, its)| kernel_alignment(own, its)).collect();
        if weights.distill(i) > 0.0 && !alignments.is_empty() {
            // Told as a mean, counted as −Σ over the features.
            let weight = -weights.distill(i) * alignments.len() as f64;
            add(NAMES[i].alignment, weight, Tensor::stack(&alignments, 0).mean(Kind::Float));
        }
    }

    /// Generator `i` on its domain and, for the identity loss, on its target: one batch, which
    /// all but batch normalisation makes exact.
    fn paint(&self, i: usize, weights: &Weights) -> Forward {
        let Self { model, batches, options } = *self;
        let real = &batches[i].images;
        let same = &batches[1 - i].images;
        let paint =
            |x: &Tensor| model.networks[i].forward_with_features(weights, x, model.kind, true);
        if options.paired() || options.lambda_identity == 0.0 {
            let (fake, features) = paint(real);
            return Forward { fake, identity: None, features };
        }
        if real.size() != same.size() || model.networks[i].shape.norm.mixes_images() {
            let (fake, features) = paint(real);
            return Forward { fake, identity: Some(paint(same).0.image), features };
        }
        let n = real.size()[0];
        let (both, features) = paint(&Tensor::cat(&[real, same], 0));
        let fake = Painted {
            image: both.image.narrow(0, 0, n),
            mask_logits: both.mask_logits.map(|m| m.narrow(0, 0, n)),
        };
        let identity = Some(both.image.narrow(0, n, n));
        let features = features.iter().map(|f| f.narrow(0, 0, n)).collect();
        Forward { fake, identity, features }
    }
}

/// The mask's loss, a mean over the passes through both generators.
fn mask_loss(painted: &[&Painted], masks: Option<&Masks>) -> Option<Tensor> {
    let of = |painted: &&Painted| {
        let logits = painted.mask_logits.as_ref()?;
        Some(match masks {
            Some(Masks { truth, known }) => mask::supervised(logits, truth, known),
            None => mask::small(logits),
        })
    };
    let losses: Option<Vec<Tensor>> = painted.iter().map(of).collect();
    Some(Tensor::stack(&losses?, 0).mean(Kind::Float))
}

/// Correlation of the brightness of two pictures, −1 to 1.
fn likeness(a: &Tensor, b: &Tensor) -> Tensor {
    let centred = |x: &Tensor| {
        let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float);
        &grey - grey.mean(Kind::Float)
    };
    let (a, b) = (centred(a), centred(b));
    let norm = (a.square().sum(Kind::Float) * b.square().sum(Kind::Float)).sqrt();
    (a * b).sum(Kind::Float) / norm.clamp_min(1e-6)
}

fn l1(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).abs().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::noise::noise;

    /// The losses that an iteration tells, times their weights, against its gradients.
    #[test]
    fn the_gradients_are_those_of_the_losses() {
        let options =
            TrainOptions { ngf: Some(4), width: 4, blocks: 1, ndf: 4, ..TrainOptions::default() };
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
        let batches = [batch(1), batch(2)];
        let weight = |name: &str| match name {
            "G_A" | "G_B" => 1.0,
            "cycle_A" => options.lambda_a,
            "cycle_B" => options.lambda_b,
            "idt_A" => options.lambda_b * options.lambda_identity,
            "idt_B" => options.lambda_a * options.lambda_identity,
            _ => 0.0,
        };
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let loss = || -> f64 {
            let (_, losses, _) = iteration.generator_gradients();
            losses.iter().map(|(name, value)| weight(name) * value.double_value(&[])).sum()
        };
        let (gradients, ..) = iteration.generator_gradients();
        for (player, gradient) in model.generators.iter().zip(gradients) {
            let length = gradient.norm().double_value(&[]);
            let by = |far: f64| {
                no_grad(|| {
                    let _ =
                        player.params.flat().shallow_clone().g_add_(&(&gradient * far / length));
                });
            };
            let far = 1e-3;
            by(far);
            let above = loss();
            by(-2.0 * far);
            let below = loss();
            by(far);
            let slope = (above - below) / (2.0 * far);
            assert!((slope / length - 1.0).abs() < 0.05, "{slope} {length}");
        }
    }
}
