// SPDX-License-Identifier: MIT OR Apache-2.0

//! Locking of shared memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `shared`, even if another thread has panicked: one bad file does not stop the others.
pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
