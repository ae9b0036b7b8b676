// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ends runs of generators from another thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::session::{NoSelectedOutputs, RunOptions};

use super::{
    error::RunError,
    runtime::{CAT, reason},
};

/// The options of a run, through which another thread can end it.
pub(super) type Options = Arc<RunOptions<NoSelectedOutputs>>;

/// Ends the runs of [`Binding::run_until`](super::Binding::run_until) that use it, those in progress
/// and later ones. Clones share it.
///
/// ONNX Runtime checks between two operators of the graph, so a run ends after the current one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_set: bool,
    running: Vec<Options>,
}

impl Interrupt {
    /// Ends the runs. Does not wait for them.
    pub fn set(&self) {
        let mut state = self.state();
        state.is_set = true;
        for options in &state.running {
            if let Err(error) = options.terminate() {
                gst::warning!(CAT, "cannot end a run: {}", reason(&error));
            }
        }
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.state().is_set
    }

    /// Calls `run`, which uses `options`, unless it was set. Fails with [`RunError::Interrupted`] if it
    /// is set before `run` has succeeded.
    pub(super) fn guard(
        &self,
        options: &Options,
        run: impl FnOnce() -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        {
            let mut state = self.state();
            if state.is_set {
                return Err(RunError::Interrupted);
            }
            state.running.push(options.clone());
        }
        let result = run();
        let mut state = self.state();
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
