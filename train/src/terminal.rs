// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines for the terminal. `println!` and `eprintln!` panic if the reader is gone or the disk behind a log file is full;
//! these do nothing then, because training must go on.

use std::fmt::Display;

/// A number with its noun.
pub fn count<N: Display + PartialEq + From<u8>>(n: N, what: &str) -> String {
    format!("{n} {what}{}", if n == N::from(1) { "" } else { "s" })
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// Prints a line to standard error.
#[macro_export]
macro_rules! say_error {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}
