// SPDX-License-Identifier: MIT OR Apache-2.0

//! The header of FFV1 in QuickTime files, which `qtdemux` of GStreamer 1.22 does not pass to the decoder.

use gst::prelude::*;

use super::isobmff::{Index, boxes, find, tracks};
use crate::worker::{
    elements::{caps::media_type, is_of},
    pads::probes::on_caps,
};

/// Length of a video sample entry before its boxes.
const ENTRY: usize = 78;

#[derive(Debug, Default)]
pub struct Extradata(Option<gst::Buffer>);

impl Extradata {
    /// That of the first track with FFV1.
    pub fn of(index: &Index) -> Self {
        let tables = tracks(&index.moov)
            .filter_map(|track| find(track, &[b"mdia", b"minf", b"stbl", b"stsd"]));
        // After version, flags and the number of entries.
        let mut entries = tables.filter_map(|table| boxes(table.get(8..)?).next());
        let entry = entries.find_map(|(kind, entry)| (kind == b"FFV1").then_some(entry));
        let header = entry.and_then(|entry| find(entry.get(ENTRY..)?, &[b"glbl"]));
        Self(header.map(|header| gst::Buffer::from_slice(header.to_vec())))
    }

    /// Adds it to the caps of `demuxer`.
    pub fn add(&self, demuxer: &gst::Element) {
        let Some(header) = self.0.clone().filter(|_| is_of(demuxer, "qtdemux")) else { return };
        demuxer.connect_pad_added(move |_, pad| {
            let header = header.clone();
            on_caps(pad, move |caps| {
                let mut caps = caps.clone();
                let is_ffv1 = media_type(&caps) == "video/x-ffv";
                is_ffv1.then(|| caps.make_mut().set("codec_data", header.clone()))?;
                Some(caps)
            });
        });
    }
}
