// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frozen pair whose output and features are learnt.

use tch::{Kind, Tensor, no_grad};

use super::CycleGan;
use crate::net::{generator::Generator, params::Params};

/// Frozen generators.
#[derive(Debug)]
pub struct Teacher {
    networks: [Generator; 2],
    params: [Params; 2],
}

/// A teacher's output for a batch.
#[derive(Debug)]
pub struct Lesson {
    /// N×3×H×W in [−1, 1].
    pub image: Tensor,
    /// N×C×h×w each.
    pub features: Vec<Tensor>,
    /// Whether the teacher has a mask output: then its image is the target as it is, without the annotated
    /// mask.
    pub masked: bool,
}

impl Teacher {
    /// The exported weights of a run: its moving averages if it has them.
    pub fn new(model: CycleGan) -> Self {
        let params = model.generators.map(|player| player.ema.unwrap_or(player.params));
        Self { networks: model.networks, params }
    }

    /// The output of generator `i` for N×3×H×W.
    pub fn paint(&self, i: usize, x: &Tensor, kind: Kind) -> Lesson {
        no_grad(|| {
            let weights = self.params[i].weights(kind);
            let (painted, features) =
                self.networks[i].forward_with_features(&weights, x, kind, false);
            Lesson { image: painted.image, features, masked: painted.mask_logits.is_some() }
        })
    }
}
