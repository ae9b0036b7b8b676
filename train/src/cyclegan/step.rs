// SPDX-License-Identifier: MIT OR Apache-2.0

//! One iteration: the generators against frozen discriminators, then the discriminators.

use tch::{Kind, Tensor, no_grad};

use super::{
    CycleGan,
    both::Iteration,
    discriminator_step::{DiscriminatorInput, Scored},
    distill::Target,
    losses::{Losses, Scope, Sum, Term},
    network_state::{Average, NetworkState},
};
use crate::{
    data::{
        batch::{Batch, Masks},
        order::{Purpose, random},
    },
    loss::{diff_augment::Augmentation, flicker, mask, nce},
    net::{
        generator::GeneratorOutput,
        params::{Params, Weights},
        projection::Projections,
    },
    options::TrainOptions,
};

/// The result of one direction of the generator update.
struct Share {
    /// Its share of the gradients of G and F, flat.
    gradients: [Tensor; 2],
    /// The gradient of PatchNCE's projection, if it is used.
    projection: Option<Tensor>,
    losses: Losses,
    scored: Scored,
}

/// One direction of the generator update; `i` is 0 for A→B and 1 for B→A.
struct Forward {
    /// The generator's output for the real images.
    fake: GeneratorOutput,
    /// Its output for images of its target domain, which it should not change.
    identity: Option<Tensor>,
    /// Its output for images of neither domain.
    negative: Option<GeneratorOutput>,
    /// Its features of the real images.
    features: Vec<Tensor>,
}

impl CycleGan {
    /// Trains on a batch of each domain.
    pub fn train_step(&mut self, batches: &[Batch; 2], options: &TrainOptions, lr: f64) -> Losses {
        let batch = batches[0].images.size()[0] as u64;
        let place = self.images + batch * self.ranks.rank() as u64;
        let mut seed = random(options.seed, Purpose::Step, place);
        tch::manual_seed(rand::RngExt::random::<i64>(&mut seed));
        let mut losses = Losses::new();
        let waits = self.images - self.before_stage < options.discriminators_first;
        let scored = if waits {
            self.generated(batches, options)
        } else {
            self.generator_step(batches, options, lr, &mut losses)
        };
        if options.lambda_gan > 0.0 || self.feature_discriminators.is_some() {
            self.discriminator_step(batches, scored, options, lr, &mut losses);
        }
        let images = batch * self.ranks.count() as u64;
        let average = Average {
            half_life: options.ema_half_life,
            images: images as f64,
            seen: (self.images + images) as f64,
        };
        // The average of a generator that does not learn would move on to its last weights.
        for i in (0..2).filter(|&i| !waits && options.trained()[i]) {
            self.generators[i].average(average);
        }
        self.step += 1;
        self.images += images;
        losses
    }

    /// The discriminators' input.
    fn generated(&self, batches: &[Batch; 2], options: &TrainOptions) -> [Option<Scored>; 2] {
        no_grad(|| {
            [0, 1].map(|i| {
                if !options.trained()[i] {
                    return None;
                }
                let weights = self.generators[i].params.weights(self.kind);
                let batch = &batches[i];
                let fake = self.networks[i].forward(&weights, &batch.images, self.kind, true);
                Some(Scored::unscored(&DiscriminatorInput::of(options, &fake.image, batch, batch)))
            })
        })
    }

    /// Updates G and F; returns the discriminators' input.
    fn generator_step(
        &mut self,
        batches: &[Batch; 2],
        options: &TrainOptions,
        lr: f64,
        losses: &mut Losses,
    ) -> [Option<Scored>; 2] {
        let shares = Iteration { model: self, batches, options }.generator_shares();
        for i in (0..2).filter(|&i| options.trained()[i]) {
            if let Some(gradient) = sum_of_gradients(&shares, i) {
                self.generators[i].update(gradient, lr, options.warmup, &self.ranks);
            }
        }
        let mut scored = [None, None];
        for (i, share) in shares.into_iter().enumerate() {
            let Some(share) = share else { continue };
            if let (Some(all), Some(gradient)) = (&mut self.projections, share.projection) {
                all[i].1.update(gradient, lr, options.warmup, &self.ranks);
            }
            losses.extend(share.losses);
            scored[i] = Some(share.scored);
        }
        scored
    }
}

