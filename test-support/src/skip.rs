// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reports skipped tests.

use std::{fs::OpenOptions, io::Write};

/// Reports that a test, or a part of it, is skipped. Writes to standard error, bypassing the capture of `cargo test`, and
/// to the file that `CYCLEGAN_TEST_SKIPS` names, because cargo-nextest hides the output of tests that pass.
#[allow(clippy::explicit_write, reason = "eprintln! is what must not be used")]
pub fn say_skipped(why: &str) {
    writeln!(std::io::stderr(), "{why}").unwrap();
    if let Some(file) = std::env::var_os("CYCLEGAN_TEST_SKIPS") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{why}").unwrap();
    }
}

/// Whether to run slow tests; reports `test` as skipped otherwise.
pub fn is_slow_wanted(test: &str) -> bool {
    let is_wanted = std::env::var_os("CYCLEGAN_TEST_SLOW").is_some_and(|value| value == "1");
    if !is_wanted {
        say_skipped(&format!("SKIP: {test} is slow; set CYCLEGAN_TEST_SLOW=1 to run it"));
    }
    is_wanted
}
