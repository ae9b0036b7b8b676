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
                Some(Scored::unseen(&DiscriminatorInput::of(options, &fake.image, batch, batch)))
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
        let Self { model, batches, options } = *self;
        let weights = [0, 1].map(|k| model.generators[k].params.weights(model.kind));
        let (batch, other) = (&batches[i], &batches[1 - i]);
        let scope = self.scope(i);
        let mut sum = Sum::new(scope, model.device);
        let forward = self.generate(i, &weights[i]);
        let fake = &forward.fake;
        let view = DiscriminatorInput::of(options, &fake.image, batch, batch);
        let scored = if options.lambda_gan > 0.0 {
            let (scored, loss) = self.adversarial_loss(i, &view);
            sum.add(Term::Adversarial, loss);
            scored
        } else {
            Scored::unseen(&view)
        };
        if let (Some(discriminators), Some(augmentation)) =
            (&model.feature_discriminators, &drawn.augmentation)
            && Term::FeatureAdversarial.weight(scope) > 0.0
        {
            sum.add(Term::FeatureAdversarial, discriminators.adversarial(i, &view, augmentation));
        }
        let generate =
            |k: usize, x: &Tensor| model.networks[k].forward(&weights[k], x, model.kind, true);
        let cycles = !options.paired() && Term::Cycle.weight(scope) > 0.0;
        let cycled = cycles.then(|| generate(1 - i, &fake.image));
        if let Some(cycled) = &cycled {
            sum.add(Term::Cycle, l1(&cycled.image, &batch.images));
        }
        if options.paired() {
            sum.add(Term::Partner, l1(&fake.image, &other.images));
        }
        if let Some(same) = &forward.identity {
            sum.add(Term::Identity, l1(same, &other.images));
        }
        let generated: Vec<&GeneratorOutput> = [fake].into_iter().chain(&cycled).collect();
        if let Some(loss) = mask_loss(&generated, batch.masks.as_ref()) {
            sum.add(Term::Mask, loss);
        }
        if let (Some(same), Some(negatives)) = (&forward.negative, &batch.negatives) {
            sum.add(Term::Negative, l1(&same.image, negatives));
            if let Some(logits) = &same.mask_logits {
                sum.add(Term::NegativeMask, mask::empty(logits));
            }
        }
        self.distil(i, batch, (fake, &forward.features), &weights[1 - i], &mut sum);
        if let Some(beginning) = &model.beginning {
            let generated = beginning.generate(i, &batch.images, model.kind).image;
            let target = Target::new(&generated, batch, options.mask_head);
            sum.add(Term::Beginning, target.l1(&fake.image, &target.image));
        }
        let generate_image = |x: &Tensor| generate(i, x).image;
        let projection = model.projections.as_ref().map(|all| &all[i]);
        if let (Some(projection), Some(order)) = (projection, &drawn.places) {
            let encoded = model.networks[i].encoded(&weights[i], &fake.image, model.kind);
            sum.add(Term::Nce, contrast(projection, &forward.features, &encoded, order));
        }
        if let Some(moved) = drawn.moved {
            sum.add(Term::Flow, moved.equivariance(generate_image, &fake.image));
        }
        if let Some(next) = batch.next.as_ref().filter(|_| options.lambda_diff > 0.0) {
            let loss = flicker::frame_difference(generate_image, &batch.images, &fake.image, next);
            sum.add(Term::Difference, loss);
        }
        if let Some(drawn) = of_extra {
            self.extra(i, &weights, &drawn, cycles, &mut sum);
        }
        let image = fake.image.detach();
        sum.measure(Term::Change, &l1(&image, &batch.images));
        sum.measure(Term::Correlation, &correlation(&image, &batch.images));
        let learn = model.generators.iter().chain(projection.map(|(_, state)| state));
        let learn: Vec<&Params> = learn.map(|state| &state.params).collect();
        let mut gradients = gradients(&sum.total, &learn).into_iter();
        let of = gradients.by_ref().take(2).collect::<Vec<_>>().try_into();
        let gradients_of = of.expect("two generators");
        let (losses, projection) = (sum.losses, gradients.next());
        Share { gradients: gradients_of, projection, losses, scored }
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
mod tests {
    use clap::{Args, FromArgMatches};
    use tch::Device;

