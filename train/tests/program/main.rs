// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of `cyclegan-train` as a program.
//!
//! They are one binary, so that libtorch is linked once. `CYCLEGAN_TEST_SLOW=1` also runs the slow tests.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

// Helpers.
mod common;

// Tests.
mod another_pair;
mod bad_input;
mod check;
mod compress;
mod context;
mod ends;
mod eval;
mod extract;
mod freeze;
mod init_from;
mod masks;
#[cfg(target_os = "linux")]
mod memory;
mod mpi;
mod negatives;
mod paired;
mod play;
mod recipe;
mod report;
mod resume;
mod slurm;
mod terms;
mod validation;
mod variants;
