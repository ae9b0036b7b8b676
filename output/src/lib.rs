// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output of the programs of `cycleganfilter`: files that are written atomically, and self-contained
//! web pages.

pub mod page;
mod whole;

pub use whole::{rename, write_beside};
