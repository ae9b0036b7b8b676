// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parts of `cyclegan-train`: generator pairs for `cycleganfilter` from two folders of unpaired
//! frames.
//!
//! `check`, `compress`, `eval`, `export`, `extract`, `masks` and `train` are the commands. `cyclegan` trains the networks
//! of `net` on the batches of `data` with the losses of `loss`; these modules do not read or write a run's files.
//! `checkpoint`, `costs`, `metrics`, `report`, `samples` and `tensorboard` do.
//!
//! Dependencies go one way: `options` uses `data`, `loss` and `net`; `cyclegan` uses `options`; `checkpoint` uses
//! `cyclegan`; `export` uses `checkpoint`; `eval` uses `export`; `train` uses all of them.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

// First, so that all others have its macros.
#[macro_use]
mod terminal;

pub mod check;
pub mod checkpoint;
pub mod compress;
pub mod costs;
pub mod cyclegan;
pub mod data;
pub mod device;
pub mod eval;
pub mod export;
pub mod extract;
pub mod interrupt;
pub mod loss;
pub mod masks;
pub mod memory;
pub mod metrics;
pub mod net;
#[cfg(test)]
mod noise;
pub mod onnx_generator;
pub mod options;
pub mod panics;
pub mod pixels;
pub mod progress;
pub mod ranks;
pub mod recipe;
pub mod report;
pub mod run_folder;
pub mod samples;
pub mod tensorboard;
pub mod train;
pub mod video;
pub mod warp;
