// SPDX-License-Identifier: MIT OR Apache-2.0

//! Keeps threads out of ONNX Runtime once the process exits.
//!
//! `exit` destroys the global objects of ONNX Runtime while other threads still run. A thread that loads, runs
//! or frees a session meanwhile crashes the process, which then ends with a signal instead of its status. So
//! an exit handler ends the runs in progress, waits until no thread is inside ONNX Runtime, and lets no thread in
//! again.

use std::{
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    sync::{Condvar, LazyLock, Mutex},
};

use super::{
    error::RunError,
    interrupt::{Interrupt, Options},
    lock::lock,
    provider::Provider,
    turns,
};

/// How long the process may wait for a load, which cannot be ended. TensorRT may take minutes.
#[cfg(unix)]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

static STATE: Mutex<State> = Mutex::new(State { is_exiting: false, inside: 0 });
/// Signals that a thread has left.
static LEFT: Condvar = Condvar::new();
/// Ends the runs in progress.
static INTERRUPT: LazyLock<Interrupt> = LazyLock::new(Interrupt::default);

struct State {
    is_exiting: bool,
    /// The number of [`Inside`] values.
    inside: usize,
}

/// A thread may call ONNX Runtime while it has this.
pub struct Inside(());

impl Drop for Inside {
    fn drop(&mut self) {
        lock(&STATE).inside -= 1;
        LEFT.notify_all();
    }
}

/// Lets the thread call ONNX Runtime; `None` if the process is exiting.
pub fn enter() -> Option<Inside> {
    let mut state = lock(&STATE);
    if state.is_exiting {
        return None;
    }
    state.inside += 1;
    Some(Inside(()))
}

/// Calls `run`, which uses `options`. Fails with [`RunError::Interrupted`] if the process exits before `run` has
/// succeeded.
pub fn guard(
    options: &Options,
    run: impl FnOnce() -> Result<(), RunError>,
) -> Result<(), RunError> {
    let _inside = enter().ok_or(RunError::Interrupted)?;
    INTERRUPT.guard(options, run)
}

/// A value of a provider whose `Drop` calls ONNX Runtime. It waits for its turn, see [`turns::wait_for`], and is
/// leaked if the process is exiting.
pub struct Owned<T> {
    value: ManuallyDrop<T>,
    provider: Provider,
}

impl<T> Owned<T> {
    pub fn new(value: T, provider: Provider) -> Self {
        Self { value: ManuallyDrop::new(value), provider }
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if let Some(_inside) = enter()
            && let Ok(_turn) = turns::wait_for(self.provider, &INTERRUPT)
        {
            // SAFETY: the value is dropped nowhere else and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// Makes `exit` call [`close`] before it destroys anything that was created so far: the latest handler runs
/// first. To be called whenever a library may have created global objects.
pub fn close_first() {
    #[cfg(unix)]
    {
        PROCESS.get_or_init(std::process::id);
        // SAFETY: `close` does not unwind, and its code stays loaded: GStreamer never unloads a plugin.
        if unsafe { libc::atexit(close) } != 0 {
            gst::warning!(super::message::CAT, "no memory for an exit handler");
        }
    }
}

/// The process whose threads are counted.
#[cfg(unix)]
static PROCESS: std::sync::OnceLock<u32> = std::sync::OnceLock::new();

/// Ends the runs, and waits until no thread is inside.
#[cfg(unix)]
extern "C" fn close() {
    // A forked child has the count and the locks, but not the threads.
    if PROCESS.get() != Some(&std::process::id()) {
        return;
    }
    let mut state = lock(&STATE);
    if state.is_exiting {
        return;
    }
    state.is_exiting = true;
    drop(state);
    INTERRUPT.set();
    let is_occupied = |state: &mut State| state.inside > 0;
    drop(LEFT.wait_timeout_while(lock(&STATE), PATIENCE, is_occupied));
}