impl Iteration<'_> {
    /// The results of the directions that are trained.
    fn generator_shares(&self) -> [Option<Share>; 2] {
        let draw = |batch: &Batch| {
            let of = |images: &Tensor| Drawn::of(images, self.options);
            (of(&batch.images), batch.extra.as_ref().map(of))
        };
        let trained = self.options.trained();
        let drawn = [0, 1].map(|i| trained[i].then(|| draw(&self.batches[i])));
        self.both(drawn, Self::direction)
    }

    /// The output of generator `i`, and the losses of both generators on it.
    fn direction(&self, i: usize, (drawn, of_extra): (Drawn, Option<Drawn>)) -> Share {
        let Self { model, batches, .. } = *self;
        let weights = [0, 1].map(|k| model.generators[k].params.weights(model.kind));
        let batch = &batches[i];
        let mut sum = Sum::new(self.scope(i), model.device);
        let forward = self.generate(i, &weights[i]);
        let fake = &forward.fake;
        let scored = self.add_adversarial(i, fake, &drawn, &mut sum);
        self.add_reconstruction(i, &weights[1 - i], &forward, &mut sum);
        self.add_negative(i, &forward, &mut sum);
        self.distil(i, batch, (fake, &forward.features), &weights[1 - i], &mut sum);
        self.add_initial(i, fake, &mut sum);
        self.add_consistency(i, &weights[i], &forward, &drawn, &mut sum);
        if let Some(drawn) = of_extra {
            self.extra(i, &weights, &drawn, self.has_cycle(i), &mut sum);
        }
        let image = fake.image.detach();
        sum.measure(Term::Change, &l1(&image, &batch.images));
        sum.measure(Term::Correlation, &correlation(&image, &batch.images));
        let projection = model.projections.as_ref().map(|all| &all[i].1);
        let learn: Vec<&Params> =
            model.generators.iter().chain(projection).map(|state| &state.params).collect();
        let mut gradients = gradients(&sum.total, &learn).into_iter();
        let of = gradients.by_ref().take(2).collect::<Vec<_>>().try_into();
        let gradients_of = of.expect("two generators");
        let (losses, projection) = (sum.losses, gradients.next());
        Share { gradients: gradients_of, projection, losses, scored }
    }

    /// Adds the losses against the discriminators of generator `i`.
    fn add_adversarial(
        &self,
        i: usize,
        fake: &GeneratorOutput,
        drawn: &Drawn,
        sum: &mut Sum<'_>,
    ) -> Scored {
        let batch = &self.batches[i];
        let view = DiscriminatorInput::of(self.options, &fake.image, batch, batch);
        let scored = if self.options.lambda_gan > 0.0 {
            let (scored, loss) = self.adversarial_loss(i, &view);
            sum.add(Term::Adversarial, loss);
            scored
        } else {
            Scored::unscored(&view)
        };
        if let (Some(discriminators), Some(augmentation)) =
            (&self.model.feature_discriminators, &drawn.augmentation)
            && Term::FeatureAdversarial.weight(self.scope(i)) > 0.0
        {
            sum.add(Term::FeatureAdversarial, discriminators.adversarial(i, &view, augmentation));
        }
        scored
    }

    /// Adds the cycle loss through the other generator, with the weights `back`, the distance from the partner, the
    /// identity loss and that of the masks.
    fn add_reconstruction(&self, i: usize, back: &Weights, forward: &Forward, sum: &mut Sum<'_>) {
        let (model, fake) = (self.model, &forward.fake);
        let (batch, other) = (&self.batches[i], &self.batches[1 - i]);
        let cycled = self
            .has_cycle(i)
            .then(|| model.networks[1 - i].forward(back, &fake.image, model.kind, true));
        if let Some(cycled) = &cycled {
            sum.add(Term::Cycle, l1(&cycled.image, &batch.images));
        }
        if self.options.paired() {
            sum.add(Term::Partner, l1(&fake.image, &other.images));
        }
        if let Some(same) = &forward.identity {
            sum.add(Term::Identity, l1(same, &other.images));
        }
        let generated: Vec<&GeneratorOutput> = [fake].into_iter().chain(&cycled).collect();
        if let Some(loss) = mask_loss(&generated, batch.masks.as_ref()) {
            sum.add(Term::Mask, loss);
        }
    }

    /// Adds the losses on images of neither domain. Each image has the weight of one of the batch.
    fn add_negative(&self, i: usize, forward: &Forward, sum: &mut Sum<'_>) {
        let batch = &self.batches[i];
        if let (Some(same), Some(negatives)) = (&forward.negative, &batch.negatives) {
            sum.share = negatives.size()[0] as f64 / batch.images.size()[0] as f64;
            sum.add(Term::Negative, l1(&same.image, negatives));
            if let Some(logits) = &same.mask_logits {
                sum.add(Term::NegativeMask, mask::empty(logits));
            }
            sum.share = 1.0;
        }
    }

    /// Adds the distance from the output of the generators of --init-from.
    fn add_initial(&self, i: usize, fake: &GeneratorOutput, sum: &mut Sum<'_>) {
        let (model, batch) = (self.model, &self.batches[i]);
        if let Some(initial) = &model.initial {
            let generated = initial.generate(i, &batch.images, model.kind).image;
            let target = Target::new(&generated, batch, self.options.mask_head);
            sum.add(Term::Initial, target.l1(&fake.image, &target.image));
        }
    }

    /// Adds the losses that compare the output with the input, place by place, and with the output for other frames.
    fn add_consistency(
        &self,
        i: usize,
        weights: &Weights,
        forward: &Forward,
        drawn: &Drawn,
        sum: &mut Sum<'_>,
    ) {
        let (model, batch, fake) = (self.model, &self.batches[i], &forward.fake);
        let generate = |x: &Tensor| model.networks[i].forward(weights, x, model.kind, true).image;
        let projection = model.projections.as_ref().map(|all| &all[i]);
        if let (Some(projection), Some(order)) = (projection, &drawn.places) {
            let encoded = model.networks[i].encoded(weights, &fake.image, model.kind);
            sum.add(Term::Nce, contrast(projection, &forward.features, &encoded, order));
        }
        if let Some(moved) = &drawn.moved {
            sum.add(Term::Flow, moved.equivariance(generate, &fake.image));
        }
        if let Some(next) = batch.next.as_ref().filter(|_| self.options.lambda_diff > 0.0) {
            let loss = flicker::frame_difference(generate, &batch.images, &fake.image, next);
            sum.add(Term::Difference, loss);
        }
    }

    /// Whether direction `i` has a cycle loss.
    fn has_cycle(&self, i: usize) -> bool {
        !self.options.paired() && Term::Cycle.weight(self.scope(i)) > 0.0
    }

    /// What the weights of direction `i` depend on.
    fn scope(&self, i: usize) -> Scope<'_> {
        let distill = self.model.distill.as_ref().map(|distill| &distill.options);
        Scope { options: self.options, distill, i }
    }

    /// Runs generator `i` on its domain, on its target for the identity loss, and on images of neither, as
    /// one batch; the result is the same except with batch normalisation. Images whose losses have no weight are
    /// left out.
    fn generate(&self, i: usize, weights: &Weights) -> Forward {
        let Self { model, batches, options } = *self;
        let has_weight = |term: Term| term.weight(self.scope(i)) > 0.0;
        let identity = !options.paired() && has_weight(Term::Identity);
        let same = identity.then_some(&batches[1 - i].images);
        let unchanged =
            has_weight(Term::Negative) || (options.mask_head && has_weight(Term::NegativeMask));
        let negatives = batches[i].negatives.as_ref().filter(|_| unchanged);
        let inputs: Vec<&Tensor> =
            [Some(&batches[i].images), same, negatives].into_iter().flatten().collect();
        let run =
            |x: &Tensor| model.networks[i].forward_with_features(weights, x, model.kind, true);
        let alike = inputs.iter().all(|x| x.size()[1..] == inputs[0].size()[1..]);
        let parts = if alike && !model.networks[i].shape.norm.mixes_images() {
            let (generated, features) = run(&Tensor::cat(&inputs, 0));
            split(&generated, &features, &inputs)
        } else {
            inputs.iter().map(|x| run(x)).collect()
        };
        let mut parts = parts.into_iter();
        let (fake, features) = parts.next().expect("as many parts as inputs, at least one");
        let identity = same.and_then(|_| parts.next()).map(|(generated, _)| generated.image);
        let negative = negatives.and_then(|_| parts.next()).map(|(generated, _)| generated);
        Forward { fake, identity, negative, features }
    }
}

