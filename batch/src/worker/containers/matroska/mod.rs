// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of Matroska files (RFC 9559) that `matroskademux` ignores or misreads, or that `matroskamux` does not write.

mod ebml;
mod entry;
mod extras;
pub mod head;
mod segment;
pub mod tags;
mod times;

pub use self::{
    entry::{Codec, Entry},
    extras::{Extras, attachments},
    segment::damage,
    times::Times,
};
