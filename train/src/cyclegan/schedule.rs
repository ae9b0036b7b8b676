// SPDX-License-Identifier: MIT OR Apache-2.0

//! The learning rate over time.

use serde::{Deserialize, Serialize};

use crate::options::LrPolicy;

/// The parameters of the learning rate.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Policy.
    pub policy: LrPolicy,
    /// Initial learning rate.
    pub lr: f64,
    /// Epochs at the initial learning rate.
    pub n_epochs: u32,
    /// Epochs of decay.
    pub n_epochs_decay: u32,
    /// Epochs between divisions.
    pub lr_decay_iters: u32,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Finished epochs; the schedule is in epochs.
    Epoch(u64),
    /// The finished share of a run with a length in images or minutes, 0 to 1. The epochs of the schedule
    /// divide that length: with 100 and 100 the rate decays in the second half.
    Share(f64),
}

impl Schedule {
    /// The learning rate at a point of a run.
    pub fn lr(&self, progress: Progress) -> f64 {
        self.lr * self.factor(progress)
    }

    fn factor(&self, progress: Progress) -> f64 {
        let (constant, decay) = (f64::from(self.n_epochs), f64::from(self.n_epochs_decay));
        let epoch = match progress {
            Progress::Epoch(epoch) => epoch as f64,
            Progress::Share(share) => share.clamp(0.0, 1.0) * (constant + decay),
        };
        match (self.policy, progress) {
            // As published, counted from epoch 1: 1 − max(0, epoch + 1 − n) / (n_decay + 1).
            (LrPolicy::Linear, Progress::Epoch(_)) => {
                1.0 - ((epoch + 1.0 - constant).max(0.0) / (decay + 1.0)).min(1.0)
            }
            (LrPolicy::Linear, Progress::Share(_)) if decay == 0.0 => 1.0,
            (LrPolicy::Linear, Progress::Share(_)) => 1.0 - (epoch - constant).max(0.0) / decay,
            (LrPolicy::Step, _) => {
                0.1f64.powf((epoch / f64::from(self.lr_decay_iters.max(1))).floor())
            }
            (LrPolicy::Plateau, _) => 1.0,
            (LrPolicy::Cosine, _) => {
                let part = (epoch / (constant + decay).max(1.0)).min(1.0);
                0.5 * (1.0 + (part * std::f64::consts::PI).cos())
            }
        }
    }
}

/// The factor of the learning rate for a network after `updates` of its own; 1 after `warmup`.
pub fn warm_up(updates: i64, warmup: u64) -> f64 {
    ((updates + 1) as f64 / warmup.max(1) as f64).min(1.0)
}

/// The state of [`LrPolicy::Plateau`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The factor of the learning rate.
    pub factor: f64,
    best: Option<f64>,
    bad_epochs: u32,
    epoch: u64,
    sum: f64,
    count: u64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { factor: 1.0, best: None, bad_epochs: 0, epoch: 0, sum: 0.0, count: 0 }
    }
}

impl Plateau {
    const FACTOR: f64 = 0.2;
    const THRESHOLD: f64 = 0.01;
    const PATIENCE: u32 = 5;

    /// Records a loss in `epoch`; an epoch is evaluated when the next one starts.
    pub fn observe(&mut self, epoch: u64, loss: f64) {
        if epoch != self.epoch && self.count > 0 {
            self.judge(self.sum / self.count as f64);
            (self.sum, self.count) = (0.0, 0);
        }
        self.epoch = epoch;
        self.sum += loss;
        self.count += 1;
    }

    fn judge(&mut self, mean: f64) {
        if self.best.is_none_or(|best| mean < best * (1.0 - Self::THRESHOLD)) {
            self.best = Some(mean);
            self.bad_epochs = 0;
            return;
        }
        self.bad_epochs += 1;
        if self.bad_epochs > Self::PATIENCE {
            self.factor *= Self::FACTOR;
            self.bad_epochs = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(policy: LrPolicy) -> Schedule {
        Schedule { policy, lr: 1.0, n_epochs: 100, n_epochs_decay: 100, lr_decay_iters: 50 }
    }

    #[test]
    fn policies_follow_their_definitions() {
        for (policy, epoch, expected) in [
            (LrPolicy::Linear, 0, 1.0),
            (LrPolicy::Linear, 99, 1.0),
            (LrPolicy::Linear, 100, 1.0 - 1.0 / 101.0),
            (LrPolicy::Linear, 199, 1.0 - 100.0 / 101.0),
            (LrPolicy::Linear, 500, 0.0),
            (LrPolicy::Step, 49, 1.0),
            (LrPolicy::Step, 100, 0.01),
            (LrPolicy::Cosine, 100, 0.5),
        ] {
            let lr = schedule(policy).lr(Progress::Epoch(epoch));
            assert!((lr - expected).abs() < 1e-9, "{policy:?} at {epoch}: {lr}");
        }
    }

    #[test]
    fn a_plateau_lowers_the_learning_rate() {
        let mut plateau = Plateau::default();
        for epoch in 0..20 {
            plateau.observe(epoch, 1.0 / (1.0 + epoch as f64));
        }
        assert_eq!(plateau.factor, 1.0);
        for epoch in 20..28 {
            plateau.observe(epoch, 0.05);
        }
        assert_eq!(plateau.factor, 0.2);
    }

    #[test]
    fn the_learning_rate_falls_to_zero_at_a_given_length() {
        for (policy, share, expected) in [
            (LrPolicy::Linear, 0.0, 1.0),
            (LrPolicy::Linear, 0.5, 1.0),
            (LrPolicy::Linear, 0.75, 0.5),
            (LrPolicy::Linear, 1.0, 0.0),
            (LrPolicy::Linear, 1.1, 0.0),
            (LrPolicy::Cosine, 0.5, 0.5),
            (LrPolicy::Cosine, 1.0, 0.0),
        ] {
            let lr = schedule(policy).lr(Progress::Share(share));
            assert!((lr - expected).abs() < 1e-9, "{policy:?} at {share}: {lr}");
        }
        let at_once = Schedule { n_epochs: 0, n_epochs_decay: 1, ..schedule(LrPolicy::Linear) };
        assert_eq!(at_once.lr(Progress::Share(0.25)), 0.75);
    }

    #[test]
    fn warm_up_is_linear() {
        let parts: Vec<f64> = (0..5).map(|updates| warm_up(updates, 4)).collect();
        assert_eq!(parts, [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!(warm_up(0, 0), 1.0);
    }
}
