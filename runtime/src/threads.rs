// SPDX-License-Identifier: MIT OR Apache-2.0

//! The threads that the CPU runs operators on.

use std::thread;

use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
};

/// `threads`, or as many as there are cores if 0. ONNX Runtime counts physical cores, which is one
/// on a virtual machine with two.
pub fn count(threads: u32) -> usize {
    match threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    }
}

/// Options of a session that runs on so many threads, see [`count`].
///
/// Each session has a pool of its own. ONNX Runtime can share one among all sessions, but how long
/// its threads spin is not to be set then: on two busy cores an int8 generator took 1.2 times as
/// long on a shared pool that does not spin (456×256, 22 ms with its own pool), and 1.5 times on one
/// that does.
pub fn session_options(environment: &Environment, threads: u32) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_intra_threads(count(threads))?
        // Denormals of a dark picture would slow the processor down a hundredfold.
        .with_flush_to_zero()?
        // A worker that spins for long holds the core that decoder or encoder wait for: with one
        // other busy thread on two cores a run takes a sixth longer by default.
        .with_config_entry("session.intra_op.spin_duration_us", "100")?
        .with_config_entry("session.force_spinning_stop", "1")?;
    Ok(builder)
}
