// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `qtdemux` of GStreamer 1.22 does not read of the descriptions of samples: the header of FFV1, and the pixel aspect
//! ratio of PNG and QuickTime Animation.

use std::sync::Arc;

use gst::prelude::*;

use super::{boxes::number, index::Index, trak::Trak};
use crate::worker::{
    elements::caps::{short_id, with_aspect},
    pads::probes::on_caps,
};

/// The descriptions of the samples of video tracks.
#[derive(Clone, Debug, Default)]
pub struct SampleEntries(Arc<Vec<SampleEntry>>);

#[derive(Debug)]
struct SampleEntry {
    /// The id of its track.
    track: u32,
    /// The header of FFV1.
    header: Option<gst::Buffer>,
    aspect: Option<gst::Fraction>,
}

impl SampleEntries {
    /// The first one of each video track.
    pub fn of(index: &Index) -> Self {
        Self(Arc::new(index.tracks().filter_map(SampleEntry::of).collect()))
    }

    /// Completes the caps at the pad `pad` of the demuxer.
    pub fn complete(&self, pad: &gst::Pad) {
        let entries = self.0.clone();
        let track = pad.stream_id().and_then(|id| short_id(&id).parse::<u32>().ok());
        on_caps(pad, move |caps| {
            entries.iter().find(|entry| Some(entry.track) == track)?.completed(caps)
        });
    }
}

impl SampleEntry {
    fn of(track: Trak<'_>) -> Option<Self> {
        let entry = track.entry()?;
        let header = entry.of_video(b"glbl").filter(|_| entry.code == b"FFV1");
        let aspect = entry.of_video(b"pasp").and_then(aspect);
        let is_useful = header.is_some() || aspect.is_some();
        is_useful.then_some(Self {
            track: track.id()?,
            header: header.map(|header| gst::Buffer::from_slice(header.to_vec())),
            aspect,
        })
    }

    /// The `caps` with what they lack; `None` if they lack nothing.
    fn completed(&self, caps: &gst::Caps) -> Option<gst::Caps> {
        let shaped = self.aspect.and_then(|aspect| with_aspect(caps, aspect));
        let Some(header) = &self.header else { return shaped };
        let mut caps = shaped.unwrap_or_else(|| caps.clone());
        caps.make_mut().set("codec_data", header);
        Some(caps)
    }
}

/// The ratio in a `pasp`, if it is valid.
fn aspect(content: &[u8]) -> Option<gst::Fraction> {
    let side = |at: usize| i32::try_from(number(content, at)?).ok().filter(|&n| n > 0);
    Some(gst::Fraction::new(side(0)?, side(4)?))
}
