// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output of the programs of `cycleganfilter`: files that are written atomically, and self-contained
//! web pages.
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

pub mod page;
mod whole;

pub use whole::{rename, write_beside, write_beside_with};
