// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file taken apart into its tracks, still encoded.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{
    muxer::{Muxer, make, pad as pad_of},
    tracks::{is_text, media_type},
};
use crate::container::Container;

/// What the bytes of a track that wait may come to.
const WAITING_BYTES: u32 = 256 << 20;
/// How many buffers of a track wait while the others have some.
const WAITING_BUFFERS: u32 = 100;

/// A track of a file.
pub struct Track {
    /// Where it comes out.
    pub pad: gst::Pad,
    /// What it is.
    pub caps: gst::Caps,
}

/// Takes `input` apart in `pipeline`. When all tracks are known, and before any of their data flows,
/// `link` gets them once. Subtitles that `output` takes as they are stay as they are. Returns the
/// element that takes the file apart.
pub fn take_apart(
    pipeline: &gst::Pipeline,
    input: &Path,
    output: Option<Container>,
    link: impl Fn(&[Track]) -> Result<()> + Send + Sync + 'static,
) -> Result<gst::Element> {
    let file = gst::ElementFactory::make("filesrc")
        .name("source")
        .property("location", input)
        .build()
        .context("GStreamer's element filesrc is not installed")?;
    let parser = make("parsebin")?;
    if let Some(output) = output {
        keep_text(&parser, Muxer::new(output)?);
    }
    link_when_complete(pipeline, &parser, link)?;
    pipeline.add_many([&file, &parser])?;
    file.link(&parser)?;
    // Its tracks are linked later, so the pipeline cannot know that all else must be up before it:
    // `Playing` starts it last.
    file.set_locked_state(true);
    parser.set_locked_state(true);
    Ok(parser)
}

/// Keeps `parser` from changing text that `muxer` takes as it is.
fn keep_text(parser: &gst::Element, muxer: Muxer) {
    parser.connect("autoplug-continue", false, move |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let is_kept = caps.is_some_and(|caps| {
            !caps.is_empty() && is_text(media_type(&caps)) && muxer.way_in(&caps).is_some()
        });
        Some((!is_kept).to_value())
    });
}

/// A track that waits: its pad of `parsebin`, where it comes out of the queue, and what holds it there.
type Held = (gst::Pad, gst::Pad, gst::PadProbeId);

/// The tracks that have come so far.
#[derive(Default)]
struct Arrivals {
    held: Vec<Held>,
    /// How many there will be, once that is known.
    expected: Option<usize>,
}

impl Arrivals {
    /// All tracks, if the last one is there; only once.
    fn complete(&mut self) -> Option<Vec<Held>> {
        let is_complete = !self.held.is_empty() && self.expected == Some(self.held.len());
        is_complete.then(|| std::mem::take(&mut self.held))
    }
}

/// `parsebin` does not say which pad is the last one, but tells in a message how many there are:
/// before the first of them, or with demuxers that tell it themselves when they are there. Until all
/// are, what they give waits in queues: the last pads may come only after much data of the first.
fn link_when_complete(
    pipeline: &gst::Pipeline,
    parser: &gst::Element,
    link: impl Fn(&[Track]) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    let waiting = make("multiqueue")?;
    set_limits(&waiting, 0);
    pipeline.add(&waiting)?;
    let waiting = waiting.downgrade();
    let arrivals = Arc::new(Mutex::new(Arrivals::default()));
    let link_all = Arc::new({
        let waiting = waiting.clone();
        move |parser: &gst::Element, held: Vec<Held>| {
            let tracks: Vec<Track> = held.iter().map(|(pad, out, _)| track(pad, out)).collect();
            if let Err(error) = link(&tracks) {
                gst::element_error!(parser, gst::StreamError::Failed, ("{error:#}"));
            }
            if let Some(waiting) = waiting.upgrade() {
                set_limits(&waiting, WAITING_BUFFERS);
            }
            for (_, out, hold) in held {
                out.remove_probe(hold);
            }
        }
    });
    let (told, source, link_told) = (arrivals.clone(), parser.downgrade(), link_all.clone());
    pipeline.bus().context("no bus")?.set_sync_handler(move |_, message| {
        if let gst::MessageView::StreamCollection(streams) = message.view()
            && let Some(parser) = source.upgrade()
            && message.src() == Some(parser.upcast_ref())
        {
            let complete = {
                let mut arrivals = lock(&told);
                arrivals.expected = Some(streams.stream_collection().len());
                arrivals.complete()
            };
            complete.into_iter().for_each(|held| link_told(&parser, held));
        }
        gst::BusSyncReply::Pass
    });
    parser.connect_pad_added(move |parser, pad| {
        let Some(waiting) = waiting.upgrade() else { return };
        let complete = {
            let mut arrivals = lock(&arrivals);
            match queue(&waiting, pad) {
                Ok((out, hold)) => arrivals.held.push((pad.clone(), out, hold)),
                Err(error) => {
                    gst::element_error!(parser, gst::StreamError::Failed, ("{error:#}"));
                }
            }
            arrivals.complete()
        };
        complete.into_iter().for_each(|held| link_all(parser, held));
    });
    Ok(())
}

fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Limits what waits to so many buffers each, 0 for any number. A track may have more while another
/// has none, for files are badly interleaved and encoders hold frames back.
fn set_limits(waiting: &gst::Element, buffers: u32) {
    waiting.set_property("max-size-buffers", buffers);
    waiting.set_property("max-size-bytes", WAITING_BYTES);
    waiting.set_property("max-size-time", 0u64);
}

/// Leads `pad` into a queue; returns where it comes out, and what holds it back there.
fn queue(waiting: &gst::Element, pad: &gst::Pad) -> Result<(gst::Pad, gst::PadProbeId)> {
    let sink = waiting.request_pad_simple("sink_%u").context("no more queues")?;
    let out = pad_of(waiting, &sink.name().replace("sink", "src"))?;
    let kinds = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
    let hold = out.add_probe(kinds, |_, _| gst::PadProbeReturn::Ok);
    pad.link(&sink)?;
    Ok((out, hold.context("a track cannot be held back")?))
}

fn track(pad: &gst::Pad, out: &gst::Pad) -> Track {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    Track { pad: out.clone(), caps }
}
