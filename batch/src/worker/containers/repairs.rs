// SPDX-License-Identifier: MIT OR Apache-2.0

//! What to correct in a file for the demuxers of GStreamer 1.22. It is found when the file is probed.

use super::{durations::Durations, early::Early, sample_entries::SampleEntries, untimed::Untimed};
use crate::worker::pads::probes::Replacement;

#[derive(Debug, Default)]
pub struct Repairs {
    /// For MP4 and QuickTime.
    pub durations: Durations,
    /// The codecs of MP4 and QuickTime that the demuxer does not know.
    pub fourccs: Vec<Replacement>,
    /// The descriptions of PCM that the demuxer misreads.
    pub pcm: Vec<Replacement>,
    /// The descriptions of video in MP4 and QuickTime.
    pub sample_entries: SampleEntries,
    /// For ASF, the number of objects in its header.
    pub objects: Option<Replacement>,
    /// For Matroska with timestamps before 0.
    pub early: Option<Early>,
    /// For ProRes in Matroska.
    pub untimed: Option<Untimed>,
}

impl Repairs {
    /// What to read differently when the file is probed.
    pub fn for_probe(&self) -> Vec<Replacement> {
        let durations = self.durations.tracks.iter();
        durations.chain(&self.fourccs).chain(&self.pcm).chain(&self.objects).copied().collect()
    }

    /// What to read differently when it is demuxed.
    pub fn for_demuxer(&self) -> Vec<Replacement> {
        let mut replacements = self.for_probe();
        replacements.extend(self.durations.movie);
        replacements
    }
}
