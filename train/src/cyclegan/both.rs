// SPDX-License-Identifier: MIT OR Apache-2.0

//! Both directions of an iteration, A→B and B→A, side by side.
//!
//! At small batches the threads of the CPU are not kept busy by one operation at a time: two
//! directions with half of the threads each are done before two directions in turn with all.

use std::{env, panic::resume_unwind, thread};

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
// tensor, and build and walk graphs on it, as long as none writes to it. What runs in `both` writes to
// none: where a normalisation keeps statistics, one direction comes after the other. A teacher is only
// read, and the other processes are talked to outside.
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
        if threads < 2 || bound_to_cores() || !self.may_be_side_by_side() {
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

/// Whether the environment binds the threads of libtorch to cores: a thread of ours would then be bound
/// to that of its parent, with all of its own.
fn bound_to_cores() -> bool {
    let bound = |name| env::var(name).is_ok_and(|v| !v.eq_ignore_ascii_case("false"));
    ["OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"].into_iter().any(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{build::Norm, generator::NetG};

    #[test]
    fn what_is_written_or_drawn_is_so_in_turn() {
        let apart = |change: fn(&mut TrainOptions)| {
            let mut options = TrainOptions {
                net_g: Some(NetG::Resnet6Blocks),
                ngf: Some(2),
                ndf: 2,
                ..TrainOptions::default()
            };
            change(&mut options);
            let model = &CycleGan::new(&options, Device::Cpu).unwrap();
            let batches = &[Batch::default(), Batch::default()];
            !Iteration { model, batches, options: &options }.may_be_side_by_side()
        };
        assert!(!apart(|_| ()));
        assert!(apart(|o| o.norm = Some(Norm::Batch)));
        assert!(apart(|o| o.norm_d = Some(Norm::Batch)));
        assert!(apart(|o| o.dropout = Some(true)));
        assert!(apart(|o| o.gan_mode = Some(GanMode::Wgangp)));
    }
}
