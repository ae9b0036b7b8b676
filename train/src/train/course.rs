// SPDX-License-Identifier: MIT OR Apache-2.0

//! The progress and the end of a run.

use tch::Tensor;

use super::session::Session;
use crate::{cyclegan::schedule::Schedule, run_folder::Began};

impl Session {
    /// Whether an action that happens every `every` images is due after this iteration.
    pub(super) fn is_due(&self, every: u64) -> bool {
        let (after, batch) = (self.model.images, self.plan.batch as u64);
        after / every != (after - batch) / every
    }

    /// The schedule of the learning rate.
    pub(super) fn schedule(&self) -> Schedule {
        let o = &self.options;
        Schedule {
            policy: o.lr_policy,
            lr: o.lr,
            n_epochs: o.n_epochs,
            n_epochs_decay: o.n_epochs_decay,
            lr_decay_iters: o.lr_decay_iters,
        }
    }

    /// The finished share of a run with a length in images or minutes; `None` for a length in epochs. The same in
    /// every rank; all must call it.
    pub(super) fn share(&self) -> Option<f64> {
        let images = self
            .options
            .max_images
            .map(|most| (self.model.images - self.began.images) as f64 / most as f64);
        let minutes =
            self.options.max_minutes.map(|most| (self.now().minutes - self.began.minutes) / most);
        images.into_iter().chain(minutes).reduce(f64::max)
    }

    /// The image count at which the run will end, estimated if its length is in minutes; `share` of it is finished.
    pub(super) fn end(&self, share: Option<f64>) -> u64 {
        let epochs = u64::from(self.options.n_epochs) + u64::from(self.options.n_epochs_decay);
        let seen = self.model.images;
        match share {
            None => epochs * self.plan.epoch(),
            Some(share) if share >= 1.0 => seen,
            Some(share) if share > 0.0 => {
                let own = (seen - self.began.images) as f64;
                self.began.images + (own / share).ceil().max(own + 1.0) as u64
            }
            // --max-minutes alone does not say it yet.
            Some(_) => self
                .options
                .max_images
                .map_or(u64::MAX, |most| self.began.images.saturating_add(most)),
        }
    }

    /// The image count at which the run will end if `end` is that of its epochs, images or minutes: --max-iters may end
    /// it before.
    pub(super) fn end_with_iterations(&self, end: u64) -> u64 {
        self.options.max_iters.map_or(end, |most| {
            let left = most.saturating_sub(self.model.step);
            let left = left.saturating_mul(self.plan.batch as u64);
            end.min(self.model.images.saturating_add(left))
        })
    }

    /// Whether the requested end is reached.
    pub(super) fn is_over(&self) -> bool {
        self.model.images >= self.end(self.share())
    }

    /// The progress of the run. The same in every rank; all must call it.
    pub(super) fn now(&self) -> Began {
        let minutes = Tensor::from(self.minutes.all() as f32).view(1);
        let minutes = self.model.ranks.mean(minutes).double_value(&[0]);
        Began { images: self.model.images, minutes }
    }

    /// The last iteration of the run, estimated if its length is in minutes. The same in every rank; all must call it.
    pub(super) fn last_iteration(&self) -> u64 {
        let left = self.end(self.share()).saturating_sub(self.model.images);
        let last = self.model.step.saturating_add(left.div_ceil(self.plan.batch as u64));
        self.options.max_iters.map_or(last, |most| most.min(last))
    }
}
