// SPDX-License-Identifier: MIT OR Apache-2.0

//! Distillation: the losses of the generators against a teacher (CAT, arXiv 2103.03467; docs/compress.md,
//! 5 to 8).

use anyhow::{Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    both::Iteration,
    losses::{Sum, Term},
    teacher::{Teacher, TeacherOutput},
};
use crate::{
    data::batch::{Batch, Masks},
    loss::{alignment::Alignment, features::Mapped, ssim::similarity},
    net::{generator::GeneratorOutput, params::Weights},
};

/// Weights of distillation.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DistillOptions {
    /// Weight of the distance of G's output from its teacher's
    #[arg(long, default_value_t = 5.0, help_heading = "Distillation")]
    pub lambda_recon_a: f64,
    /// Weight of the distance of F's output from its teacher's
    #[arg(long, default_value_t = 5.0, help_heading = "Distillation")]
    pub lambda_recon_b: f64,
    /// Weight of the alignment of G's features with its teacher's, if the teacher is a run
    #[arg(long, default_value_t = 1.0, help_heading = "Distillation")]
    pub lambda_distill_a: f64,
    /// Weight of the alignment of F's features with its teacher's
    #[arg(long, default_value_t = 0.1, help_heading = "Distillation")]
    pub lambda_distill_b: f64,
    /// What the alignment compares: centred, the pixels of all images minus their mean; paper, whole images
    /// of a batch, which needs a large batch
    #[arg(long, value_enum, default_value = "centred", help_heading = "Distillation")]
    pub alignment: Alignment,
    /// Weight of the distance of features from the teacher's after the best 1×1 map, if the teacher is a
    /// run
    #[arg(long, default_value_t = 0.0, help_heading = "Distillation")]
    pub lambda_feature: f64,
    /// Weight of the same distance for the features' means over each image, channel by channel
    #[arg(long, default_value_t = 0.0, help_heading = "Distillation")]
    pub lambda_channel: f64,
    /// Weight of 1 − SSIM with the teacher's output
    #[arg(long, default_value_t = 0.0, help_heading = "Distillation")]
    pub lambda_ssim: f64,
    /// Weight of the distance between the input and the other generator's translation of the teacher's
    /// output, beside the cycle loss
    #[arg(long, default_value_t = 0.0, help_heading = "Distillation")]
    pub lambda_inverse: f64,
}

impl DistillOptions {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<()> {
        let weights = [
            ("--lambda-recon-a", self.lambda_recon_a),
            ("--lambda-recon-b", self.lambda_recon_b),
            ("--lambda-distill-a", self.lambda_distill_a),
            ("--lambda-distill-b", self.lambda_distill_b),
            ("--lambda-inverse", self.lambda_inverse),
            ("--lambda-feature", self.lambda_feature),
            ("--lambda-channel", self.lambda_channel),
            ("--lambda-ssim", self.lambda_ssim),
        ];
        for (name, weight) in weights {
            let fits = weight >= 0.0 && weight.is_finite();
            ensure!(fits, "{name} is {weight}, expected 0 or more");
        }
        Ok(())
    }

    /// Weight of the distance of generator `i`'s output from its teacher's.
    pub fn recon(&self, i: usize) -> f64 {
        [self.lambda_recon_a, self.lambda_recon_b][i]
    }

    /// Whether features are compared.
    pub fn compares_features(&self) -> bool {
        let weights = [self.distill(0), self.distill(1), self.lambda_feature, self.lambda_channel];
        weights.iter().any(|&weight| weight > 0.0)
    }

    /// Whether G and F have a loss against a teacher: `has` are the directions with a teacher, which may be a `run`.
    pub fn taught(&self, has: [bool; 2], run: bool) -> [bool; 2] {
        [0, 1].map(|i| {
            let features = self.distill(i) + self.lambda_feature + self.lambda_channel;
            let own = self.recon(i) + self.lambda_ssim + if run { features } else { 0.0 };
            (has[i] && own > 0.0) || (has[1 - i] && self.lambda_inverse > 0.0)
        })
    }

    /// Whether generator `i` has no loss against a teacher.
    pub fn is_idle(&self, i: usize) -> bool {
        let features = self.lambda_feature + self.lambda_channel;
        self.recon(i) + self.distill(i) + features + self.lambda_ssim + self.lambda_inverse == 0.0
    }

    /// Weight of the alignment of generator `i`'s features.
    pub fn distill(&self, i: usize) -> f64 {
        [self.lambda_distill_a, self.lambda_distill_b][i]
    }
}

/// A teacher and its weights.
#[derive(Debug)]
pub struct Distillation {
    /// The weights.
    pub options: DistillOptions,
    /// A teacher that runs in every iteration; otherwise batches contain a teacher's output.
    pub teacher: Option<Teacher>,
    /// Whether the teachers of G and F that made the batches' output have a mask.
    pub masked: [bool; 2],
}

impl Distillation {
    /// The teacher output of generator `i` for a batch of its domain, if it has a teacher.
    pub fn teacher_output(&self, i: usize, batch: &Batch, kind: Kind) -> Option<TeacherOutput> {
        let generated = |image: &Tensor| TeacherOutput {
            image: image.shallow_clone(),
            features: vec![],
            masked: self.masked[i],
        };
        let ask = |teacher: &Teacher| teacher.generate(i, &batch.images, kind);
        self.teacher.as_ref().map(ask).or_else(|| batch.generated.as_ref().map(generated))
    }
}

