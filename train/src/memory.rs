// SPDX-License-Identifier: MIT OR Apache-2.0

//! What becomes of memory that libtorch frees.

use tch::Device;

/// Lets the C library keep freed memory instead of giving it back to the system: an iteration asks
/// for the same large tensors again and again, and fresh pages cost it some 6 % of its time. All
/// threads share one store: with one each, training took a quarter more memory. Where another
/// device than the CPU trains, nothing is changed: its tensors are not here.
pub fn keep_freed(device: Device) {
    if device != Device::Cpu {
        return;
    }
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: sets a number of the allocator; it refuses what it does not know.
        let set = |parameter, value| unsafe { libc::mallopt(parameter, value) == 1 };
        set(libc::M_ARENA_MAX, 1);
        // Some versions take no larger threshold for blocks of their own than 32 MiB.
        if !set(libc::M_MMAP_THRESHOLD, i32::MAX) {
            set(libc::M_MMAP_THRESHOLD, 32 << 20);
        }
        set(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
