// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which processor trains.

use anyhow::{Error, Result, bail, ensure};
use libloading::Library;
use tch::{Cuda, Device};

use crate::peers::Peers;

/// Finds `auto`, `cpu`, `cuda` or `cuda:N`, and gives libtorch its threads.
///
/// Of several processes on one machine each takes a CUDA device of its own, or its share of the
/// cores. With a CUDA device, libtorch gets one thread unless told otherwise.
pub fn pick(name: &str, threads: u32, peers: &Peers) -> Result<Device> {
    let (mine, here) = peers.on_this_machine();
    let device = find(name, mine)?;
    let threads = match (threads, device) {
        // What is left to the CPU is copying batches of bytes, where threads that wait for each other
        // beside those that load images took 30 ms of an iteration; alone it takes 3.
        (0, Device::Cuda(_)) => 1,
        // `mpirun` may have bound this process to some cores already; these are what is counted.
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
    // Where each process is shown one device only, that one is its own.
    let index = index.unwrap_or(mine % there.max(1));
    ensure!(
        index < there,
        "--device {name}: libtorch finds {there} CUDA devices{missing}; use --device cpu, or install \
         a libtorch and a driver for this GPU"
    );
    Ok(Device::Cuda(index))
}

/// Whether this processor has instructions for bfloat16, without which libtorch takes several times
/// as long as in float32; also where that cannot be told.
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = true;
    has
}

/// Loads the half of libtorch that knows CUDA: nothing in the program names it, so that the linker
/// leaves it out, and without an NVIDIA driver it is not wanted.
fn load_cuda() -> Result<(), libloading::Error> {
    for library in ["libcuda.so.1", "libtorch_cuda.so"] {
        // SAFETY: what runs on loading is NVIDIA's and libtorch's own initialisation, meant for
        // this; the libraries stay until the program ends.
        let loaded = unsafe { Library::new(library) }?;
        std::mem::forget(loaded);
    }
    Ok(())
}
