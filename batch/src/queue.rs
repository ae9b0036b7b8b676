// SPDX-License-Identifier: MIT OR Apache-2.0

//! The queue of steps for the worker threads.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::{Condvar, Mutex, PoisonError},
};

use crate::{
    lock::lock,
    stop::{self, POLL},
};

/// A step of the work on a file, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Translate it, or plan its segments.
    File(usize),
    /// Translate it in one segment.
    Whole(usize),
    /// Translate a segment of it.
    Segment(usize, usize),
    /// Join its segments and add the other tracks of the input.
    Mux(usize),
    /// Translate segments of it for another process.
    Help(usize),
}

impl Step {
    pub fn file(self) -> usize {
        match self {
            Self::File(file)
            | Self::Whole(file)
            | Self::Segment(file, _)
            | Self::Mux(file)
            | Self::Help(file) => file,
        }
    }
}

#[derive(Default)]
struct Steps {
    waiting: VecDeque<Step>,
    /// Steps in progress, which may add others.
    active: usize,
}

#[derive(Default)]
pub struct Queue {
    steps: Mutex<Steps>,
    changed: Condvar,
}

impl Queue {
    pub fn push(&self, step: Step) {
        self.add(|waiting| waiting.push_back(step));
    }

    /// Adds steps at the front, so that a started file is finished soon.
    pub fn push_first(&self, steps: &[Step]) {
        self.add(|waiting| steps.iter().rev().for_each(|step| waiting.push_front(*step)));
    }

    /// Adds a step that cannot be done now, behind the next step of another file.
    pub fn push_later(&self, step: Step) {
        self.add(|waiting| {
            let other = waiting.iter().position(|other| other.file() != step.file());
            waiting.insert(other.map_or(waiting.len(), |other| other + 1), step);
        });
    }

    fn add(&self, steps: impl FnOnce(&mut VecDeque<Step>)) {
        steps(&mut lock(&self.steps).waiting);
        self.changed.notify_all();
    }

    /// Removes the waiting segments of a file; returns their number.
    pub fn forget_segments(&self, file: usize) -> usize {
        let mut own = lock(&self.steps);
        let before = own.waiting.len();
        own.waiting.retain(|step| !matches!(step, Step::Segment(of, _) if *of == file));
        before - own.waiting.len()
    }

    /// Runs steps with `act` until the queue is empty and no step is in progress, or until `act` breaks.
    pub fn work(&self, mut act: impl FnMut(Step) -> ControlFlow<()>) {
        while let Some(step) = self.next() {
            let _active = Active(self);
            if act(step).is_break() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Step> {
        let mut steps = lock(&self.steps);
        loop {
            if stop::is_requested() {
                return None;
            }
            if let Some(step) = steps.waiting.pop_front() {
                steps.active += 1;
                return Some(step);
            }
            if steps.active == 0 {
                return None;
            }
            let waited = self.changed.wait_timeout(steps, POLL);
            steps = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A step in progress; ends when dropped, including by a panic.
struct Active<'a>(&'a Queue);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        lock(&self.0.steps).active -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    #[test]
    fn steps_that_must_wait_let_another_file_pass() {
        let queue = Queue::default();
        let steps = [Step::Segment(0, 1), Step::Segment(0, 2), Step::File(1), Step::File(2)];
        queue.push_first(&steps);
        queue.push_later(Step::Segment(0, 0));
        let waiting: Vec<_> = lock(&queue.steps).waiting.iter().copied().collect();
        let [first, second, third, fourth] = steps;
        assert_eq!(waiting, [first, second, third, Step::Segment(0, 0), fourth]);
    }

    #[test]
    fn idle_threads_run_steps_that_others_add() {
        let queue = Queue::default();
        queue.push(Step::File(0));
        let done = AtomicUsize::new(0);
        let act = |step| {
            if let Step::File(0) = step {
                thread::sleep(Duration::from_millis(20));
                queue.push_first(&std::array::from_fn::<_, 10, _>(|segment| {
                    Step::Segment(0, segment)
                }));
            }
            done.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(|| queue.work(act))));
        });
        assert_eq!(done.into_inner(), 11);
    }
}
