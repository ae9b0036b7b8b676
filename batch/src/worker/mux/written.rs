// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an output has, by what the muxer got.

use super::mapping::Action;
use crate::worker::{pads::tally::PacketStats, pipeline::fault::TrackFault};

/// A track that was written.
#[derive(Debug)]
pub struct WrittenTrack {
    /// Its number in the input.
    pub number: usize,
    /// How it was made.
    pub action: Action,
    /// Its caps at the muxer; `None` if there was no data.
    pub caps: Option<gst::Caps>,
    pub passed: PacketStats,
}

impl WrittenTrack {
    /// Whether it is the translated video.
    pub fn is_video(&self) -> bool {
        matches!(self.action, Action::Translate)
    }

    pub fn is_encoded(&self) -> bool {
        matches!(self.action, Action::Translate | Action::Encode(_))
    }

    /// Its caps, if it has data.
    pub fn caps_of_data(&self) -> Option<&gst::Caps> {
        self.caps.as_ref().filter(|_| self.passed.packets > 0)
    }

    /// The error that it has, such as `is missing`.
    pub fn fault(&self, cause: impl Into<String>) -> anyhow::Error {
        let cause = cause.into();
        match self.is_video() {
            true => anyhow::anyhow!("the video {cause}"),
            false => TrackFault { track: self.number, cause }.into(),
        }
    }
}

/// The tracks of an output.
#[derive(Debug)]
pub struct Written {
    pub tracks: Vec<WrittenTrack>,
    /// The end of the tracks of the input that are left out.
    pub dropped_end: gst::ClockTime,
}

impl Written {
    /// The frames of the translated video.
    pub fn video(&self) -> PacketStats {
        let video = self.tracks.iter().find(|track| track.is_video());
        video.map_or(PacketStats::default(), |video| video.passed)
    }

    /// The end of the last track.
    pub fn end(&self) -> gst::ClockTime {
        self.tracks.iter().map(|track| track.passed.end).max().unwrap_or_default()
    }
}
