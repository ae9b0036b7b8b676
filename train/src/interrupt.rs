// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C and SIGTERM: the first signal stops long work at the next safe point, the second ends the process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use thiserror::Error;

/// The conventional exit code after Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// A signal has stopped the work, and the program has said what is saved and how to continue.
#[derive(Debug, Error)]
#[error("stopped by a signal")]
pub struct Interrupted;

/// A flag that the first signal sets; the second signal ends the process at once. Call once per process.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let again = move || {
        if asked.swap(true, Ordering::Relaxed) {
            // SAFETY: it only ends the process. `exit` would first run the exit handlers of libraries while
            // other threads still use them.
            unsafe { libc::_exit(i32::from(EXIT_CODE)) }
        }
    };
    ctrlc::set_handler(again).context("cannot handle Ctrl-C")?;
    Ok(stop)
}
