// SPDX-License-Identifier: MIT OR Apache-2.0

//! The terms of the loss: what each is called, how much it counts, and in which chart it is drawn. A new
//! term is a line here, and the line in `step` that computes it.

use tch::{Kind, Tensor};

use super::distill::DistillOptions;
use crate::options::TrainOptions;

/// The losses of an iteration by name, as tensors: reading a value waits for the device.
pub type Losses = Vec<(&'static str, Tensor)>;

/// What the weight of a term may depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// The run's options.
    pub options: &'a TrainOptions,
    /// The weights of distillation, if there is a teacher.
    pub distill: Option<&'a DistillOptions>,
    /// 0 for A→B and 1 for B→A.
    pub i: usize,
}

impl Scope<'_> {
    fn cycle(self, i: usize) -> f64 {
        [self.options.lambda_a, self.options.lambda_b][i]
    }

    fn of_teacher(self, weight: impl Fn(&DistillOptions) -> f64) -> f64 {
        self.distill.map_or(0.0, weight)
    }
}

/// What is known of a term.
struct About {
    /// What it is called in each direction.
    names: [&'static str; 2],
    chart: &'static str,
    weight: fn(Scope<'_>) -> f64,
}

/// Where what is only looked at has its weight.
const MEASURED: fn(Scope<'_>) -> f64 = |_| 0.0;

macro_rules! terms {
    ($($(#[$doc:meta])* $term:ident $a:literal $b:literal in $chart:literal: $weight:expr;)*) => {
        /// A part of the loss, or something that is measured beside it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Term {
            $($(#[$doc])* $term,)*
        }

        impl Term {
            const ALL: &'static [Self] = &[$(Self::$term,)*];

            fn about(self) -> About {
                match self {
                    $(Self::$term => About { names: [$a, $b], chart: $chart, weight: $weight },)*
                }
            }
        }
    };
}

terms! {
    /// What the discriminator says of what a generator makes.
    Adversarial "G_A" "G_B" in "Adversarial loss of the generators":
        |s| s.options.lambda_gan;
    /// What the discriminator on frozen features says of it.
    FeatureAdversarial "GF_A" "GF_B" in "Adversarial loss by frozen features":
        |s| s.options.lambda_d_features;
    /// Loss of that discriminator.
    FeatureDiscriminator "DF_A" "DF_B" in "Loss of the discriminators on frozen features": MEASURED;
    /// Loss of the discriminator.
    Discriminator "D_A" "D_B" in "Loss of the discriminators": MEASURED;
    /// Share of its scores on the right side of undecided.
    Accuracy "D_A_accuracy" "D_B_accuracy" in "Discriminators: share told right": MEASURED;
    /// Distance after going there and back.
    Cycle "cycle_A" "cycle_B" in "Cycle and identity": |s| s.cycle(s.i);
    /// How ill places of the result are told by the same places of the input (PatchNCE).
    Nce "nce_A" "nce_B" in "Patchwise contrast": |s| s.options.lambda_nce;
    /// Change of pictures of the target domain.
    Identity "idt_A" "idt_B" in "Cycle and identity":
        |s| s.cycle(1 - s.i) * s.options.lambda_identity;
    /// Distance from what the picture ought to become, where that is known.
    Partner "L1_A" "L1_B" in "Distance from the partner": |s| s.options.lambda_l1;
    /// Distance from the teacher's picture.
    Recon "recon_A" "recon_B" in "Distance from the teacher": |s| s.of_teacher(|d| d.recon(s.i));
    /// Distance, inside the mask, from what the generators of --init-from painted.
    Beginning "init_A" "init_B" in "Distance from the beginning": |s| s.options.lambda_init;
    /// Distance of the other generator's way back from there.
    Inverse "inverse_A" "inverse_B" in "Distance from the teacher":
        |s| s.of_teacher(|d| d.lambda_inverse);
    /// Kernel alignment with the teacher's features: more is better.
    Alignment "alignment_A" "alignment_B" in "Kernel alignment with the teacher":
        |s| s.of_teacher(|d| -d.distill(s.i));
    /// Distance of features from the teacher's.
    Feature "feature_A" "feature_B" in "Distance of features from the teacher's":
        |s| s.of_teacher(|d| d.lambda_feature);
    /// The same of their means over each picture.
    Channel "channel_A" "channel_B" in "Distance of features from the teacher's":
        |s| s.of_teacher(|d| d.lambda_channel);
    /// 1 − SSIM of pictures and the teacher's.
    Ssim "ssim_A" "ssim_B" in "1 − SSIM with the teacher": |s| s.of_teacher(|d| d.lambda_ssim);
    /// Cross-entropy of the mask, or its size where none is given.
    Mask "mask_A" "mask_B" in "Mask": |s| s.options.lambda_mask;
    /// Distance of pictures of neither domain from what becomes of them.
    Negative "negative_A" "negative_B" in "Pictures of neither domain: distance":
        |s| s.options.lambda_negative;
    /// Cross-entropy of their mask, which ought to be empty.
    NegativeMask "negative_mask_A" "negative_mask_B" in "Pictures of neither domain: mask":
        |s| s.options.lambda_mask;
    /// Distance of what becomes of moved pictures from moved results.
    Flow "flow_A" "flow_B" in "Equivariance to motion": |s| s.options.lambda_flow;
    /// What changes from frame to frame beyond what the input changes.
    Difference "diff_A" "diff_B" in "Change between frames that the input does not make":
        |s| s.options.lambda_diff;
    /// Mean absolute difference between real and generated.
    Change "change_A" "change_B" in "Change, of a range of 2": MEASURED;
    /// Correlation of their brightness.
    Likeness "likeness_A" "likeness_B" in "": MEASURED;
}

impl Term {
    /// What it is called in direction `i`.
    pub fn name(self, i: usize) -> &'static str {
        self.about().names[i]
    }

    /// How much it counts.
    pub(super) fn weight(self, scope: Scope<'_>) -> f64 {
        (self.about().weight)(scope)
    }

    /// The term and direction of a name.
    pub fn of(name: &str) -> Option<(Self, usize)> {
        let found =
            |term: &Self| Some((*term, term.about().names.iter().position(|n| *n == name)?));
        Self::ALL.iter().find_map(found)
    }

    /// Whether the plateau policy of the learning rate watches it.
    pub fn is_watched(self) -> bool {
        matches!(self, Self::Cycle | Self::Partner | Self::Recon)
    }

    /// The titles of the charts and the names in each.
    pub fn charts() -> Vec<(&'static str, Vec<&'static str>)> {
        let mut charts: Vec<(&str, Vec<&str>)> = Vec::new();
        for about in Self::ALL.iter().map(|term| term.about()).filter(|a| !a.chart.is_empty()) {
            match charts.iter_mut().find(|(title, _)| *title == about.chart) {
                Some((_, names)) => names.extend(about.names),
                None => charts.push((about.chart, about.names.to_vec())),
            }
        }
        charts
    }
}

/// The loss of one direction as it is added up.
#[derive(Debug)]
pub(super) struct Sum<'a> {
    scope: Scope<'a>,
    /// What the terms that are added now count, of their weights.
    pub share: f64,
    /// What gradients are taken of.
    pub total: Tensor,
    /// Each term by name.
    pub losses: Losses,
}

impl<'a> Sum<'a> {
    /// Nothing yet.
    pub fn new(scope: Scope<'a>, device: tch::Device) -> Self {
        Self {
            scope,
            share: 1.0,
            total: Tensor::zeros([], (Kind::Float, device)),
            losses: Losses::new(),
        }
    }

    /// Adds a term with its weight.
    pub fn add(&mut self, term: Term, loss: Tensor) {
        self.add_times(term, 1.0, loss);
    }

    /// Adds a term that is told as a mean and counted as a sum over so many things.
    pub fn add_times(&mut self, term: Term, count: f64, mean: Tensor) {
        self.total = &self.total + &mean * (term.weight(self.scope) * count * self.share);
        self.measure(term, &mean);
    }

    /// Takes note of something that does not count.
    pub fn measure(&mut self, term: Term, value: &Tensor) {
        self.losses.push((term.name(self.scope.i), value.detach()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_charts_have_all_but_likeness() {
        let names: Vec<_> = Term::ALL.iter().flat_map(|term| term.about().names).collect();
        for name in &names {
            let (term, i) = Term::of(name).unwrap();
            assert_eq!(term.name(i), *name);
        }
        let drawn: usize = Term::charts().iter().map(|(_, names)| names.len()).sum();
        assert_eq!(drawn, names.len() - 2);
        assert_eq!(Term::charts()[5].1, ["cycle_A", "cycle_B", "idt_A", "idt_B"]);
    }
}