    use super::*;
    use crate::{
        cyclegan::{
            distill::{DistillOptions as Distilling, Distillation},
            teacher::Teacher,
        },
        noise::noise,
        options::GeneratorName,
    };

    /// Options of small networks.
    fn small() -> TrainOptions {
        TrainOptions { ngf: Some(4), width: 4, blocks: 1, ndf: 4, ..TrainOptions::default() }
    }

    /// Compares an iteration's gradients with those of its reported losses times their weights.
    #[test]
    fn the_gradients_are_those_of_the_reported_losses() {
        let options = TrainOptions { mask_head: true, lambda_init: 2.0, ..small() };
        let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
        let other = TrainOptions { seed: 7, ..options.clone() };
        model.beginning = Some(Teacher::new(CycleGan::new(&other, Device::Cpu).unwrap()));
        let image = |seed| noise(seed, &[1, 3, 32, 32]);
        let batch = |seed| Batch {
            images: image(seed),
            negatives: Some(image(seed + 10)),
            extra: Some(image(seed + 20)),
            ..Batch::default()
        };
        let batches = [batch(1), batch(2)];
        let weight = |name: &str| {
            let (term, i) = Term::of(name).unwrap();
            term.weight(Scope { options: &options, distill: None, i })
        };
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let loss = || -> f64 {
            let shares = iteration.generator_shares();
            let losses = shares.iter().flatten().flat_map(|share| &share.losses);
            losses.map(|(name, value)| weight(name) * value.double_value(&[])).sum()
        };
        let shares = iteration.generator_shares();
        for (i, state) in model.generators.iter().enumerate() {
            let gradient = sum_of_gradients(&shares, i).unwrap();
            let length = gradient.norm().double_value(&[]);
            let by = |far: f64| {
                no_grad(|| {
                    let _ = state.params.flat().shallow_clone().g_add_(&(&gradient * far / length));
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

    #[test]
    fn learn_trains_only_the_named_parameters() {
        let options = TrainOptions {
            mask_head: true,
            lambda_gan: 0.0,
            learn: vec!["head".to_owned()],
            ..small()
        };
        let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
        let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
        // All parameters have moments from before.
        model.train_step(&[batch(3), batch(4)], &options, 1e-3);
        for generator in &mut model.generators {
            generator.params.learn_only(&options.learn);
        }
        let values = |model: &CycleGan| {
            let all = model.generators.iter().chain(&model.discriminators);
            let flat = |s: &NetworkState| [s.params.flat(), &s.adam.m, &s.adam.v].map(Tensor::copy);
            all.map(flat).collect::<Vec<_>>()
        };
        let before = values(&model);
        let losses = model.train_step(&[batch(1), batch(2)], &options, 1e-3);
        assert!(losses.iter().all(|(name, _)| !name.starts_with(['G', 'D'])), "{losses:?}");
        let after = values(&model);
        for i in 0..2 {
            let layout = model.generators[i].params.layout();
            for (old, new) in before[i].iter().zip(&after[i]) {
                let [old, new] = [old, new].map(|flat| Params::from_flat(layout, flat.copy()));
                for id in layout.ids() {
                    let name = layout.name(id);
                    let same = old.get(name).unwrap().equal(new.get(name).unwrap());
                    assert_eq!(same, !name.starts_with("head"), "{name}");
                }
            }
            assert_eq!(before[2 + i], after[2 + i], "discriminators");
        }
    }

    #[test]
    fn averages_wait_while_their_generators_do_not_learn() {
        let both = TrainOptions { lambda_a: 0.0, lambda_b: 0.0, ..small() };
        let mut model = CycleGan::new(&both, Device::Cpu).unwrap();
        let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
        let batches = [batch(1), batch(2)];
        // From here on, the averages differ from the weights.
        model.train_step(&batches, &both, 1e-3);
        let mut moved = |options: &TrainOptions| {
            let before = model.generators.each_ref().map(|g| g.shown().flat().copy());
            model.train_step(&batches, options, 1e-3);
            [0, 1].map(|i| !before[i].equal(model.generators[i].shown().flat()))
        };
        assert_eq!(moved(&both), [true, true]);
        let only = |only| TrainOptions { only: Some(only), ..both.clone() };
        assert_eq!(moved(&only(GeneratorName::G)), [true, false]);
        assert_eq!(moved(&only(GeneratorName::F)), [false, true]);
        let waiting = TrainOptions { discriminators_first: 1000, ..both.clone() };
        assert_eq!(moved(&waiting), [false, false]);
    }

    #[test]
    fn losses_without_a_weight_are_not_computed() {
        let small = small();
        let names = |options: TrainOptions| -> Vec<&str> {
            let model = CycleGan::new(&options, Device::Cpu).unwrap();
            let batch = |seed| Batch {
                images: noise(seed, &[1, 3, 32, 32]),
                negatives: Some(noise(seed + 10, &[1, 3, 32, 32])),
                ..Batch::default()
            };
            let batches = [batch(1), batch(2)];
            let iteration = Iteration { model: &model, batches: &batches, options: &options };
            let shares = iteration.generator_shares();
            let names = shares.iter().flatten().flat_map(|share| &share.losses);
            let optional = ["cycle", "idt", "negative"];
            names
                .map(|(name, _)| *name)
                .filter(|n| optional.iter().any(|o| n.starts_with(o)))
                .collect()
        };
        let all = ["cycle_A", "idt_A", "negative_A", "cycle_B", "idt_B", "negative_B"];
        assert_eq!(names(small.clone()), all);
        // The weight of the identity loss is relative to the cycle loss of the other direction.
        let one = TrainOptions { lambda_a: 0.0, lambda_negative: 0.0, ..small.clone() };
        assert_eq!(names(one), ["idt_A", "cycle_B"]);
        let none = TrainOptions { lambda_a: 0.0, lambda_b: 0.0, ..small.clone() };
        assert_eq!(names(none), ["negative_A", "negative_B"]);
        // The masks of images of neither domain have a weight of their own.
        let masks = TrainOptions { mask_head: true, lambda_negative: 0.0, ..small };
        assert!(names(masks).contains(&"negative_mask_A"));
    }

    /// libtorch would end the process.
    #[test]
    fn a_direction_without_a_loss_changes_nothing() {
        let options = TrainOptions {
            lambda_a: 0.0,
            lambda_b: 0.0,
            lambda_identity: 0.0,
            lambda_gan: 0.0,
            ..small()
        };
        let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
        let before = model.generators.each_ref().map(|state| state.params.flat().copy());
        let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
        model.train_step(&[batch(1), batch(2)], &options, 1e-3);
        assert_eq!(before.each_ref(), model.generators.each_ref().map(|s| s.params.flat()));
    }

    /// Where the teacher disagrees with the annotation, here everywhere, the target is the teacher's output.
    #[test]
    fn a_teacher_with_a_mask_is_not_masked_by_the_annotation() {
        let options = TrainOptions { mask_head: true, ..small() };
        let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
        let teacher = || {
            let other = TrainOptions { seed: 7, ..options.clone() };
            Teacher::new(CycleGan::new(&other, Device::Cpu).unwrap())
        };
        let arguments = Distilling::augment_args(clap::Command::new("compress"));
        let weights =
            Distilling::from_arg_matches(&arguments.get_matches_from(["compress"])).unwrap();
        model.distill =
            Some(Distillation { options: weights, teacher: Some(teacher()), masked: [false; 2] });
        let batch = |seed| {
            let truth = Tensor::zeros([1, 1, 32, 32], tch::kind::FLOAT_CPU);
            let known = Tensor::ones([1, 1, 1, 1], tch::kind::FLOAT_CPU);
            let masks = Some(Masks { truth, known });
            Batch { images: noise(seed, &[1, 3, 32, 32]), masks, ..Batch::default() }
        };
        let batches = [batch(1), batch(2)];
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let shares = iteration.generator_shares();
        let mut losses = shares.iter().flatten().flat_map(|share| &share.losses);
        let recon = losses.find(|(name, _)| *name == "recon_A").unwrap();
        let teacher_output = teacher().generate(0, &batches[0].images, Kind::Float);
        let weights = model.generators[0].params.weights(Kind::Float);
        let student = model.networks[0].forward(&weights, &batches[0].images, Kind::Float, true);
        let expected = l1(&student.image, &teacher_output.image).double_value(&[]);
        assert!(expected > 1e-3 && (recon.1.double_value(&[]) - expected).abs() < 1e-6);
    }
}
