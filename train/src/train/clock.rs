// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measurements between two lines of metrics.

use std::time::{Duration, Instant};

use tch::Tensor;

use crate::cyclegan::Losses;

/// Time and losses since the last line of metrics.
pub struct Clock {
    since: Instant,
    steps: u32,
    /// Time spent waiting for data.
    pub waited: Duration,
    /// Time spent on samples, checkpoints and scores.
    pub paused: Duration,
    /// The sum of each loss, and the number of iterations that had it.
    sums: Vec<(&'static str, Tensor, u32)>,
}

impl Clock {
    /// Starts to measure.
    pub fn start() -> Self {
        let (waited, paused) = (Duration::ZERO, Duration::ZERO);
        Self { since: Instant::now(), steps: 0, waited, paused, sums: Vec::new() }
    }

    /// Records an iteration.
    pub fn step(&mut self, losses: &Losses) {
        self.steps += 1;
        for (name, loss) in losses {
            match self.sums.iter_mut().find(|sum| sum.0 == *name) {
                Some((_, sum, count)) => {
                    *sum += loss;
                    *count += 1;
                }
                None => self.sums.push((name, loss.copy(), 1)),
            }
        }
    }

    /// The mean of each loss over the iterations that had it.
    pub fn means(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let mean = |sum: &Tensor, count: u32| sum.double_value(&[]) / f64::from(count);
        self.sums.iter().map(move |(name, sum, count)| (*name, mean(sum, *count)))
    }

    /// Seconds per iteration, without those for samples, checkpoints and scores.
    pub fn per_step(&self) -> f64 {
        self.since.elapsed().saturating_sub(self.paused).as_secs_f64()
            / f64::from(self.steps.max(1))
    }

    /// Seconds per iteration spent waiting for data.
    pub fn waiting_per_step(&self) -> f64 {
        self.waited.as_secs_f64() / f64::from(self.steps.max(1))
    }
}

/// How long a run has trained, over all of its sessions.
pub struct Minutes {
    previous: f64,
    since: Instant,
}

impl Minutes {
    /// For a run that has trained for `previous` minutes.
    pub fn after(previous: f64) -> Self {
        Self { previous, since: Instant::now() }
    }

    /// Starts the clock.
    pub fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// Minutes so far.
    pub fn all(&self) -> f64 {
        self.previous + self.since.elapsed().as_secs_f64() / 60.0
    }
}
