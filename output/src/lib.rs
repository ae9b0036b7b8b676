// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output helpers that the programs of `cycleganfilter` share: atomic writes, self-contained web pages, and the
//! error for an unknown option.
//!
//! ```
//! use cyclegan_output::{page, write_atomically};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let report = page::page("Report", None, &format!("<p>{}</p>", page::escape("2 < 3")));
//! write_atomically(&folder.join("report.html"), report.as_bytes())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod option_names;
pub mod page;

pub use atomic::{rename, write_atomically, write_atomically_with};
pub use option_names::check_option_name;
