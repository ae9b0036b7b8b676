// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C and SIGTERM.

use std::{
    process::exit,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};

/// The conventional exit code after Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From now on, the first Ctrl-C asks the program to stop and the second exits at once.
pub fn on_ctrl_c() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            exit(i32::from(EXIT_CODE));
        }
    })
    .context("cannot handle Ctrl-C")
}

/// Whether the program should stop.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
