// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs both directions of an iteration, A→B and B→A, in parallel.
//!
//! With small batches a single operation does not keep all CPU threads busy: two parallel directions with
//! half of the threads each are faster than two directions in turn with all threads.

use std::{env, panic::resume_unwind, thread};

use tch::Device;

use super::CycleGan;
use crate::{data::batch::Batch, loss::adversarial::GanMode, options::TrainOptions, panics};

/// The shared input of both directions.
pub(super) struct Iteration<'a> {
    /// All networks.
    pub model: &'a CycleGan,
    /// A batch of each domain.
    pub batches: &'a [Batch; 2],
    /// The training options.
    pub options: &'a TrainOptions,
}

// SAFETY: tch's tensors are not `Sync`, but libtorch lets any number of threads read a tensor, build graphs on it
// and run backward passes, as long as none writes to it. The work in `both` writes to no shared tensor: with
// running statistics the directions run one after the other, a teacher is only read, and communication between
// ranks happens outside.
unsafe impl Sync for Iteration<'_> {}

impl Iteration<'_> {
    /// Runs `work` for each direction, 0 and 1, that has an input.
    pub fn both<I: Send, T: Send>(
        &self,
        inputs: [Option<I>; 2],
        work: impl Fn(&Self, usize, I) -> T + Sync,
    ) -> [Option<T>; 2] {
        let threads = tch::get_num_threads();
        let (first, second) = match inputs {
            [Some(first), Some(second)]
                if threads > 1 && !bound_to_cores() && self.may_be_side_by_side() =>
            {
                (first, second)
            }
            [first, second] => {
                let first = first.map(|input| work(self, 0, input));
                return [first, second.map(|input| work(self, 1, input))];
            }
        };
        let half = threads / 2;
        tch::set_num_threads(threads - half);
        let done = thread::scope(|scope| {
            let other = scope.spawn(|| {
                panics::catch_in_this_thread();
                tch::set_num_threads(half);
                work(self, 1, second)
            });
            let first = work(self, 0, first);
            [first, other.join().unwrap_or_else(|panic| resume_unwind(panic))].map(Some)
        });
        tch::set_num_threads(threads);
        done
    }

    /// False on a GPU, which is busy anyway; with running statistics, which are written; and with random numbers,
    /// whose order would differ from run to run.
    fn may_be_side_by_side(&self) -> bool {
        let norms = [self.model.networks[0].shape.norm, self.model.discriminator.shape.norm];
        self.model.device == Device::Cpu
            && !norms.iter().any(|norm| norm.mixes_images())
            && !self.model.networks[0].shape.dropout
            && self.options.gan_mode() != GanMode::Wgangp
    }
}

/// Whether the environment binds libtorch's threads to cores. If so, a new thread and its threads would all
/// be bound to the core of its parent.
fn bound_to_cores() -> bool {
    let bound = |name| env::var(name).is_ok_and(|v| !v.eq_ignore_ascii_case("false"));
    ["OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"].into_iter().any(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{build::Norm, generator::NetG};

    #[test]
    fn statistics_and_random_numbers_run_sequentially() {
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
