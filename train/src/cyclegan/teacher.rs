// SPDX-License-Identifier: MIT OR Apache-2.0

//! A frozen pair whose output and features the student learns.

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
pub struct TeacherOutput {
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
        let params = model.generators.map(|state| state.ema.unwrap_or(state.params));
        Self { networks: model.networks, params }
    }

    /// The output of generator `i` for N×3×H×W.
    pub fn generate(&self, i: usize, x: &Tensor, kind: Kind) -> TeacherOutput {
        no_grad(|| {
            let weights = self.params[i].weights(kind);
            let (generated, features) =
                self.networks[i].forward_with_features(&weights, x, kind, false);
            TeacherOutput {
                image: generated.image,
                features,
                masked: generated.mask_logits.is_some(),
            }
        })
    }
}
