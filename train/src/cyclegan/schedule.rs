// SPDX-License-Identifier: MIT OR Apache-2.0

//! The step size over time.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the step size changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrPolicy {
    /// Constant for n-epochs, then in a line to zero over n-epochs-decay.
    Linear,
    /// Divided by ten every lr-decay-iters epochs.
    Step,
    /// Times 0.2 when the cycle loss, with a teacher also the distance from it, has not fallen by 1 % for more than five epochs.
    Plateau,
    /// From the start to zero along half a cosine over n-epochs + n-epochs-decay.
    Cosine,
}

/// All that the step size depends on.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Policy.
    pub policy: LrPolicy,
    /// Initial step.
    pub lr: f64,
    /// Epochs at the initial step.
    pub n_epochs: u32,
    /// Epochs of decay.
    pub n_epochs_decay: u32,
    /// Epochs between divisions.
    pub lr_decay_iters: u32,
    /// Iterations of warm-up.
    pub warmup: u64,
}

impl Schedule {
    /// The step size of iteration `step` (from 0), which lies in `epoch` (from 0).
    pub fn lr(&self, step: u64, epoch: u64) -> f64 {
        let warm = ((step + 1) as f64 / self.warmup.max(1) as f64).min(1.0);
        self.lr * warm * self.factor(epoch as f64)
    }

    fn factor(&self, epoch: f64) -> f64 {
        let (constant, decay) = (f64::from(self.n_epochs), f64::from(self.n_epochs_decay));
        match self.policy {
            // As published, counted from epoch 1: 1 − max(0, epoch + 1 − n) / (n_decay + 1).
            LrPolicy::Linear => 1.0 - ((epoch + 1.0 - constant).max(0.0) / (decay + 1.0)).min(1.0),
            LrPolicy::Step => 0.1f64.powf((epoch / f64::from(self.lr_decay_iters.max(1))).floor()),
            LrPolicy::Plateau => 1.0,
            LrPolicy::Cosine => {
                let part = (epoch / (constant + decay).max(1.0)).min(1.0);
                0.5 * (1.0 + (part * std::f64::consts::PI).cos())
            }
        }
    }
}

/// What [`LrPolicy::Plateau`] remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// What the step is multiplied by.
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

    /// Takes note of a loss in `epoch`; an epoch is judged when the next one begins.
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
        Schedule {
            policy,
            lr: 1.0,
            n_epochs: 100,
            n_epochs_decay: 100,
            lr_decay_iters: 50,
            warmup: 0,
        }
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
            let lr = schedule(policy).lr(1000, epoch);
            assert!((lr - expected).abs() < 1e-9, "{policy:?} at {epoch}: {lr}");
        }
    }

    #[test]
    fn a_plateau_lowers_the_step_and_progress_does_not() {
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
    fn warm_up_rises_in_a_line() {
        let warm = Schedule { warmup: 4, ..schedule(LrPolicy::Linear) };
        let steps: Vec<f64> = (0..5).map(|step| warm.lr(step, 0)).collect();
        assert_eq!(steps, [0.25, 0.5, 0.75, 1.0, 1.0]);
    }
}
