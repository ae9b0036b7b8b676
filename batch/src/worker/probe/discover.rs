// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs `GstDiscoverer`.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use gst::glib::prelude::*;
use gst_pbutils::{Discoverer, DiscovererInfo, prelude::*};

use super::{
    demux::decode_only,
    demuxed::Demuxed,
    empty_tracks::EmptyTracks,
    repair::{Repairs, correct_caps},
    watchdog,
};
use crate::{
    lock::lock,
    worker::{
        containers::unread,
        elements::caps::{TRUE_HD_OR_PCM, codec_name, media_type},
        pads::probes::replace,
        pipeline::{decoder_errors, fault},
    },
};

/// How long opening a file may take: slow storage, or an index at the end of a large file.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// What the discoverer has found in a file.
pub struct Discovered {
    pub info: DiscovererInfo,
    /// The tracks in which it has found no frame.
    pub empty_tracks: EmptyTracks,
    pub demuxed: Demuxed,
}

/// Runs the discoverer on `input` with its `repairs`.
pub fn discover(input: &Path, repairs: &Arc<Repairs>) -> Result<Discovered, String> {
    let discoverer = Discoverer::new(PATIENCE).map_err(|error| error.to_string())?;
    let undecodable = Arc::new(Mutex::new(Vec::new()));
    let found = undecodable.clone();
    let empty_tracks = EmptyTracks::default();
    let demuxed = Demuxed::default();
    let (empty, all) = (empty_tracks.clone(), demuxed.clone());
    let (repairs, file) = (repairs.clone(), input.to_owned());
    discoverer.connect_source_setup(move |_, source| {
        if let Some(pad) = source.static_pad("src") {
            replace(&pad, repairs.for_probe());
        }
        let Some(decoder) = source.parent().and_downcast::<gst::Bin>() else { return };
        // Without it, the discoverer only waits longer.
        let _ = watchdog::watch(&file, source, &decoder);
        empty.watch(&decoder);
        let (repairs, all) = (repairs.clone(), all.clone());
        decoder.connect_deep_element_added(move |_, _, element| {
            correct_caps(element, &repairs);
            all.watch(element);
            if element.has_property("direct-rendering") {
                // With it, FFmpeg's decoders crash on formats that GStreamer does not know.
                element.set_property("direct-rendering", false);
            }
        });
        // Its decoder fails, and the file with it.
        decode_only(decoder.upcast_ref(), |_, caps| media_type(caps) != TRUE_HD_OR_PCM);
        let found = found.clone();
        decoder.connect("unknown-type", false, move |values| {
            let caps = values.get(2)?.get::<gst::Caps>().ok()?;
            lock(&found).push(codec_name(&caps));
            None
        });
    });
    let path = std::path::absolute(input).map_err(|error| error.to_string())?;
    let uri = gst::glib::filename_to_uri(path, None).map_err(|error| error.to_string())?;
    decoder_errors::take_unknown_format();
    let info = discoverer.discover_uri(&uri);
    let info = info.map_err(|error| match decoder_errors::take_unknown_format() {
        true => unread::format(),
        false => fault::explain_probe(&error, &lock(&undecodable)),
    })?;
    Ok(Discovered { info, empty_tracks, demuxed })
}
