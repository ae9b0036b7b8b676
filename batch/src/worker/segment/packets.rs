// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts the packets that a decoder should turn into frames.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use gst::prelude::*;

use crate::{
    lock::lock,
    protocol::Span,
    worker::{
        elements::{caps::short_id, is_kind, is_of},
        pads::{
            clip,
            probes::{on_buffers, on_segments},
            tally::{Tally, is_hidden},
        },
        pipeline::Pipeline,
    },
};

/// Counts the packets of a segment both after the demuxer and before the decoder: a parser drops damaged ones, and the
/// packets of a transport stream's demuxer are not frames.
pub struct Packets {
    demuxed: Tally,
    /// One per decoder: the decoder of an alpha plane sees the same packets again.
    parsed: Arc<Mutex<Vec<Tally>>>,
    /// The number of places where a demuxer has found data missing.
    gaps: Arc<AtomicU64>,
    span: Span,
}

impl Packets {
    /// For the packets of `span`, watched as a point of `pipeline`.
    pub fn new(pipeline: &Pipeline, span: &Span) -> Self {
        let demuxed = pipeline.progress.tally("packets read");
        Self { demuxed, parsed: Arc::default(), gaps: Arc::default(), span: span.clone() }
    }

    /// Watches the elements that are added to `pipeline` for the track with this stream id.
    pub fn watch(&self, pipeline: &Pipeline, id: &str) {
        let (demuxed, parsed) = (self.demuxed.clone(), self.parsed.clone());
        let (id, span, gaps) = (id.to_owned(), self.span.clone(), self.gaps.clone());
        let of_video = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_VIDEO;
        pipeline.gst().connect_deep_element_added(move |_, _, element| {
            if is_packetized(element) {
                let (demuxed, id, span) = (demuxed.clone(), id.clone(), span.clone());
                element.connect_pad_added(move |_, pad| {
                    if pad.stream_id().is_some_and(|stream| short_id(&stream) == id) {
                        clip::count_within(pad, &span, demuxed.clone());
                    }
                });
            } else if is_kind(element, of_video)
                && let Some(sink) = element.static_pad("sink")
            {
                let tally = Tally::default();
                clip::count_within(&sink, &span, tally.clone());
                count_gaps(&sink, gaps.clone());
                lock(&parsed).push(tally);
            }
        });
    }

    /// Restarts the count after a seek.
    pub fn reset(&self) {
        self.gaps.store(0, Ordering::Relaxed);
        self.demuxed.clear();
        lock(&self.parsed).iter().for_each(Tally::clear);
    }

    /// The number of places where data are missing.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// A notice about missing frames, if there are more packets than `frames` by more than `may_lack`.
    pub fn missing(&self, frames: u64, may_lack: u64) -> Option<String> {
        let packets = self.get();
        // Each field may be a separate packet.
        let is_fields = packets.abs_diff(2 * frames) * 50 <= packets;
        (packets > frames + may_lack && !is_fields).then(|| {
            let missing = packets - frames;
            format!("is damaged: {missing} of {packets} frames cannot be decoded and are missing")
        })
    }

    pub fn get(&self) -> u64 {
        let parsed = lock(&self.parsed).iter().map(|tally| tally.get().packets).max();
        self.demuxed.get().packets.max(parsed.unwrap_or(0))
    }
}

/// Counts the packets at `pad` that do not follow the previous one. The first after a seek does not count.
fn count_gaps(pad: &gst::Pad, gaps: Arc<AtomicU64>) {
    let is_first = Arc::new(AtomicBool::new(true));
    let begins = is_first.clone();
    on_segments(pad, move |_| {
        begins.store(true, Ordering::Relaxed);
        None
    });
    on_buffers(pad, move |pad, buffer| {
        if !is_hidden(pad, buffer) {
            let is_first = is_first.swap(false, Ordering::Relaxed);
            if buffer.flags().contains(gst::BufferFlags::DISCONT) && !is_first {
                gaps.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    });
}

/// Whether this is a demuxer that outputs one frame per buffer.
fn is_packetized(element: &gst::Element) -> bool {
    ["qtdemux", "matroskademux", "flvdemux", "avidemux", "asfdemux"]
        .iter()
        .any(|name| is_of(element, name))
}
