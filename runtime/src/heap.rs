// SPDX-License-Identifier: MIT OR Apache-2.0

//! Returns memory that the C library keeps after a session is freed.

/// Returns freed memory to the system when it is dropped, which must be after the session.
///
/// glibc has several arenas, each shared by a few threads, and keeps freed memory in its arena. A session is
/// created on one thread, run on several and freed on another. Without this, each model that is loaded while
/// playing leaves more pages in more arenas.
pub struct TrimHeap;

impl Drop for TrimHeap {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: malloc_trim takes no pointer, and any thread may call it at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
