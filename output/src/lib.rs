// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output helpers that the programs of `cycleganfilter` share: atomic writes, self-contained web pages, and the
//! error for an unknown option.
//!
//! ```
//! use cyclegan_output::{page, write_beside};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let report = page::page("Report", None, &format!("<p>{}</p>", page::escape("2 < 3")));
//! write_beside(&folder.join("report.html"), report.as_bytes())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod option_names;
pub mod page;
mod whole;

pub use option_names::check_option_name;
pub use whole::{rename, write_beside, write_beside_with};
