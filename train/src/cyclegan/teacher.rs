// SPDX-License-Identifier: MIT OR Apache-2.0

//! A larger pair whose pictures and features are there to learn from.

use tch::{Kind, Tensor, no_grad};

use super::CycleGan;
use crate::net::{generator::Generator, params::Params};

/// Generators that do not change any more.
#[derive(Debug)]
pub struct Teacher {
    networks: [Generator; 2],
    params: [Params; 2],
}

/// What a teacher made of a batch.
#[derive(Debug)]
pub struct Lesson {
    /// N×3×H×W in [−1, 1].
    pub image: Tensor,
    /// N×C×h×w each.
    pub features: Vec<Tensor>,
    /// Whether the teacher says itself what it repaints: its picture is then what a student is to
    /// make, with nothing cut away by the annotation.
    pub masked: bool,
}

impl Teacher {
    /// What a run shows: its moving averages where it has them.
    pub fn new(model: CycleGan) -> Self {
        let params = model.generators.map(|player| player.ema.unwrap_or(player.params));
        Self { networks: model.networks, params }
    }

    /// What generator `i` makes of N×3×H×W.
    pub fn paint(&self, i: usize, x: &Tensor, kind: Kind) -> Lesson {
        no_grad(|| {
            let weights = self.params[i].weights(kind);
            let (painted, features) =
                self.networks[i].forward_with_features(&weights, x, kind, false);
            Lesson { image: painted.image, features, masked: painted.mask_logits.is_some() }
        })
    }
}
