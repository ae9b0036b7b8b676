// SPDX-License-Identifier: MIT OR Apache-2.0

//! The discriminators' half of an iteration, and their scores of generated images.

use rand::Rng;
use tch::{Kind, Tensor, no_grad};

use super::{
    CycleGan,
    both::Iteration,
    losses::{Losses, Term},
    pool::ImagePool,
};
use crate::{
    data::{
        batch::{Batch, Masks},
        order::{Purpose, random},
    },
    loss::{
        adversarial::{GanMode, gradient_penalty, patch_weights, weighted_mean},
        diff_augment::Augmentation,
    },
    options::{LookAt, TrainOptions},
};

/// The input of a discriminator.
#[derive(Debug)]
pub(super) struct DiscriminatorInput {
    /// N×C×H×W.
    pub(super) input: Tensor,
    /// N×1×H×W in [0, 1], the part that counts; `None` for all of it.
    pub(super) mask: Option<Tensor>,
}

impl DiscriminatorInput {
    /// The input of a discriminator for `image`, with the masks of the batch `place`. With paired data, the
    /// images of the batch `source` are part of the input.
    pub(super) fn of(
        options: &TrainOptions,
        image: &Tensor,
        place: &Batch,
        source: &Batch,
    ) -> Self {
        let (image, mask) = match (options.look_at, &place.masks) {
            (LookAt::Foreground, Some(Masks { truth, .. })) => {
                (image * truth, Some(truth.shallow_clone()))
            }
            _ => (image.shallow_clone(), None),
        };
        let paired = options.paired();
        let input = if paired { Tensor::cat(&[&source.images, &image], 1) } else { image };
        Self { input, mask }
    }

    /// Detached from the generator's graph.
    fn detach(&self) -> Self {
        let mask = self.mask.as_ref().map(Tensor::shallow_clone);
        Self { input: self.input.detach(), mask }
    }

    /// The weight of each score.
    fn weights(&self, scores: &Tensor) -> Option<Tensor> {
        self.mask.as_ref().map(|mask| patch_weights(mask, scores))
    }

    /// Input and mask as one tensor, as a pool keeps them.
    fn stacked(&self) -> Tensor {
        match &self.mask {
            Some(mask) => Tensor::cat(&[&self.input, mask], 1),
            None => self.input.shallow_clone(),
        }
    }

    /// The inverse of [`DiscriminatorInput::stacked`].
    fn split(&self, stacked: &Tensor) -> Self {
        let channels = self.input.size()[1];
        let mask = self.mask.as_ref().map(|_| stacked.narrow(1, channels, 1));
        Self { input: stacked.narrow(1, 0, channels), mask }
    }
}

/// The discriminator input for generated images.
pub(super) struct Scored {
    /// Detached from the generator's graph.
    view: DiscriminatorInput,
    /// The discriminator's scores of them, if computed, attached to its graph.
    scores: Option<Tensor>,
}

impl Scored {
    /// Images without scores.
    pub(super) fn unscored(view: &DiscriminatorInput) -> Self {
        Self { view: view.detach(), scores: None }
    }

    /// These images, partly replaced by older ones from the pool, to train the discriminator.
    fn or_from_pool(self, pool: &mut ImagePool, rng: &mut impl Rng) -> Self {
        match pool.query(&self.view.stacked(), rng) {
            Some(mixed) => Self { view: self.view.split(&mixed), scores: None },
            None => self,
        }
    }
}

