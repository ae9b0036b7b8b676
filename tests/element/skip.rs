// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests that say that they are skipped; the tests of all crates take this file.

use std::{fs::OpenOptions, io::Write};

/// Says that a test, or a part of it, is skipped: on standard error, past the capture of `cargo test`, and in the file
/// that `CYCLEGAN_TEST_SKIPS` names, since cargo-nextest keeps all output of a test that passes.
#[allow(clippy::explicit_write, reason = "eprintln! is what must not be used")]
pub fn say_skipped(why: &str) {
    writeln!(std::io::stderr(), "{why}").unwrap();
    if let Some(file) = std::env::var_os("CYCLEGAN_TEST_SKIPS") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{why}").unwrap();
    }
}

/// Whether the slow tests are wanted; says so where they are not.
pub fn is_slow_wanted(test: &str) -> bool {
    let is_wanted = std::env::var_os("CYCLEGAN_TEST_SLOW").is_some_and(|value| value == "1");
    if !is_wanted {
        say_skipped(&format!("SKIP: {test} is slow; set CYCLEGAN_TEST_SLOW=1 to run it"));
    }
    is_wanted
}
