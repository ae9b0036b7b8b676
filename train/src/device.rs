// SPDX-License-Identifier: MIT OR Apache-2.0

//! The training device.

use anyhow::{Error, Result, bail, ensure};
use libloading::Library;
use tch::{Cuda, Device};

use crate::ranks::Ranks;

/// Finds `auto`, `cpu`, `cuda` or `cuda:N`, and gives libtorch its threads.
///
/// If several processes run on one machine, each takes its own CUDA device, or its share of the cores. With
/// a CUDA device, libtorch gets one thread by default.
pub fn pick(name: &str, threads: u32, ranks: &Ranks) -> Result<Device> {
    let (mine, here) = ranks.on_this_machine();
    let device = find(name, mine)?;
    let threads = match (threads, device) {
        // The CPU only copies batches, for which several threads beside the loader threads took 30 ms per
        // iteration; one thread takes 3.
        (0, Device::Cuda(_)) => 1,
        // Counts the cores to which `mpirun` has bound this process, if it has.
        (0, _) if here > 1 => std::thread::available_parallelism().map_or(1, usize::from) / here,
        (0, _) => return Ok(device),
        (threads, _) => threads as usize,
    };
    tch::set_num_threads(threads.max(1) as i32);
    Ok(device)
}

/// The device of that name, for process `mine` of this machine.
fn find(name: &str, mine: usize) -> Result<Device> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" | "cuda" => None,
        _ => match name.strip_prefix("cuda:").map(str::parse::<usize>) {
            Some(Ok(index)) => Some(index),
            _ => bail!("--device is `{name}`, expected auto, cpu, cuda or cuda:N"),
        },
    };
    let missing =
        load_cuda().err().map_or_else(String::new, |e| format!(" ({:#})", Error::from(e)));
    let there = Cuda::device_count().max(0) as usize;
    if name == "auto" && there == 0 {
        return Ok(Device::Cpu);
    }
    // If each process sees only one device, it takes that one.
    let index = index.unwrap_or(mine % there.max(1));
    ensure!(
        index < there,
        "--device {name}: libtorch finds {there} CUDA devices{missing}; use --device cpu, or install \
         a libtorch and a driver for this GPU"
    );
    Ok(Device::Cuda(index))
}

/// Whether this CPU has bfloat16 instructions, without which libtorch takes several times as long as in
/// float32; true if unknown.
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = true;
    has
}

/// Loads the CUDA part of libtorch: the program does not reference it, so the linker leaves it out, and it
/// must not be loaded without an NVIDIA driver.
fn load_cuda() -> Result<(), libloading::Error> {
    let driver = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
    for library in [driver.into(), libloading::library_filename("torch_cuda")] {
        // SAFETY: what runs on loading is NVIDIA's and libtorch's own initialisation, meant for
        // this; the libraries stay until the program ends.
        let loaded = unsafe { Library::new(library) }?;
        std::mem::forget(loaded);
    }
    Ok(())
}