impl CycleGan {
    /// Updates each discriminator on the real images of its domain and on the generated ones that it has
    /// scored, or older ones from the pool.
    pub(super) fn discriminator_step(
        &mut self,
        batches: &[Batch; 2],
        scored: [Option<Scored>; 2],
        options: &TrainOptions,
        lr: f64,
        losses: &mut Losses,
    ) {
        let mut rng = random(options.seed, Purpose::Pool, self.images);
        let [of_g, of_f] = scored;
        let [pool_g, pool_f] = &mut self.pools;
        let mixed = [
            of_g.map(|scored| scored.or_from_pool(pool_g, &mut rng)),
            of_f.map(|scored| scored.or_from_pool(pool_f, &mut rng)),
        ];
        let views = mixed.each_ref().map(|scored| scored.as_ref().map(|scored| &scored.view));
        self.feature_discriminator_step(batches, views, options, lr, losses);
        if options.lambda_gan == 0.0 {
            return;
        }
        let iteration = Iteration { model: self, batches, options };
        let updates = iteration.both(mixed, Iteration::discriminator_gradient);
        for (i, update) in updates.into_iter().enumerate() {
            let Some((gradient, measured)) = update else { continue };
            let discriminator = &mut self.discriminators[i];
            discriminator.update(gradient, lr, options.warmup, &self.ranks);
            discriminator.params.iterate_power();
            losses.extend(measured);
        }
    }
}

impl CycleGan {
    /// Updates the discriminators on pretrained features, if there are any, with the same images.
    fn feature_discriminator_step(
        &mut self,
        batches: &[Batch; 2],
        fake: [Option<&DiscriminatorInput>; 2],
        options: &TrainOptions,
        lr: f64,
        losses: &mut Losses,
    ) {
        let Some(discriminators) = &mut self.feature_discriminators else {
            return;
        };
        for (i, fake) in fake.into_iter().enumerate() {
            let Some(fake) = fake else { continue };
            let target = &batches[1 - i];
            let real = DiscriminatorInput::of(options, target.real(), target, &batches[i]);
            let fake = fake.detach();
            let augmentations = [&real, &fake].map(|view| Augmentation::random(&view.input));
            let (gradient, loss) = discriminators.gradient(i, [&real, &fake], &augmentations);
            let state = &mut discriminators.states[i];
            state.update(gradient, lr, options.warmup, &self.ranks);
            state.params.iterate_power();
            losses.push((Term::FeatureDiscriminator.name(i), loss));
        }
    }
}

impl Iteration<'_> {
    /// The adversarial loss of generator `i` for its discriminator's input `view`. The scores are kept, so that
    /// the discriminator's update on the same images needs no second forward pass.
    pub(super) fn adversarial_loss(&self, i: usize, view: &DiscriminatorInput) -> (Scored, Tensor) {
        let model = self.model;
        let weights = model.discriminators[i].params.weights(model.kind);
        let leaf = view.input.detach().set_requires_grad(true);
        let scores = model.discriminator.forward(&weights, &leaf, model.kind);
        let counted = view.weights(&scores);
        let loss = self.options.gan_mode().loss(&scores, true, counted.as_ref());
        // The discriminator's weights get no gradient yet.
        let gradient = Tensor::run_backward(&[&loss], &[&leaf], true, false).remove(0);
        let scored = Scored { view: view.detach(), scores: Some(scores) };
        (scored, with_gradient(&loss.detach(), &view.input, &gradient))
    }

    /// The gradient of the loss of generator `i`'s discriminator with respect to its weights.
    fn discriminator_gradient(
        &self,
        i: usize,
        Scored { view: fake, scores }: Scored,
    ) -> (Tensor, Losses) {
        let Self { model, batches, options } = *self;
        let target = &batches[1 - i];
        let real = DiscriminatorInput::of(options, target.real(), target, &batches[i]);
        let params = &model.discriminators[i].params;
        let weights = params.weights(model.kind);
        let score = |x: &Tensor| model.discriminator.forward(&weights, x, model.kind);
        let mixes = model.discriminator.shape.norm.mixes_images();
        let alike = real.input.size()[2..] == fake.input.size()[2..];
        let (on_real, on_fake) = match scores {
            Some(on_fake) => (score(&real.input), on_fake),
            None if alike && !mixes => {
                let (n, k) = (real.input.size()[0], fake.input.size()[0]);
                let scores = score(&Tensor::cat(&[&real.input, &fake.input], 0));
                (scores.narrow(0, 0, n), scores.narrow(0, n, k))
            }
            None => (score(&real.input), score(&fake.input)),
        };
        let mode = options.gan_mode();
        let on_real = Scores { weights: real.weights(&on_real), map: on_real };
        let on_fake = Scores { weights: fake.weights(&on_fake), map: on_fake };
        let mut loss = on_real.loss(mode, true) + on_fake.loss(mode, false);
        if mode == GanMode::Wgangp {
            loss += gradient_penalty(score, &real.input, &fake.input);
        }
        let loss = loss * 0.5;
        let accuracy = (on_real.accuracy(mode, true) + on_fake.accuracy(mode, false)) * 0.5;
        let losses =
            vec![(Term::Discriminator.name(i), loss.detach()), (Term::Accuracy.name(i), accuracy)];
        let gradients = Tensor::run_backward(&[loss], &params.leaves(), false, false);
        (no_grad(|| params.flatten(&gradients)), losses)
    }
}

