// SPDX-License-Identifier: MIT OR Apache-2.0

//! Both directions of an iteration, A→B and B→A, side by side.
//!
//! At small batches the threads of the CPU are not kept busy by one operation at a time: two
//! directions with half of the threads each are done before two directions in turn with all.

use std::{panic::resume_unwind, thread};

use tch::Device;

use super::CycleGan;
use crate::{caught, data::batch::Batch, loss::adversarial::GanMode, options::TrainOptions};

/// What both directions read.
pub(super) struct Iteration<'a> {
    /// All networks.
    pub model: &'a CycleGan,
    /// A batch of each domain.
    pub batches: &'a [Batch; 2],
    /// How to train.
    pub options: &'a TrainOptions,
}

// SAFETY: the binding leaves its tensors without `Sync`, but libtorch lets any number of threads read a
// tensor, and build and walk graphs on it, as long as none writes to it. `both` writes to none: it is
// one direction after another where a normalisation keeps statistics.
unsafe impl Sync for Iteration<'_> {}

impl Iteration<'_> {
    /// What `work` makes of the directions 0 and 1 and of an input for each.
    pub fn both<I: Send, T: Send>(
        &self,
        inputs: [I; 2],
        work: impl Fn(&Self, usize, I) -> T + Sync,
    ) -> [T; 2] {
        let threads = tch::get_num_threads();
        let [first, second] = inputs;
        if threads < 2 || !self.may_be_side_by_side() {
            return [work(self, 0, first), work(self, 1, second)];
        }
        let half = threads / 2;
        tch::set_num_threads(threads - half);
        let done = thread::scope(|scope| {
            let other = scope.spawn(|| {
                caught::in_this_thread_too();
                tch::set_num_threads(half);
                work(self, 1, second)
            });
            let first = work(self, 0, first);
            [first, other.join().unwrap_or_else(|panic| resume_unwind(panic))]
        });
        tch::set_num_threads(threads);
        done
    }

    /// Not on a GPU, which is kept busy; not where statistics are written, nor where random numbers
    /// are drawn, whose order would then be another in every run.
    fn may_be_side_by_side(&self) -> bool {
        let norms = [self.model.networks[0].shape.norm, self.model.discriminator.shape.norm];
        self.model.device == Device::Cpu
            && !norms.iter().any(|norm| norm.mixes_images())
            && !self.model.networks[0].shape.dropout
            && self.options.gan_mode() != GanMode::Wgangp
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    /// Two steps of a small pair with `threads` threads: the weights of G.
    fn trained(threads: i32) -> Tensor {
        tch::set_num_threads(threads);
        let options = TrainOptions {
            ngf: Some(4),
            width: 4,
            blocks: 1,
            ndf: 4,
            lambda_flow: 1.0,
            ..TrainOptions::default()
        };
        let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
        let noise = || {
            let images = Tensor::rand([1, 3, 64, 64], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
            Batch { images, ..Batch::default() }
        };
        let batches = [noise(), noise()];
        for _ in 0..2 {
            model.train_step(&batches, &options, 1e-3);
        }
        assert_eq!(tch::get_num_threads(), threads);
        model.generators[0].params.flat().copy()
    }

    #[test]
    fn side_by_side_is_as_one_after_another() {
        let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        let (one, two) = (trained(1), trained(2));
        assert!(difference(&one, &two) < 1e-4, "{}", difference(&one, &two));
        assert_eq!(two, trained(2), "another order of random numbers");
    }
}
