// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of `cyclegan-batch` as a program.
//!
//! They are one binary, so that GStreamer is linked once. `CYCLEGAN_TEST_SLOW=1` also runs the slow tests.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

// Helpers.
mod common;

// Tests.
mod clocks;
mod cluster;
mod damage;
mod edit_lists;
mod encryption;
mod generate;
mod hdr;
mod heif;
mod kill;
mod library;
mod machines;
mod metadata;
mod old_containers;
mod output_file;
mod photographs;
mod pictures;
mod pieces;
mod report;
mod selection;
mod sound_start;
mod streams;
mod table;
mod telecine;
mod times;
mod tracks;
mod transport_streams;
mod unsupported;
mod videos;