/// A tensor with the value `loss` whose gradient with respect to `x` is `gradient`.
fn with_gradient(loss: &Tensor, x: &Tensor, gradient: &Tensor) -> Tensor {
    let linear = (x * gradient).sum(Kind::Float);
    let rest = loss - linear.detach();
    linear + rest
}

/// Scores and their weights.
struct Scores {
    map: Tensor,
    weights: Option<Tensor>,
}

impl Scores {
    fn loss(&self, mode: GanMode, real: bool) -> Tensor {
        mode.loss(&self.map, real, self.weights.as_ref())
    }

    /// The share of scores on the correct side of the undecided score.
    fn accuracy(&self, mode: GanMode, real: bool) -> Tensor {
        no_grad(|| {
            let (map, undecided) = (&self.map, mode.undecided());
            let right = if real { map.gt(undecided) } else { map.le(undecided) };
            weighted_mean(&right.to_kind(Kind::Float), self.weights.as_ref())
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::noise::noise;

    fn options() -> TrainOptions {
        TrainOptions { ngf: Some(4), width: 4, blocks: 1, ndf: 4, ..TrainOptions::default() }
    }

    fn image(seed: u64) -> Tensor {
        noise(seed, &[1, 3, 64, 64])
    }

    fn whole(input: Tensor) -> DiscriminatorInput {
        DiscriminatorInput { input, mask: None }
    }

    fn batches() -> [Batch; 2] {
        [image(2), image(3)].map(|images| Batch { images, ..Batch::default() })
    }

    fn largest(x: &Tensor) -> f64 {
        x.abs().max().double_value(&[])
    }

    #[test]
    fn the_adversarial_gradient_reaches_the_generator() {
        let options = options();
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let generated = image(1).set_requires_grad(true);
        let batches = batches();
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let (_, loss) = iteration.adversarial_loss(0, &whole(generated.shallow_clone()));
        let weights = model.discriminators[0].params.weights(model.kind);
        let scores = model.discriminator.forward(&weights, &generated, model.kind);
        let expected = options.gan_mode().loss(&scores, true, None);
        let gradient = |loss| Tensor::run_backward(&[loss], &[&generated], false, false).remove(0);
        assert!((loss.double_value(&[]) - expected.double_value(&[])).abs() < 1e-6);
        let (measured, expected) = (gradient(loss), gradient(expected));
        assert!(largest(&expected) > 0.0);
        assert!(largest(&(measured - &expected)) < largest(&expected) * 1e-5);
    }

    #[test]
    fn older_images_have_no_scores() {
        let scored = || Scored { view: whole(image(1)), scores: Some(image(2)) };
        let (mut pool, mut rng) = (ImagePool::new(1), random(0, Purpose::Pool, 0));
        let mut swapped = 0;
        for _ in 0..20 {
            let mixed = scored().or_from_pool(&mut pool, &mut rng);
            assert_eq!(mixed.view.input.size(), image(1).size());
            swapped += i32::from(mixed.scores.is_none());
        }
        assert!((1..19).contains(&swapped), "{swapped}");
        assert!(scored().or_from_pool(&mut ImagePool::new(0), &mut rng).scores.is_some());
    }

    /// A discriminator's update is the same with kept scores and with new ones.
    #[test]
    fn kept_scores_give_the_same_discriminator_update() {
        let options = options();
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let batches = batches();
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let (scored, _) = iteration.adversarial_loss(0, &whole(image(1)));
        assert!(scored.scores.is_some());
        let unscored = Scored::unscored(&scored.view);
        let gradient = |scored| iteration.discriminator_gradient(0, scored).0;
        let (kept, again) = (gradient(scored), gradient(unscored));
        assert!(largest(&again) > 1e-4);
        assert!(largest(&(kept - &again)) < largest(&again) * 1e-4);
    }

    /// A batch whose left quarter is inside the mask, with augmented images for the generators and the
    /// original ones for the discriminator.
    fn masked(seed: u64) -> Batch {
        let truth = Tensor::zeros([1, 1, 64, 64], tch::kind::FLOAT_CPU);
        let _ = truth.narrow(3, 0, 16).fill_(1.0);
        let masks = Some(Masks { truth, known: Tensor::ones([1, 1, 1, 1], tch::kind::FLOAT_CPU) });
        Batch { images: image(seed), real: Some(image(seed + 9)), masks, ..Batch::default() }
    }

    fn foreground() -> TrainOptions {
        TrainOptions { look_at: LookAt::Foreground, ..options() }
    }

    #[test]
    fn a_discriminator_sees_real_images_without_augmentation() {
        let options = options();
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let gradient = |batches: &[Batch; 2]| {
            let iteration = Iteration { model: &model, batches, options: &options };
            iteration.discriminator_gradient(0, Scored::unscored(&whole(image(1)))).0
        };
        // The discriminator gets the same image, with any augmentation for the generators.
        let of = |seed| Batch { images: image(seed), real: Some(image(5)), ..Batch::default() };
        let (one, other) = (gradient(&[of(2), of(3)]), gradient(&[of(2), of(4)]));
        assert!(largest(&(one - other)) == 0.0);
    }

    /// Cells outside the mask have no gradient, and the pool keeps the masks of its images.
    #[test]
    fn scores_outside_the_mask_do_not_count() {
        let options = foreground();
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let batches = [masked(1), masked(2)];
        let view = DiscriminatorInput::of(&options, &batches[0].images, &batches[0], &batches[0]);
        let weights = model.discriminators[0].params.weights(model.kind);
        let scores = model.discriminator.forward(&weights, &view.input, model.kind);
        let counted = view.weights(&scores).unwrap();
        assert!((counted.sum(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-5);
        let columns = scores.size()[3];
        let background = counted.narrow(3, columns / 2, columns - columns / 2);
        assert_eq!(largest(&background), 0.0);
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let loss = iteration.adversarial_loss(0, &view).1.double_value(&[]);
        let expected = options.gan_mode().loss(&scores, true, Some(&counted)).double_value(&[]);
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
        let back = view.split(&view.stacked());
        assert_eq!(back.mask, view.mask);
        assert_eq!(back.input, view.input);
    }

    /// With a mean over all cells an accuracy of 1 could not be reached.
    #[test]
    fn accuracy_is_measured_inside_the_mask() {
        let map = Tensor::full([1, 1, 4, 4], 0.4, tch::kind::FLOAT_CPU);
        let weights = Tensor::zeros([1, 1, 4, 4], tch::kind::FLOAT_CPU);
        let _ = map.narrow(3, 0, 1).fill_(0.9);
        let _ = weights.narrow(3, 0, 1).fill_(0.25);
        let scores = Scores { map, weights: Some(weights) };
        assert_eq!(scores.accuracy(GanMode::Lsgan, true).double_value(&[]), 1.0);
        assert_eq!(scores.accuracy(GanMode::Lsgan, false).double_value(&[]), 0.0);
    }
}
