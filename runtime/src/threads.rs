// SPDX-License-Identifier: MIT OR Apache-2.0

//! The threads that the CPU runs operators on.

use std::thread;

use ort::{
    environment::{Environment, GlobalThreadPoolOptions},
    session::{Session, builder::SessionBuilder},
};

/// As many threads as there are cores. ONNX Runtime counts physical ones, which is one on a virtual
/// machine with two.
pub fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The pool of all sessions that do not ask for a number of threads.
pub fn shared_pool() -> ort::Result<GlobalThreadPoolOptions> {
    GlobalThreadPoolOptions::default()
        .with_intra_threads(all_cores())?
        .with_inter_threads(1)?
        // Denormals of a dark picture would slow the processor down a hundredfold.
        .with_flush_to_zero()
}

/// Options of a session that runs on `threads` threads of its own, or on the shared pool if 0.
pub fn session_options(environment: &Environment, threads: u32) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?.with_flush_to_zero()?;
    if threads == 0 {
        return Ok(builder);
    }
    let builder = builder
        .with_independent_thread_pool()?
        .with_intra_threads(threads as usize)?
        // A worker that spins for long holds the core that decoder or encoder wait for: with one
        // other busy thread on two cores a run takes a sixth longer by default.
        .with_config_entry("session.intra_op.spin_duration_us", "100")?
        .with_config_entry("session.force_spinning_stop", "1")?;
    Ok(builder)
}