/// The random numbers of a direction, drawn before both run in parallel.
pub(super) struct Drawn {
    pub moved: Option<flicker::Moved>,
    /// An order of positions in the features.
    pub places: Option<Tensor>,
    /// Augmentation for the discriminator on pretrained features.
    augmentation: Option<Augmentation>,
}

impl Drawn {
    pub fn of(images: &Tensor, options: &TrainOptions) -> Self {
        let moved = (options.lambda_flow > 0.0).then(|| flicker::Moved::random(images));
        let places = (options.lambda_nce > 0.0).then(|| {
            let size = images.size();
            nce::random_order((size[2] / 4) * (size[3] / 4), images)
        });
        let augmented = options.d_features.is_some();
        let augmentation = augmented.then(|| Augmentation::random(images));
        Self { moved, places, augmentation }
    }
}

/// The gradient of generator `i` over the directions that were run.
fn sum_of_gradients(shares: &[Option<Share>; 2], i: usize) -> Option<Tensor> {
    let gradients = shares.iter().flatten().map(|share| share.gradients[i].shallow_clone());
    no_grad(|| gradients.reduce(|a, b| a + b))
}

/// The gradients of a loss with respect to each of `params`, flat.
fn gradients(loss: &Tensor, params: &[&Params]) -> Vec<Tensor> {
    // libtorch would end the process.
    if !loss.requires_grad() {
        return params.iter().map(|params| params.flat().zeros_like()).collect();
    }
    let leaves: Vec<Vec<&Tensor>> = params.iter().map(|params| params.leaves()).collect();
    let all = Tensor::run_backward(&[loss], &leaves.concat(), false, false);
    let mut rest = all.as_slice();
    let flat = |(params, leaves): (&&Params, &Vec<&Tensor>)| {
        let (own, others) = rest.split_at(leaves.len());
        rest = others;
        no_grad(|| params.flatten(own))
    };
    params.iter().zip(&leaves).map(flat).collect()
}

