// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C and SIGTERM: the first signal stops long work at the next safe point, the second ends the process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};

/// Exit code of a process that was ended by Ctrl-C.
const ENDED_BY_INTERRUPT: i32 = 130;

/// A flag that the first signal sets; the second signal ends the process at once. Call once per process.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let again = move || {
        if asked.swap(true, Ordering::Relaxed) {
            // SAFETY: it only ends the process. `exit` would first run the exit handlers of libraries while
            // other threads still use them.
            unsafe { libc::_exit(ENDED_BY_INTERRUPT) }
        }
    };
    ctrlc::set_handler(again).context("cannot handle Ctrl-C")?;
    Ok(stop)
}
