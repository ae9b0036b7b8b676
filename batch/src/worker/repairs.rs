// SPDX-License-Identifier: MIT OR Apache-2.0

//! What to correct in a file for the demuxers of GStreamer 1.22. It is found when the file is probed.

use super::{durations::Durations, early::Early};

#[derive(Debug, Default)]
pub struct Repairs {
    /// For MP4 and QuickTime.
    pub durations: Durations,
    /// For Matroska with timestamps before 0.
    pub early: Option<Early>,
}
