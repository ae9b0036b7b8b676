// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the programs of `cycleganfilter` leave behind: files that are whole or not there, and web
//! pages that are one file.

pub mod page;
mod whole;

pub use whole::{rename, write_beside};
