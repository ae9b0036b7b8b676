// SPDX-License-Identifier: MIT OR Apache-2.0

//! What GStreamer does not read from files, or writes wrongly into them, container by container.

pub mod asf;
pub mod av1;
pub mod avi;
pub mod chapters;
pub mod decode_times;
pub mod durations;
pub mod early;
pub mod ebml;
pub mod edits;
pub mod flags;
pub mod foreign_tags;
pub mod fourccs;
pub mod isobmff;
pub mod matroska;
pub mod matroska_head;
pub mod matroska_tags;
pub mod moov;
pub mod mpegts;
pub mod opus;
pub mod packed_mpeg4;
pub mod pcm;
pub mod rates;
pub mod repairs;
pub mod sample_entries;
pub mod shared_times;
pub mod timecode;
pub mod timed_text;
pub mod unread;
pub mod untimed;
pub mod user_data;
pub mod wave_header;
pub mod y4m;
