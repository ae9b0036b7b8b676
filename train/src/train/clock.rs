// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measurements between two lines of metrics.

use std::time::{Duration, Instant};

use tch::Tensor;

use crate::cyclegan::Losses;

/// Time and losses of the iterations since the last line of metrics.
#[derive(Default)]
pub struct Clock {
    steps: u32,
    /// Time of the iterations, without samples, checkpoints and scores.
    spent: Duration,
    /// The part of it spent waiting for data.
    waited: Duration,
    /// The sum of each loss, and the number of iterations that had it.
    sums: Vec<(&'static str, Tensor, u32)>,
}

impl Clock {
    /// Records an iteration that took the time `spent`, of which it `waited` for data.
    pub fn step(&mut self, losses: &Losses, spent: Duration, waited: Duration) {
        self.steps += 1;
        self.spent += spent;
        self.waited += waited;
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

    /// Seconds per iteration.
    pub fn per_step(&self) -> f64 {
        self.spent.as_secs_f64() / f64::from(self.steps.max(1))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_those_of_the_iterations() {
        let mut clock = Clock::default();
        for (spent, waited) in [(2, 1), (4, 0)] {
            clock.step(&Losses::default(), Duration::from_secs(spent), Duration::from_secs(waited));
        }
        assert_eq!((clock.per_step(), clock.waiting_per_step()), (3.0, 0.5));
    }
}
