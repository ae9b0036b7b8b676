// SPDX-License-Identifier: MIT OR Apache-2.0

//! Demuxes a file with `decodebin`, which waits for the caps of all tracks and exposes them at once.

use std::{
    cell::OnceCell,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
};

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{
    empty_tracks::EmptyTracks,
    repair::{self, Repairs},
    watchdog,
};
use crate::{
    lock::lock,
    worker::{
        elements::{
            caps::{field, has_element, is_subtitles, media_type, short_id},
            make, pad,
        },
        pads::{probes::replace, tally::head},
        pipeline::{Pipeline, fault},
    },
};

#[derive(Clone, Debug)]
pub struct Source {
    /// Its source pad; no data flow before the tracks are linked.
    pub pad: gst::Pad,
    pub id: String,
    pub caps: gst::Caps,
}

/// The tracks of a file in a pipeline. No data flow before this is dropped.
pub struct Tracks {
    /// In the order of the file.
    pub sources: Vec<Source>,
    /// The demuxer waits until the other end of this is gone.
    _hold: Sender<()>,
}

/// Opens `input` in `pipeline` with its `repairs`, starts it, and waits until all tracks are known. `decode` decides by
/// stream id and caps which tracks are decoded; the others are only parsed.
pub fn demux(
    pipeline: &Pipeline,
    input: &Path,
    repairs: &Arc<Repairs>,
    decode: impl Fn(&str, &gst::Caps) -> bool + Send + Sync + 'static,
) -> Result<Tracks> {
    let file = gst::ElementFactory::make("filesrc")
        .name("source")
        .property("location", input)
        .build()
        .context("GStreamer's element filesrc is not installed")?;
    replace(&pad(&file, "src")?, repairs.for_demuxer());
    watchdog::watch_end(input, &file, |_| {})?;
    let decoder = make("decodebin")?;
    decode_only(&decoder, decode);
    let repairs = repairs.clone();
    let bin = decoder.dynamic_cast_ref::<gst::Bin>().context("no bin")?;
    EmptyTracks::default().watch(bin);
    bin.connect_element_added(move |_, element| repair::correct(element, &repairs));
    let sources = Arc::new(Mutex::new(Vec::<Source>::new()));
    let found = sources.clone();
    decoder.connect_pad_added(move |_, pad| {
        let id = pad.stream_id().map(|id| short_id(&id).to_owned()).unwrap_or_default();
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let source = Source { pad: pad.clone(), id, caps };
        lock(&found).push(source);
    });
    let (has_tracks, (sender, tracks)) = (AtomicBool::new(false), mpsc::channel());
    decoder.connect_no_more_pads(move |decoder| {
        // By then, all initial tracks have ended.
        if has_tracks.swap(true, Ordering::Relaxed) {
            return gst::element_error!(
                decoder,
                gst::StreamError::Failed,
                ("{}", fault::CHANGED_TRACKS)
            );
        }
        let mut sources = std::mem::take(&mut *lock(&sources));
        sources.sort_by(|a, b| a.id.cmp(&b.id));
        let (hold, held) = mpsc::channel();
        // If nobody waits for the tracks, `send` and `recv` fail at once.
        let _ = sender.send(Tracks { sources, _hold: hold });
        let _ = held.recv();
    });
    pipeline.gst().add_many([&file, &decoder])?;
    file.link(&decoder)?;
    pipeline.play()?;
    let known = OnceCell::new();
    pipeline.wait_until(|| match tracks.try_recv() {
        Ok(tracks) => known.set(tracks).is_ok(),
        Err(_) => false,
    })?;
    known.into_inner().context("no tracks are found in it")
}

/// Makes `decoder`, a `decodebin` or `uridecodebin`, decode the tracks that `decode` chooses by stream id and caps,
/// and only parse the others.
pub fn decode_only(
    decoder: &gst::Element,
    decode: impl Fn(&str, &gst::Caps) -> bool + Send + Sync + 'static,
) {
    decoder.connect("autoplug-continue", false, move |values| {
        let pad = values.get(1).and_then(|value| value.get::<gst::Pad>().ok());
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let (Some(pad), Some(caps)) = (pad, caps) else { return Some(true.to_value()) };
        let id = pad.stream_id().unwrap_or_default();
        Some((!is_parsed(&caps) || decode(short_id(&id), &caps)).to_value())
    });
}

/// Whether these caps are FLAC with the header of a FLAC file, as in MP4. Muxers expect that of Ogg, which the parser makes.
fn has_header_of_file(caps: &gst::Caps) -> bool {
    let headers = field::<gst::Array>(caps, "streamheader");
    let first = headers.and_then(|headers| headers.first()?.get::<gst::Buffer>().ok());
    media_type(caps) == "audio/x-flac" && first.and_then(|first| head(&first)) == Some(*b"fLaC")
}

/// Whether only a decoder could come next: `decodebin` also asks about containers, and about tracks before their
/// parser.
fn is_parsed(caps: &gst::Caps) -> bool {
    let kind = media_type(caps);
    if is_subtitles(kind) {
        return true;
    }
    let takes = |kind| has_element(kind, caps);
    let is_flagged = |name| field(caps, name).unwrap_or(false);
    let has_parser = || takes(gst::ElementFactoryType::PARSER);
    !takes(gst::ElementFactoryType::DEMUXER)
        && !has_header_of_file(caps)
        && (is_flagged("parsed") || is_flagged("framed") && has_channels(caps) || !has_parser())
}

/// Whether muxers will know the number of channels. `qtdemux` of GStreamer 1.26 states packets of AC-3, but not this.
fn has_channels(caps: &gst::Caps) -> bool {
    !media_type(caps).ends_with("ac3") || field::<i32>(caps, "channels").is_some()
}
