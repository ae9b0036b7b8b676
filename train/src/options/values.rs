// SPDX-License-Identifier: MIT OR Apache-2.0

//! The values of options that no other module defines.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Kind of training data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// CycleGAN (arXiv 1703.10593): images of A and B are unrelated.
    Unpaired,
    /// pix2pix (arXiv 1611.07004): an image of A and the image of B with the same base name show the
    /// same scene.
    Paired,
}

/// What the discriminators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookAt {
    /// The whole image.
    Frame,
    /// The inside of the mask, with the rest grey: the background, which a mask head must not change,
    /// then does not reveal generated images (Mejjati et al. 2018, section 3.3). Needs mask folders.
    Foreground,
}

/// One of the two generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratorName {
    /// A→B.
    G,
    /// B→A.
    F,
}

impl GeneratorName {
    /// In the order of all pairs.
    pub const ALL: [Self; 2] = [Self::G, Self::F];
}

/// The arithmetic of forward and backward passes; weights and their updates are float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixedPrecision {
    /// float32.
    No,
    /// bfloat16, faster if the processor has instructions for it.
    Bf16,
}

impl MixedPrecision {
    /// The element type that layers compute in.
    pub fn kind(self) -> tch::Kind {
        match self {
            Self::No => tch::Kind::Float,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }
}

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrPolicy {
    /// Constant for n-epochs, then linear to zero over n-epochs-decay.
    Linear,
    /// Divided by ten every lr-decay-iters epochs.
    Step,
    /// Multiplied by 0.2 if the cycle loss (and the distance from a teacher) has not fallen by 1 % for more than five epochs.
    Plateau,
    /// Half a cosine from the initial value to zero over n-epochs + n-epochs-decay.
    Cosine,
}

/// The score that decides which checkpoint is the best; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum BestBy {
    /// Sum of the KID of the generators.
    Kid,
    /// KID of G.
    KidA,
    /// KID of F.
    KidB,
    /// Sum of the cycle errors of both directions.
    Cycle,
    /// Sum of the changes that the generators make to images of neither domain.
    Negatives,
}

impl BestBy {
    /// Names of the scores whose sum decides.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Kid => &["val_kid_A", "val_kid_B"],
            Self::KidA => &["val_kid_A"],
            Self::KidB => &["val_kid_B"],
            Self::Cycle => &["val_cycle_A", "val_cycle_B"],
            Self::Negatives => &["val_negative_A", "val_negative_B"],
        }
    }

    /// The deciding score of a line of metrics, for runs that train these of G and F; `None` if the line does not have
    /// all of it: a sum over other generators cannot be compared.
    pub fn of(self, line: &Map<String, Value>, trained: [bool; 2]) -> Option<f64> {
        let [a, b] = trained;
        let has = |name: &&&str| (a && name.ends_with("_A")) || (b && name.ends_with("_B"));
        let scores = self.names().iter().filter(has);
        let scores: Option<Vec<f64>> = scores.map(|name| line.get(*name)?.as_f64()).collect();
        let sum = scores?.into_iter().reduce(|a, b| a + b);
        sum.filter(|sum| sum.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_by_reads_its_score_from_a_line() {
        let line = |entries: &[(&str, f64)]| {
            entries.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect::<Map<_, _>>()
        };
        let both = line(&[("val_kid_A", 2.0), ("val_kid_B", 0.5), ("val_cycle_A", 3.0)]);
        let (pair, g, f) = ([true; 2], [true, false], [false, true]);
        assert_eq!(BestBy::Kid.of(&both, pair), Some(2.5));
        assert_eq!(BestBy::Kid.of(&both, g), Some(2.0));
        assert_eq!(BestBy::Kid.of(&both, f), Some(0.5));
        assert_eq!(BestBy::KidB.of(&both, pair), Some(0.5));
        assert_eq!(BestBy::KidB.of(&both, g), None);
        assert_eq!(BestBy::Negatives.of(&both, pair), None);
        // A line of G alone.
        let of_g = line(&[("val_kid_A", 2.0)]);
        assert_eq!(BestBy::Kid.of(&of_g, g), Some(2.0));
        assert_eq!(BestBy::Kid.of(&of_g, pair), None);
    }
}
