// SPDX-License-Identifier: MIT OR Apache-2.0

//! What becomes of memory that libtorch frees.

/// Lets the C library keep freed memory instead of giving it back to the system: an iteration asks
/// for the same large tensors again and again, and fresh pages cost it some 6 % of its time.
pub fn keep_freed() {
    // Some versions take no larger threshold for blocks of their own than 32 MiB.
    #[cfg(target_env = "gnu")]
    for threshold in [i32::MAX, 32 << 20] {
        // SAFETY: sets numbers of the allocator; it refuses what it does not know.
        let taken = unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, threshold) == 1
                && libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX) == 1
        };
        if taken {
            break;
        }
    }
}
