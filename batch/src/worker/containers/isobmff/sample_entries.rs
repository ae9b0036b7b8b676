// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `qtdemux` of GStreamer 1.22 does not read of the descriptions of video: the header of FFV1, the pixel aspect ratio of
//! PNG and QuickTime Animation, full range, and four-character codes of codecs for which there is a decoder.

use std::collections::HashMap;

use gst::prelude::*;
use gst_video::{VideoColorRange, VideoColorimetry};

use super::{boxes::number, details::code, index::Index, trak::Trak};
use crate::worker::{
    elements::caps::{colorimetry, short_id, with_aspect, with_field},
    pads::probes::{Replacement, on_caps},
    repairs::stated_colour,
};

/// The descriptions of video tracks with such fields, by the ids of the tracks.
#[derive(Debug, Default)]
pub struct SampleEntries(HashMap<u32, Fields>);

#[derive(Clone, Debug)]
struct Fields {
    /// The header of FFV1.
    header: Option<gst::Buffer>,
    aspect: Option<gst::Fraction>,
    colour: Option<Colour>,
}

/// What `colr` says of the range of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Colour {
    /// Its bit for full range, in MP4.
    Full(bool),
    /// QuickTime's has no such bit. The stream may.
    OfStream,
}

impl SampleEntries {
    /// The first one of each video track.
    pub fn of(index: &Index) -> Self {
        Self(index.tracks().filter_map(|track| Some((track.id()?, Fields::of(track)?))).collect())
    }

    /// Completes the caps at the pad `pad` of the demuxer.
    pub fn complete(&self, pad: &gst::Pad) {
        let track = pad.stream_id().and_then(|id| short_id(&id).parse().ok());
        let Some(fields) = track.and_then(|track| self.0.get(&track)).cloned() else { return };
        on_caps(pad, move |caps| fields.completed(caps));
    }
}

impl Fields {
    fn of(track: Trak<'_>) -> Option<Self> {
        let entry = track.entry()?;
        let header = entry.of_video(b"glbl").filter(|_| entry.code == b"FFV1");
        let header = header.map(|header| gst::Buffer::from_slice(header.to_vec()));
        let aspect = entry.of_video(b"pasp").and_then(aspect);
        let colour = entry.of_video(b"colr").and_then(Colour::read);
        let fields = Self { header, aspect, colour };
        (fields.header.is_some() || aspect.is_some() || colour.is_some()).then_some(fields)
    }

    /// The `caps` with what they lack; `None` if they lack nothing.
    fn completed(&self, caps: &gst::Caps) -> Option<gst::Caps> {
        let shaped = self.aspect.and_then(|aspect| with_aspect(caps, aspect));
        let coloured = self.colour.and_then(|colour| colour.apply(shaped.as_ref().unwrap_or(caps)));
        let changed = coloured.or(shaped);
        let Some(header) = &self.header else { return changed };
        let mut caps = changed.unwrap_or_else(|| caps.clone());
        caps.make_mut().set("codec_data", header);
        Some(caps)
    }
}

impl Colour {
    fn read(content: &[u8]) -> Option<Self> {
        match content.split_first_chunk()? {
            // After primaries, transfer and matrix.
            (b"nclx", rest) => Some(Self::Full(rest.get(6)? & 0x80 != 0)),
            (b"nclc", _) => Some(Self::OfStream),
            _ => None,
        }
    }

    /// The `caps` with this range; `None` if they have it.
    fn apply(self, caps: &gst::Caps) -> Option<gst::Caps> {
        if self == Self::OfStream {
            return stated_colour::set_aside(caps, |_| true);
        }
        let said = colorimetry(caps.structure(0)?).filter(|_| self == Self::Full(true))?;
        let (matrix, transfer, primaries) = (said.matrix(), said.transfer(), said.primaries());
        let range = VideoColorRange::Range0_255;
        let full = VideoColorimetry::new(range, matrix, transfer, primaries);
        Some(with_field(caps, "colorimetry", full.to_string()))
    }
}

/// The ratio in a `pasp`, if it is valid.
fn aspect(content: &[u8]) -> Option<gst::Fraction> {
    let side = |at: usize| i32::try_from(number(content, at)?).ok().filter(|&n| n > 0);
    Some(gst::Fraction::new(side(0)?, side(4)?))
}

/// Codes that it does not know, and one of the same codec that it knows.
const SAME: [(&[u8; 4], &[u8; 4]); 1] = [
    // DNxHR is a newer form of DNxHD, which its decoder also decodes.
    (b"AVdh", b"AVdn"),
];

/// The codes in an index to replace; none in most files.
pub fn codes(index: &Index) -> impl Iterator<Item = Replacement> {
    index.tracks().filter_map(|track| {
        let code = track.entry()?.code;
        let (_, known) = SAME.iter().find(|(unknown, _)| *unknown == code)?;
        Some(index.replacement(code, **known))
    })
}

/// The codes of the video tracks in an index that have frames.
pub fn video_codes(index: &Index) -> Vec<String> {
    let videos = index
        .tracks()
        .filter(|track| track.is_video() && track.sizes().is_some_and(|(_, frames)| frames > 0));
    videos.filter_map(|track| Some(code(track.entry()?.code))).collect()
}
