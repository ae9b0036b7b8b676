// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C and SIGTERM: the first has long work end where it may, a second one ends the process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};

/// What a shell says of a process that Ctrl-C ended.
const ENDED_BY_INTERRUPT: i32 = 130;

/// Set from the first of them on; the second one ends the process at once. For once in a process.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let again = move || {
        if asked.swap(true, Ordering::Relaxed) {
            // SAFETY: it only ends the process. `exit` would first run what libraries have for its end,
            // while other threads still use them.
            unsafe { libc::_exit(ENDED_BY_INTERRUPT) }
        }
    };
    ctrlc::set_handler(again).context("cannot handle Ctrl-C")?;
    Ok(stop)
}
