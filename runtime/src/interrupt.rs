// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ends runs of generators from another thread.

use std::{
    sync::{Arc, Mutex},
    thread::Thread,
};

use ort::session::{NoSelectedOutputs, RunOptions};

use super::{
    error::RunError,
    lock::lock,
    message::{CAT, reason},
};

/// The options of a run, through which another thread can end it.
pub(super) type Options = Arc<RunOptions<NoSelectedOutputs>>;

/// Ends the runs of [`Binding::run_until`](super::Binding::run_until) that use it: those in progress, those
/// that wait for another user of the session, and later ones. Clones share it.
///
/// ONNX Runtime checks between two operators of the graph, so a run ends after the current one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_set: bool,
    running: Vec<Options>,
    /// Threads to wake.
    waiting: Vec<Thread>,
}

impl Interrupt {
    /// Ends the runs. Does not wait for them.
    pub fn set(&self) {
        let mut state = lock(&self.0);
        state.is_set = true;
        for options in &state.running {
            if let Err(error) = options.terminate() {
                gst::warning!(CAT, "cannot end a run: {}", reason(&error));
            }
        }
        state.waiting.iter().for_each(Thread::unpark);
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        lock(&self.0).is_set
    }

    /// Calls `run`, which uses `options`, unless it was set. Fails with [`RunError::Interrupted`] if it
    /// is set before `run` has succeeded.
    pub(super) fn guard(
        &self,
        options: &Options,
        run: impl FnOnce() -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        {
            let mut state = lock(&self.0);
            if state.is_set {
                return Err(RunError::Interrupted);
            }
            state.running.push(options.clone());
        }
        let result = run();
        let mut state = lock(&self.0);
        state.running.retain(|running| !Arc::ptr_eq(running, options));
        if !state.is_set {
            return result;
        }
        // For the next run with these options.
        if let Err(error) = options.unterminate() {
            gst::warning!(CAT, "cannot reset an ended run: {}", reason(&error));
        }
        result.map_err(|_| RunError::Interrupted)
    }

    /// Lets [`Interrupt::set`] wake `thread` from [`std::thread::park`] until the result is dropped.
    pub(super) fn wake(&self, thread: Thread) -> Waking<'_> {
        lock(&self.0).waiting.push(thread.clone());
        Waking { interrupt: self, thread }
    }
}

/// See [`Interrupt::wake`].
pub(super) struct Waking<'a> {
    interrupt: &'a Interrupt,
    thread: Thread,
}

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        lock(&self.interrupt.0).waiting.retain(|thread| thread.id() != self.thread.id());
    }
}
