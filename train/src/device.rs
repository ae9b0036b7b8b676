// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which processor trains.

use anyhow::{Result, bail, ensure};
use tch::{Cuda, Device};

/// Finds `auto`, `cpu`, `cuda` or `cuda:N`, and gives libtorch its threads.
pub fn pick(name: &str, threads: u32) -> Result<Device> {
    if threads > 0 {
        tch::set_num_threads(threads as i32);
    }
    let cuda = |index: usize| {
        let there = Cuda::device_count();
        ensure!(
            (index as i64) < there,
            "--device {name}: libtorch finds {there} CUDA devices; take --device cpu, or set up \
             the libtorch and driver of this GPU"
        );
        Ok(Device::Cuda(index))
    };
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(Device::cuda_if_available()),
        "cuda" => cuda(0),
        _ => match name.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(index)) => cuda(index),
            _ => bail!("--device is `{name}`, expected auto, cpu, cuda or cuda:N"),
        },
    }
}
