// SPDX-License-Identifier: MIT OR Apache-2.0

//! The terms of the loss: name, weight and chart of each. A new term needs a line here and a line in `step`
//! that computes it.

use tch::{Kind, Tensor};

use super::distill::DistillOptions;
use crate::options::TrainOptions;

/// The losses of an iteration by name, as tensors: reading a value waits for the device.
pub type Losses = Vec<(&'static str, Tensor)>;

/// The inputs of a term's weight.
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

/// The properties of a term.
struct About {
    /// Its name in each direction.
    names: [&'static str; 2],
    chart: &'static str,
    weight: fn(Scope<'_>) -> f64,
}

/// The weight of values that are only measured.
const MEASURED: fn(Scope<'_>) -> f64 = |_| 0.0;

macro_rules! terms {
    ($($(#[$doc:meta])* $term:ident $a:literal $b:literal in $chart:literal: $weight:expr;)*) => {
        /// A term of the loss, or a measured value.
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
    /// Adversarial loss of a generator.
    Adversarial "G_A" "G_B" in "Adversarial loss of the generators":
        |s| s.options.lambda_gan;
    /// Adversarial loss from the discriminator on pretrained features.
    FeatureAdversarial "GF_A" "GF_B" in "Adversarial loss on pretrained features":
        |s| s.options.lambda_d_features;
    /// Loss of the discriminator on pretrained features.
    FeatureDiscriminator "DF_A" "DF_B" in "Loss of the discriminators on pretrained features": MEASURED;
    /// Loss of the discriminator.
    Discriminator "D_A" "D_B" in "Loss of the discriminators": MEASURED;
    /// Share of its scores on the correct side of undecided.
    Accuracy "D_A_accuracy" "D_B_accuracy" in "Accuracy of the discriminators": MEASURED;
    /// Cycle error.
    Cycle "cycle_A" "cycle_B" in "Cycle and identity": |s| s.cycle(s.i);
    /// PatchNCE: cross-entropy of matching positions of the output with positions of the input.
    Nce "nce_A" "nce_B" in "Patchwise contrastive loss": |s| s.options.lambda_nce;
    /// Identity loss: change of images of the target domain.
    Identity "idt_A" "idt_B" in "Cycle and identity":
        |s| s.cycle(1 - s.i) * s.options.lambda_identity;
    /// `--mode paired`: distance from the other image of the pair.
    Partner "L1_A" "L1_B" in "Distance from the partner": |s| s.options.lambda_l1;
    /// Distance from the teacher's output.
    Recon "recon_A" "recon_B" in "Distance from the teacher": |s| s.of_teacher(|d| d.recon(s.i));
    /// Distance, inside the mask, from the output of the generators of --init-from.
    Initial "init_A" "init_B" in "Distance from the initial generators": |s| s.options.lambda_init;
    /// Distance of the input from the other generator's translation of the teacher's output.
    Inverse "inverse_A" "inverse_B" in "Distance from the teacher":
        |s| s.of_teacher(|d| d.lambda_inverse);
    /// Kernel alignment with the teacher's features: more is better.
    Alignment "alignment_A" "alignment_B" in "Kernel alignment with the teacher":
        |s| s.of_teacher(|d| -d.distill(s.i));
    /// Distance of features from the teacher's.
    Feature "feature_A" "feature_B" in "Distance of features from the teacher's":
        |s| s.of_teacher(|d| d.lambda_feature);
    /// Distance of the features' means over each image.
    Channel "channel_A" "channel_B" in "Distance of features from the teacher's":
        |s| s.of_teacher(|d| d.lambda_channel);
    /// 1 − SSIM with the teacher's output.
    Ssim "ssim_A" "ssim_B" in "1 − SSIM with the teacher": |s| s.of_teacher(|d| d.lambda_ssim);
    /// Cross-entropy of the mask, or its mean for images without a mask.
    Mask "mask_A" "mask_B" in "Mask": |s| s.options.lambda_mask;
    /// Change of images of neither domain.
    Negative "negative_A" "negative_B" in "Images of neither domain: change":
        |s| s.options.lambda_negative;
    /// Cross-entropy of their mask, which should be empty.
    NegativeMask "negative_mask_A" "negative_mask_B" in "Images of neither domain: mask":
        |s| s.options.lambda_mask;
    /// Distance of the outputs of warped images from the warped outputs.
    Flow "flow_A" "flow_B" in "Equivariance to motion": |s| s.options.lambda_flow;
    /// Difference between the frame-to-frame change of the output and that of the input.
    Difference "diff_A" "diff_B" in "Change between frames beyond the input's":
        |s| s.options.lambda_diff;
    /// Mean absolute difference between real and generated.
    Change "change_A" "change_B" in "Change, in [0, 2]": MEASURED;
    /// Correlation of their brightness.
    Correlation "correlation_A" "correlation_B" in "": MEASURED;
}

impl Term {
    /// Its name in direction `i`.
    pub fn name(self, i: usize) -> &'static str {
        self.about().names[i]
    }

    /// Its weight in the sum.
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

/// The sum of the loss terms of one direction.
#[derive(Debug)]
pub(super) struct Sum<'a> {
    scope: Scope<'a>,
    /// Factor on the weights of the terms that are added.
    pub share: f64,
    /// The loss that is differentiated.
    pub total: Tensor,
    /// Each term by name.
    pub losses: Losses,
}

impl<'a> Sum<'a> {
    /// A sum without terms.
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

    /// Adds a term that is reported as a mean and weighted as a sum over `count` items.
    pub fn add_times(&mut self, term: Term, count: f64, mean: Tensor) {
        self.total = &self.total + &mean * (term.weight(self.scope) * count * self.share);
        self.measure(term, &mean);
    }

    /// Records a value without adding it to the loss.
    pub fn measure(&mut self, term: Term, value: &Tensor) {
        self.losses.push((term.name(self.scope.i), value.detach()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_charts_have_all_terms_but_correlation() {
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
