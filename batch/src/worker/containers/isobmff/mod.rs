// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of MP4 and QuickTime files that `qtdemux` ignores or misreads, or that `qtmux` does not write (ISO/IEC 14496-12;
//! QuickTime File Format).

mod boxes;
pub mod details;
pub mod durations;
mod edits;
pub mod fourccs;
pub mod index;
pub mod moov;
pub mod nero;
mod opus;
pub mod pcm;
mod rates;
pub mod sample_entries;
mod shown;
mod timecode;
mod timed_text;
mod trak;
pub mod user_data;
