// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the discriminators say of painted images, and their half of an iteration.

use rand::Rng;
use tch::{Kind, Tensor, no_grad};

use super::{
    CycleGan,
    both::Iteration,
    losses::{Losses, NAMES},
    pool::ImagePool,
};
use crate::{
    data::{
        batch::Batch,
        order::{Purpose, random},
    },
    loss::adversarial::{GanMode, gradient_penalty},
    options::{LookAt, TrainOptions},
};

/// Painted images as their discriminator sees them.
pub(super) struct Judged {
    /// With no way back to the generator.
    view: Tensor,
    /// What the discriminator said of them, where it was asked, with the way back to its weights.
    scores: Option<Tensor>,
}

impl Judged {
    /// Images that the discriminator has not been asked about.
    pub(super) fn unseen(view: Tensor) -> Self {
        Self { view: view.detach(), scores: None }
    }

    /// These images, or with older ones of the pool among them, for the discriminator to learn from.
    fn or_older(self, pool: &mut ImagePool, rng: &mut impl Rng) -> Self {
        pool.query(&self.view, rng).map_or(self, Self::unseen)
    }
}

impl CycleGan {
    /// Updates the discriminators, each on the real images of its domain and on those that it has
    /// judged, or older ones out of the pool.
    pub(super) fn discriminator_step(
        &mut self,
        batches: &[Batch; 2],
        judged: [Judged; 2],
        options: &TrainOptions,
        lr: f64,
        losses: &mut Losses,
    ) {
        let mut rng = random(options.seed, Purpose::Pool, self.step);
        let [of_g, of_f] = judged;
        let [pool_g, pool_f] = &mut self.pools;
        let shown = [of_g.or_older(pool_g, &mut rng), of_f.or_older(pool_f, &mut rng)];
        let iteration = Iteration { model: self, batches, options };
        let learnt = iteration.both(shown, Iteration::discriminator_gradient);
        for (i, (gradient, told)) in learnt.into_iter().enumerate() {
            self.discriminators[i].update(gradient, lr, &self.peers);
            losses.extend(told);
        }
    }
}

impl Iteration<'_> {
    /// The adversarial loss of generator `i` for `view`, as the discriminator of what it makes sees
    /// it. The scores are kept: no other forward pass is needed where the discriminator is then
    /// trained on the same images.
    pub(super) fn judge(&self, i: usize, view: &Tensor) -> (Judged, Tensor) {
        let model = self.model;
        let weights = model.discriminators[i].params.weights(model.kind);
        let leaf = view.detach().set_requires_grad(true);
        let scores = model.discriminator.forward(&weights, &leaf, model.kind);
        let loss = self.options.gan_mode().loss(&scores, true);
        // Only what is asked for is computed: the discriminator's weights get no gradient yet.
        let pull = Tensor::run_backward(&[&loss], &[&leaf], true, false).remove(0);
        let judged = Judged { view: leaf.detach(), scores: Some(scores) };
        (judged, with_gradient(&loss.detach(), view, &pull))
    }

    /// The gradient of the loss of generator `i`'s discriminator in its weights.
    fn discriminator_gradient(
        &self,
        i: usize,
        Judged { view: fake, scores }: Judged,
    ) -> (Tensor, Losses) {
        let Self { model, batches, options } = *self;
        let target = &batches[1 - i];
        let real = seen(options, &target.images, target, &batches[i]);
        let params = &model.discriminators[i].params;
        let weights = params.weights(model.kind);
        let score = |x: &Tensor| model.discriminator.forward(&weights, x, model.kind);
        let mixes = model.discriminator.shape.norm.mixes_images();
        let alike = real.size()[2..] == fake.size()[2..];
        let (on_real, on_fake) = match scores {
            Some(on_fake) => (score(&real), on_fake),
            None if alike && !mixes => {
                let n = real.size()[0];
                let scores = score(&Tensor::cat(&[&real, &fake], 0));
                (scores.narrow(0, 0, n), scores.narrow(0, n, fake.size()[0]))
            }
            None => (score(&real), score(&fake)),
        };
        let mode = options.gan_mode();
        let mut loss = (mode.loss(&on_real, true) + mode.loss(&on_fake, false)) * 0.5;
        if mode == GanMode::Wgangp {
            loss += gradient_penalty(score, &real, &fake);
        }
        let losses = vec![
            (NAMES[i].discriminator, loss.detach()),
            (NAMES[i].accuracy, accuracy(mode, &on_real, &on_fake)),
        ];
        let gradients = Tensor::run_backward(&[loss], &params.leaves(), false, false);
        (no_grad(|| params.flatten(&gradients)), losses)
    }
}

