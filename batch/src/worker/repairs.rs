// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the demuxers of GStreamer 1.22 have to read otherwise in a file, found when it is probed.

use super::{durations::Durations, early::Early};

#[derive(Debug, Default)]
pub struct Repairs {
    /// Of MP4 and QuickTime.
    pub durations: Durations,
    /// Of Matroska with timestamps before 0.
    pub early: Option<Early>,
}
