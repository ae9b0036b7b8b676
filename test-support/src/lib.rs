// SPDX-License-Identifier: MIT OR Apache-2.0

//! Helpers that the tests of several crates share.

#![allow(clippy::unwrap_used, reason = "a test reports what is wrong by panicking")]

pub mod browser;
pub mod generators;
pub mod plugin;
pub mod skip;
pub mod slurm;
