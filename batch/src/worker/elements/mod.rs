// SPDX-License-Identifier: MIT OR Apache-2.0

//! Creating, adding and linking elements.

pub mod caps;
pub mod chain;
pub mod filter;
pub mod frames;
pub mod rows;

use anyhow::{Context, Result};
use gst::prelude::*;

/// How many bytes of a track may be queued while another track has no data.
pub const QUEUE_BYTES: u32 = 256 << 20;

/// Prefers FFmpeg's decoders where others lose data. `jpegdec` of GStreamer 1.22 outputs 4:2:2 and 4:4:4 as 4:2:0.
/// `openjpegdec` outputs 4:2:2 as 4:4:4, and does not read the JPEG 2000 of QuickTime. `flacdec` outputs no samples of
/// 32 bits. `vp8dec` and `vp9dec` output nothing after a damaged frame until the next key frame.
pub fn prefer_decoders() {
    for decoders in [
        ["avdec_mjpeg", "jpegdec"],
        ["avdec_jpeg2000", "openjpegdec"],
        ["avdec_flac", "flacdec"],
        ["avdec_vp8", "vp8dec"],
        ["avdec_vp9", "vp9dec"],
    ] {
        if let [Some(better), Some(other)] = decoders.map(gst::ElementFactory::find) {
            better.set_rank(other.rank() + 1);
        }
    }
}

pub fn is_of(element: &gst::Element, factory: &str) -> bool {
    factory_name(element) == factory
}

/// The name of the factory of an element, such as `qtdemux`.
pub fn factory_name(element: &gst::Element) -> gst::glib::GString {
    element.factory().map(|factory| factory.name()).unwrap_or_default()
}

/// Whether an element is of this kind, such as a parser, or a decoder of video.
pub fn is_kind(element: &gst::Element, kind: gst::ElementFactoryType) -> bool {
    element.factory().is_some_and(|factory| factory.has_type(kind))
}

/// Creates an element of GStreamer; fails with what to install.
pub fn make(factory: &str) -> Result<gst::Element> {
    let element = gst::ElementFactory::make(factory).build();
    element.with_context(|| format!("GStreamer's element {factory} is not installed"))
}

pub fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad> {
    let pad = element.static_pad(name);
    pad.with_context(|| format!("{} has no pad '{name}'", element.name()))
}

/// The caps that elements accept, given in the syntax of `gst-launch-1.0`.
pub fn accepted_caps(description: &str) -> Option<gst::Caps> {
    caps_at(description, "sink")
}

/// The caps that elements can output, given in the same way.
pub fn output_caps(description: &str) -> Option<gst::Caps> {
    caps_at(description, "src")
}

fn caps_at(description: &str, pad: &str) -> Option<gst::Caps> {
    let elements = gst::parse::bin_from_description(description, true).ok()?;
    Some(elements.static_pad(pad)?.query_caps(None))
}

/// Adds an element to a running pipeline.
pub fn add(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<()> {
    pipeline.add(element)?;
    element.sync_state_with_parent()?;
    Ok(())
}

/// Links an unused track to a `fakesink`; returns its pad.
pub fn discard(pipeline: &gst::Pipeline, track: &gst::Pad) -> Result<gst::Pad> {
    let sink = make("fakesink")?;
    sink.set_property("async", false);
    sink.set_property("sync", false);
    let end = pad(&sink, "sink")?;
    add(pipeline, &sink)?;
    track.link(&end)?;
    Ok(end)
}

/// A queue large enough for tracks whose data are far apart in the file.
pub fn wide_queue() -> Result<gst::Element> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-bytes", QUEUE_BYTES);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}
