// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of MP4 and QuickTime files that `qtdemux` ignores or misreads, or that `qtmux` does not write (ISO/IEC 14496-12;
//! QuickTime File Format).

mod boxes;
mod chapter_track;
mod details;
mod durations;
mod edits;
mod ilst;
pub mod image;
pub mod index;
mod items;
mod moov;
mod nero;
pub mod pcm;
pub mod sample_entries;
mod samples;
mod shown;
mod sound;
mod timecode;
mod timed_text;
mod trak;
mod user_data;

pub use self::{
    details::Details,
    durations::Durations,
    index::Index,
    moov::{Additions, TrackAdditions},
    nero::MOST_CHAPTERS,
    sample_entries::SampleEntries,
    user_data::UserData,
};