/// A tensor of the value `loss` whose gradient in `x` is `gradient`.
fn with_gradient(loss: &Tensor, x: &Tensor, gradient: &Tensor) -> Tensor {
    let linear = (x * gradient).sum(Kind::Float);
    let rest = loss - linear.detach();
    linear + rest
}

/// Share of the scores that lie on the right side of undecided.
fn accuracy(mode: GanMode, on_real: &Tensor, on_fake: &Tensor) -> Tensor {
    no_grad(|| {
        let real = on_real.gt(mode.undecided()).to_kind(Kind::Float).mean(Kind::Float);
        let fake = on_fake.le(mode.undecided()).to_kind(Kind::Float).mean(Kind::Float);
        (real + fake) * 0.5
    })
}

/// What a discriminator sees of `image`, which lies on the pictures of `place`: with pairs also the
/// pictures of `source` that it was or might have been painted from.
pub(super) fn seen(
    options: &TrainOptions,
    image: &Tensor,
    place: &Batch,
    source: &Batch,
) -> Tensor {
    let view = match (options.look_at, &place.masks) {
        (LookAt::Foreground, Some(masks)) => image * &masks.truth,
        _ => image.shallow_clone(),
    };
    if options.paired() { Tensor::cat(&[&source.images, &view], 1) } else { view }
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

    fn batches() -> [Batch; 2] {
        [image(2), image(3)].map(|images| Batch { images, ..Batch::default() })
    }

    fn largest(x: &Tensor) -> f64 {
        x.abs().max().double_value(&[])
    }

    #[test]
    fn a_generator_is_told_the_discriminators_gradient() {
        let options = options();
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let painted = image(1).set_requires_grad(true);
        let batches = batches();
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let (_, loss) = iteration.judge(0, &painted);
        let weights = model.discriminators[0].params.weights(model.kind);
        let scores = model.discriminator.forward(&weights, &painted, model.kind);
        let expected = options.gan_mode().loss(&scores, true);
        let gradient = |loss| Tensor::run_backward(&[loss], &[&painted], false, false).remove(0);
        assert!((loss.double_value(&[]) - expected.double_value(&[])).abs() < 1e-6);
        let (told, expected) = (gradient(loss), gradient(expected));
        assert!(largest(&expected) > 0.0);
        assert!(largest(&(told - &expected)) < largest(&expected) * 1e-5);
    }

    #[test]
    fn older_images_have_no_scores() {
        let judged = || Judged { view: image(1), scores: Some(image(2)) };
        let (mut pool, mut rng) = (ImagePool::new(1), random(0, Purpose::Pool, 0));
        let mut swapped = 0;
        for _ in 0..20 {
            let shown = judged().or_older(&mut pool, &mut rng);
            assert_eq!(shown.view.size(), image(1).size());
            swapped += i32::from(shown.scores.is_none());
        }
        assert!((1..19).contains(&swapped), "{swapped}");
        assert!(judged().or_older(&mut ImagePool::new(0), &mut rng).scores.is_some());
    }

    /// Whether its scores are kept or computed again, a discriminator learns the same.
    #[test]
    fn scores_are_kept_for_the_discriminators_step() {
        let options = options();
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let batches = batches();
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let (judged, _) = iteration.judge(0, &image(1));
        assert!(judged.scores.is_some());
        let unseen = Judged::unseen(judged.view.shallow_clone());
        let learnt = |judged| iteration.discriminator_gradient(0, judged).0;
        let (kept, again) = (learnt(judged), learnt(unseen));
        assert!(largest(&again) > 1e-4);
        assert!(largest(&(kept - &again)) < largest(&again) * 1e-4);
    }
}
