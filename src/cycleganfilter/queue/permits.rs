// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts the queued items, and knows which of them a flush or failure has discarded.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gst::FlowError;

use crate::cycleganfilter::lock;

/// The stages of an item, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Running the generator.
    Infer,
    /// Making the output.
    Finish,
    /// Pushing it downstream.
    Deliver,
}

/// The counts and the epoch, shared by all permits.
#[derive(Default)]
pub struct Permits {
    state: Mutex<State>,
    /// Signals that `state` has changed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The epoch of items that enter now. A flush and a failure each begin a new one.
    epoch: u64,
    /// The stages before delivery drop items of earlier epochs than this.
    first_to_finish: u64,
    /// Delivery drops items of earlier epochs than this.
    first_to_deliver: u64,
    is_flushing: bool,
    /// The last failure, until a push returns it.
    failure: Option<FlowError>,
    in_generator: usize,
    total: usize,
}

/// The right to push one item. The item counts as queued until its permit is dropped.
pub struct Permit {
    permits: Arc<Permits>,
    epoch: u64,
    is_in_generator: bool,
    /// Whether the item is an event: it leaves a failure to the next frame.
    is_event: bool,
}

impl Permits {
    /// See [`Queue::reserve`](super::Queue::reserve).
    pub fn reserve(
        this: &Arc<Self>,
        is_in_generator: bool,
        depth: usize,
        most: usize,
    ) -> Result<Permit, FlowError> {
        let mut state = lock(&this.state);
        loop {
            state.check()?;
            if state.in_generator < depth && state.total < most {
                return Ok(this.permit(&mut state, is_in_generator, false));
            }
            state = this.wait(state);
        }
    }

    /// A permit for an event, which does not wait for room.
    pub fn admit(this: &Arc<Self>) -> Permit {
        this.permit(&mut lock(&this.state), false, true)
    }

    fn permit(
        self: &Arc<Self>,
        state: &mut State,
        is_in_generator: bool,
        is_event: bool,
    ) -> Permit {
        state.total += 1;
        state.in_generator += usize::from(is_in_generator);
        Permit { permits: self.clone(), epoch: state.epoch, is_in_generator, is_event }
    }

    pub fn in_generator(&self) -> usize {
        lock(&self.state).in_generator
    }

    pub fn total(&self) -> usize {
        lock(&self.state).total
    }

    pub fn drain(&self) {
        let mut state = lock(&self.state);
        while state.total > 0 && !state.is_flushing {
            state = self.wait(state);
        }
    }

    pub fn take_failure(&self) -> Option<FlowError> {
        lock(&self.state).failure.take()
    }

    pub fn flush(&self) {
        let mut state = lock(&self.state);
        state.is_flushing = true;
        state.epoch += 1;
        state.first_to_finish = state.epoch;
        state.first_to_deliver = state.epoch;
        self.changed.notify_all();
    }

    pub fn resume(&self) {
        let mut state = lock(&self.state);
        state.is_flushing = false;
        state.failure = None;
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Fails if nothing may be pushed. Returns each failure once.
    fn check(&mut self) -> Result<(), FlowError> {
        if self.is_flushing {
            return Err(FlowError::Flushing);
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    fn is_current(&self, stage: Stage, epoch: u64) -> bool {
        let first = match stage {
            Stage::Infer | Stage::Finish => self.first_to_finish,
            Stage::Deliver => self.first_to_deliver,
        };
        epoch >= first
    }
}

impl Permit {
    /// Checks that the item may still enter, and puts it into the current epoch; otherwise it is discarded.
    pub fn enter(&mut self) -> Result<(), FlowError> {
        let mut state = lock(&self.permits.state);
        let entered = match self.is_event {
            true if state.is_flushing => Err(FlowError::Flushing),
            true => Ok(()),
            false => state.check(),
        };
        // Epoch 0 has ended: a flush or a failure has begun another one.
        self.epoch = if entered.is_ok() { state.epoch } else { 0 };
        entered
    }

    /// Whether `stage` still has to process the item.
    pub fn is_current(&self, stage: Stage) -> bool {
        lock(&self.permits.state).is_current(stage, self.epoch)
    }

    /// Makes room in the generator for another item.
    pub fn leave_generator(&mut self) {
        if std::mem::take(&mut self.is_in_generator) {
            lock(&self.permits.state).in_generator -= 1;
            self.permits.changed.notify_all();
        }
    }

    /// Records that `stage` failed. Items after this one are dropped; items before it are still
    /// delivered, unless delivery itself failed.
    pub fn fail(&self, stage: Stage, error: FlowError) {
        let mut state = lock(&self.permits.state);
        if !state.is_current(stage, self.epoch) {
            return; // A flush has discarded it.
        }
        state.failure = Some(error);
        state.epoch += 1;
        state.first_to_finish = state.epoch;
        if stage == Stage::Deliver {
            state.first_to_deliver = state.epoch;
        }
        self.permits.changed.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.leave_generator();
        lock(&self.permits.state).total -= 1;
        self.permits.changed.notify_all();
    }
}
