// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of Matroska files (RFC 9559) that `matroskademux` ignores or misreads, or that `matroskamux` does not write.

mod ebml;
pub mod entry;
pub mod extras;
pub mod head;
pub mod segment;
pub mod tags;
pub mod times;
