// SPDX-License-Identifier: MIT OR Apache-2.0

//! Prepares batches in background threads.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use anyhow::{Context, Result};

use super::{
    batch::Crops,
    sampler::{Plan, Sampler, Skipped},
};

/// Number of batches that each thread prepares ahead.
const AHEAD: usize = 2;
/// Returns the batches of a run in order.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Result<[Crops; 2]>>>,
    next: u64,
    peeked: Option<[Crops; 2]>,
    skipped: Skipped,
}

impl Loader {
    /// Starts `threads` threads that continue after `seen` images of each domain.
    pub fn start(plan: Plan, seen: u64, threads: u32) -> Self {
        let (plan, skipped) = (Arc::new(plan), Skipped::default());
        let stride = u64::from(threads);
        let queue = |k: u64| {
            let (sender, queue) = sync_channel(AHEAD);
            let (plan, skipped) = (plan.clone(), skipped.clone());
            thread::spawn(move || {
                let mut sampler = Sampler::new(&plan, &skipped);
                let batch = plan.batch as u64;
                let mut first = seen + k * batch;
                // A send error means that the run has ended.
                while sender.send(sampler.batch(first)).is_ok() {
                    first += stride * batch;
                }
            });
            queue
        };
        Self { queues: (0..stride).map(queue).collect(), next: 0, peeked: None, skipped }
    }

    /// The crops of the next iteration, domains A and B.
    pub fn next_crops(&mut self) -> Result<[Crops; 2]> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(peeked);
        }
        let queue = &self.queues[(self.next % self.queues.len() as u64) as usize];
        self.next += 1;
        queue.recv().context("a loader thread ended early")?
    }

    /// Waits for the first crops, so that unusable data is reported before the run starts.
    pub fn peek(&mut self) -> Result<()> {
        self.peeked = Some(self.next_crops()?);
        Ok(())
    }

    /// The number of unusable images so far.
    pub fn skipped(&self) -> usize {
        self.skipped.lock().map_or(0, |s| s.len())
    }
}
