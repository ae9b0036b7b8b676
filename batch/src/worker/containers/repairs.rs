// SPDX-License-Identifier: MIT OR Apache-2.0

//! What to correct in a file for the demuxers of GStreamer 1.22. It is found when the file is probed.

use super::{
    isobmff::{durations::Durations, sample_entries::SampleEntries},
    matroska::times::Times,
};
use crate::worker::pads::probes::Replacement;

#[derive(Debug, Default)]
pub struct Repairs {
    /// For MP4 and QuickTime.
    pub durations: Durations,
    /// What to read differently besides durations.
    pub replacements: Vec<Replacement>,
    /// The descriptions of video in MP4 and QuickTime.
    pub sample_entries: SampleEntries,
    /// The times of packets of Matroska.
    pub times: Times,
}

impl Repairs {
    /// What to read differently when the file is probed.
    pub fn for_probe(&self) -> Vec<Replacement> {
        [&self.durations.tracks[..], &self.replacements].concat()
    }

    /// What to read differently when it is demuxed.
    pub fn for_demuxer(&self) -> Vec<Replacement> {
        let mut replacements = self.for_probe();
        replacements.extend(self.durations.movie);
        replacements
    }
}