impl Iteration<'_> {
    /// Adds the losses of generator `i` against its teacher, for its output and features of a batch, and the
    /// inverse loss: the other generator, with the weights `back`, on the teacher's output.
    pub(super) fn distil(
        &self,
        i: usize,
        batch: &Batch,
        (fake, features): (&GeneratorOutput, &[Tensor]),
        back: &Weights,
        sum: &mut Sum<'_>,
    ) {
        let model = self.model;
        let Some(distill) = &model.distill else {
            return;
        };
        if distill.options.is_idle(i) {
            return;
        }
        let Some(teacher_output) = distill.teacher_output(i, batch, model.kind) else {
            return;
        };
        let supervised = self.options.mask_head && !teacher_output.masked;
        let target = Target::new(&teacher_output.image, batch, supervised);
        let weights = &distill.options;
        sum.add(Term::Recon, target.l1(&fake.image, &target.image));
        if weights.lambda_inverse > 0.0 {
            let generated = model.networks[1 - i].forward(back, &target.image, model.kind, true);
            sum.add(Term::Inverse, target.l1(&generated.image, &batch.images));
        }
        if weights.lambda_ssim > 0.0 {
            sum.add(Term::Ssim, target.ssim_distance(&fake.image));
        }
        let pairs = || features.iter().zip(&teacher_output.features);
        let count = pairs().len();
        if count == 0 {
            return;
        }
        let mut add_mean = |term, terms: Vec<Tensor>| {
            sum.add_times(term, count as f64, Tensor::stack(&terms, 0).mean(Kind::Float));
        };
        if weights.distill(i) > 0.0 {
            let alignments = pairs().map(|(own, its)| weights.alignment.of(own, its));
            add_mean(Term::Alignment, alignments.collect());
        }
        if weights.lambda_feature + weights.lambda_channel > 0.0 {
            let mapped: Vec<_> = pairs().map(|(own, its)| Mapped::new(own, its)).collect();
            add_mean(Term::Feature, mapped.iter().map(Mapped::distance).collect());
            add_mean(Term::Channel, mapped.iter().map(Mapped::channel_distance).collect());
        }
    }
}

/// The target of a generator for a batch.
#[derive(Debug)]
pub struct Target {
    /// N×3×H×W in [−1, 1].
    pub image: Tensor,
    /// N×1×1×1, 1 for the images that count; `None` if all count.
    known: Option<Tensor>,
}

impl Target {
    /// `generated` is the teacher's output for `batch`. If masks are supervised and the teacher has no mask,
    /// the background of the target is the input's: m·T(x) + (1 − m)·x; images without a mask then do not
    /// count.
    pub fn new(generated: &Tensor, batch: &Batch, supervised: bool) -> Self {
        match &batch.masks {
            Some(Masks { truth, known }) if supervised => {
                let x = &batch.images;
                Self { image: x + truth * (generated - x), known: Some(known.shallow_clone()) }
            }
            _ => Self { image: generated.shallow_clone(), known: None },
        }
    }

    /// The mean of |a − b| over the images that count.
    pub fn l1(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.mean(&(a - b).abs())
    }

    /// The mean of 1 − SSIM with the target over the images that count.
    fn ssim_distance(&self, image: &Tensor) -> Tensor {
        self.mean(&(1.0 - similarity(image, &self.image)))
    }

    /// The mean of N×C×H×W over the images that count.
    fn mean(&self, values: &Tensor) -> Tensor {
        let Some(known) = &self.known else {
            return values.mean(Kind::Float);
        };
        let each = values.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
        (each * known).sum(Kind::Float) / known.sum(Kind::Float).clamp_min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

    fn full(value: f64) -> Tensor {
        Tensor::full([2, 3, 2, 2], value, tch::kind::FLOAT_CPU)
    }

    /// The left half of the first image is inside its mask; the second has none.
    fn batch() -> Batch {
        let truth = Tensor::zeros([2, 1, 2, 2], tch::kind::FLOAT_CPU);
        let _ = truth.get(0).narrow(2, 0, 1).fill_(1.0);
        let known = Tensor::from_slice(&[1.0f32, 0.0]).view([2, 1, 1, 1]);
        let masks = Some(Masks { truth, known });
        Batch { images: full(-1.0), masks, ..Batch::default() }
    }

    #[test]
    fn the_background_of_a_target_is_the_inputs() {
        let target = Target::new(&full(1.0), &batch(), true);
        assert_eq!(target.image.double_value(&[0, 0, 0, 0]), 1.0);
        assert_eq!(target.image.double_value(&[0, 0, 0, 1]), -1.0);
        // Half of the first image differs by 2; the second image does not count.
        let distance = target.l1(&full(-1.0), &target.image);
        assert_eq!(distance.double_value(&[]), 1.0);
    }

    /// Without a mask the target is the input, which the generator must not learn.
    #[test]
    fn images_without_a_mask_do_not_count_in_ssim() {
        let image = |seed| noise(seed, &[2, 3, 16, 16]);
        let truth = Tensor::from_slice(&[1.0f32, 0.0]).view([2, 1, 1, 1]);
        let known = truth.shallow_clone();
        let truth = truth.repeat([1, 1, 16, 16]);
        let batch =
            Batch { images: image(1), masks: Some(Masks { truth, known }), ..Batch::default() };
        let target = Target::new(&image(2), &batch, true);
        let fake = image(3);
        let found = target.ssim_distance(&fake).double_value(&[]);
        let first = |x: &Tensor| x.narrow(0, 0, 1);
        let alone = Target::new(&first(&image(2)), &Batch::default(), false);
        let expected = alone.ssim_distance(&first(&fake)).double_value(&[]);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn without_supervised_masks_the_target_is_the_teachers_output() {
        let target = Target::new(&full(0.5), &batch(), false);
        assert_eq!(target.image, full(0.5));
        assert_eq!(target.l1(&full(-1.0), &target.image).double_value(&[]), 1.5);
    }
}
