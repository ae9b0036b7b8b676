// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C, SIGTERM and SIGHUP.

use std::{
    process::exit,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};

/// The longest delay until a request to stop takes effect.
pub const POLL: Duration = Duration::from_millis(100);
/// The conventional exit code after Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From now on, the first Ctrl-C asks the program to stop and the second exits at once. Signals that the parent of the
/// program ignores stay ignored: after `nohup`, the program goes on when its terminal is closed.
pub fn on_ctrl_c() -> Result<()> {
    let ignored = ignored();
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            exit(i32::from(EXIT_CODE));
        }
    })
    .context("cannot handle Ctrl-C")?;
    ignore(&ignored);
    Ok(())
}

/// The signals that are ignored now.
#[cfg(unix)]
fn ignored() -> Vec<libc::c_int> {
    let is_ignored = |signal: &libc::c_int| {
        // SAFETY: without a new action, this only reads the present one, for which zeros are valid.
        unsafe {
            let mut present: libc::sigaction = std::mem::zeroed();
            libc::sigaction(*signal, std::ptr::null(), &raw mut present) == 0
                && present.sa_sigaction == libc::SIG_IGN
        }
    };
    [libc::SIGHUP, libc::SIGINT].into_iter().filter(is_ignored).collect()
}

#[cfg(unix)]
fn ignore(signals: &[libc::c_int]) {
    for signal in signals {
        // SAFETY: no handler is installed, so nothing runs when the signal comes.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
    }
}

#[cfg(not(unix))]
fn ignored() -> Vec<i32> {
    Vec::new()
}

#[cfg(not(unix))]
fn ignore(_: &[i32]) {}

/// Whether the program should stop.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
