// SPDX-License-Identifier: MIT OR Apache-2.0

//! What GStreamer does not read from files, or writes wrongly into them, container by container.

pub mod asf;
pub mod avi;
pub mod bytes;
pub mod chapters;
pub mod flv;
pub mod foreign_tags;
pub mod h264;
pub mod isobmff;
pub mod matroska;
pub mod mpegts;
mod tag_names;
pub mod timecode;
pub mod track_info;
pub mod unread;
pub mod y4m;
