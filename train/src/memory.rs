// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reuse of memory that libtorch frees.

use tch::Device;

/// Makes the C library keep freed memory instead of returning it to the system: iterations allocate the
/// same large tensors again and again, and fresh pages cost about 6 % of the time. All threads share one
/// arena: with one arena each, training took a quarter more memory. Does nothing if a device other than
/// the CPU trains, whose tensors are not in this memory.
pub fn keep_freed(device: Device) {
    if device != Device::Cpu {
        return;
    }
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: sets a parameter of the allocator, which refuses unknown ones.
        let set = |parameter, value| unsafe { libc::mallopt(parameter, value) == 1 };
        set(libc::M_ARENA_MAX, 1);
        // Some versions accept at most 32 MiB as mmap threshold.
        if !set(libc::M_MMAP_THRESHOLD, i32::MAX) {
            set(libc::M_MMAP_THRESHOLD, 32 << 20);
        }
        set(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
