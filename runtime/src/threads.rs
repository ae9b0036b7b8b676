// SPDX-License-Identifier: MIT OR Apache-2.0

//! Threads for the CPU's operators.

use std::thread;

use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
};

/// `threads`, or the number of cores if 0. ONNX Runtime itself counts physical cores, and on a virtual
/// machine with two it finds one.
pub fn count(threads: u32) -> usize {
    match threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    }
}

/// Options of a session with this number of threads, see [`count`].
///
/// Each session has its own pool. ONNX Runtime can share one pool among all sessions, but then the
/// spin duration cannot be set: on two busy cores an int8 generator took 1.2 times as long on a
/// shared pool that does not spin (456×256, 22 ms with its own pool), and 1.5 times on one that does.
pub fn session_options(environment: &Environment, threads: u32) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_intra_threads(count(threads))?
        // Denormal values from a dark image would slow the CPU down a hundredfold.
        .with_flush_to_zero()?
        // A worker that spins for a long time blocks the core for the decoder or encoder: with one other
        // busy thread on two cores a run takes a sixth longer by default.
        .with_config_entry("session.intra_op.spin_duration_us", "100")?
        .with_config_entry("session.force_spinning_stop", "1")?;
    Ok(builder)
}
