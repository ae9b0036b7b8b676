// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that the C library keeps after a session is freed.

/// Dropped after a session, it gives the session's memory back to the system.
///
/// glibc has an arena of memory for each few threads, and keeps in it what is freed there. Sessions are
/// made on one thread, run on several and are freed on another, so that with each model that is loaded
/// while playing more pages of more arenas stay behind.
pub struct TrimHeap;

impl Drop for TrimHeap {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: it takes no pointer, and any thread may call it at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