/// PatchNCE between a generator's features of its input and of its result, a mean over the depths.
pub(super) fn contrast(
    (projections, state): &(Projections, NetworkState),
    input: &[Tensor],
    result: &[Tensor],
    order: &Tensor,
) -> Tensor {
    let weights = state.params.weights(Kind::Float);
    let depth = |(k, (input, result)): (usize, (&Tensor, &Tensor))| {
        let project = |features: &Tensor| {
            let features = nce::sampled(features, order).to_kind(Kind::Float);
            projections.forward(&weights, k, &features)
        };
        nce::nce(&project(result), &project(input))
    };
    let losses: Vec<Tensor> = input.iter().zip(result).enumerate().map(depth).collect();
    Tensor::stack(&losses, 0).mean(Kind::Float)
}

/// Splits a batch that was concatenated from `inputs`, with its features.
fn split(
    generated: &GeneratorOutput,
    features: &[Tensor],
    inputs: &[&Tensor],
) -> Vec<(GeneratorOutput, Vec<Tensor>)> {
    let mut begin = 0;
    let part = |input: &&Tensor| {
        let (from, count) = (begin, input.size()[0]);
        begin += count;
        let of = |x: &Tensor| x.narrow(0, from, count);
        let mask_logits = generated.mask_logits.as_ref().map(of);
        (
            GeneratorOutput { image: of(&generated.image), mask_logits },
            features.iter().map(of).collect(),
        )
    };
    inputs.iter().map(part).collect()
}

/// The mask's loss, a mean over the passes through both generators.
fn mask_loss(generated: &[&GeneratorOutput], masks: Option<&Masks>) -> Option<Tensor> {
    let of = |generated: &&GeneratorOutput| {
        let logits = generated.mask_logits.as_ref()?;
        Some(match masks {
            Some(Masks { truth, known }) => mask::supervised(logits, truth, known),
            None => mask::small(logits),
        })
    };
    let losses: Option<Vec<Tensor>> = generated.iter().map(of).collect();
    Some(Tensor::stack(&losses?, 0).mean(Kind::Float))
}

/// Correlation of the brightness of two images, −1 to 1.
fn correlation(a: &Tensor, b: &Tensor) -> Tensor {
    let centred = |x: &Tensor| {
        let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float);
        &grey - grey.mean(Kind::Float)
    };
    let (a, b) = (centred(a), centred(b));
    let norm = (a.square().sum(Kind::Float) * b.square().sum(Kind::Float)).sqrt();
    (a * b).sum(Kind::Float) / norm.clamp_min(1e-6)
}

pub(super) fn l1(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).abs().mean(Kind::Float)
}

#[cfg(test)]
mod tests;
