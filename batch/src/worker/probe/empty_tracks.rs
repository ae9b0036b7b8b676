// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tracks without any frame, such as noise, and tracks whose first frame comes late. `decodebin` of GStreamer 1.22
//! exposes no track before it knows all of them, but reads only a few megabytes for that, and then waits forever. At the
//! end of the file, parsers and decoders report errors for tracks without a frame, which would end the pipeline for all
//! tracks.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use gst::{glib::WeakRef, prelude::*};

use crate::{
    lock::lock,
    worker::{
        elements::{
            QUEUE_BYTES,
            caps::{media_type, short_id},
            is_kind, is_of, pad,
        },
        pads::probes::{drop_events, on_caps},
    },
};

/// How many bytes `decodebin` queues for a track at first. It allows more buffers while another queue is empty.
const FIRST_BYTES: u32 = 2 << 20;
/// How many bytes and buffers it queues for a track while it plays.
const PLAYING: (u32, u32) = (8 << 20, 5);

/// The tracks of a file in which no frame has been found yet.
#[derive(Clone, Default)]
pub struct EmptyTracks(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tracks: Vec<Track>,
    /// The queues that hold more than usual until these tracks have a frame.
    queues: Vec<WeakRef<gst::Element>>,
}

struct Track {
    id: String,
    caps: gst::Caps,
    /// The sink pad of the parser or decoder that looks for frames.
    sink: WeakRef<gst::Pad>,
}

impl EmptyTracks {
    /// Watches `decoder`, a `decodebin` or `uridecodebin`, which then works without these tracks.
    pub fn watch(&self, decoder: &gst::Bin) {
        let tracks = self.clone();
        decoder.connect_deep_element_added(move |_, _, element| {
            if is_of(element, "multiqueue") {
                tracks.wait_at(element);
            } else if looks_for_frames(element) {
                element.set_bus(None);
                tracks.watch_element(element);
            }
        });
    }

    /// The stream ids and caps of the tracks.
    pub fn take(&self) -> Vec<(String, gst::Caps)> {
        let tracks = mem::take(&mut lock(&self.0).tracks);
        tracks.into_iter().map(|track| (track.id, track.caps)).collect()
    }

    /// Lets a full `queue` grow until the first frames are found. If it is full again, ends the tracks without a frame.
    fn wait_at(&self, queue: &gst::Element) {
        let (tracks, weak) = (self.clone(), queue.downgrade());
        queue.connect("overrun", false, move |_| {
            let queue = weak.upgrade()?;
            let mut state = lock(&tracks.0);
            let sinks = state.tracks.iter().filter_map(|track| track.sink.upgrade());
            let sinks: Vec<gst::Pad> = sinks.collect();
            if sinks.is_empty() {
                return None;
            }
            let level = |pad: gst::Pad| pad.property::<u32>("current-level-bytes");
            let level = queue.sink_pads().into_iter().map(level).max()?;
            if level >= QUEUE_BYTES {
                drop(state);
                for sink in sinks {
                    sink.send_event(gst::event::Eos::new());
                }
            } else if level >= FIRST_BYTES {
                state.queues.push(weak.clone());
                resize(&queue, (QUEUE_BYTES, 0));
            }
            None
        });
    }

    fn watch_element(&self, element: &gst::Element) {
        let (Ok(sink), Ok(src)) = (pad(element, "sink"), pad(element, "src")) else { return };
        let (tracks, input, output) = (self.clone(), sink.downgrade(), src.downgrade());
        on_caps(&sink, move |caps| {
            let kinds = ["audio/", "video/"];
            let is_media = kinds.iter().any(|kind| media_type(caps).starts_with(kind));
            // The same caps may arrive again.
            let is_first = !output.upgrade()?.has_current_caps();
            let id = input.upgrade()?.stream_id().filter(|_| is_media && is_first)?;
            let id = short_id(&id).to_owned();
            let tracks = &mut lock(&tracks.0).tracks;
            tracks.retain(|track| track.id != id);
            tracks.push(Track { id, caps: caps.clone(), sink: input.clone() });
            None
        });
        let output = src.downgrade();
        // A parser would invent caps, unlike those of the first frame.
        drop_events(&sink, move |_, event| {
            event.type_() == gst::EventType::Gap
                && output.upgrade().is_some_and(|src| !src.has_current_caps())
        });
        let (tracks, output) = (self.clone(), src.downgrade());
        on_caps(&src, move |_| {
            let id = output.upgrade()?.stream_id()?;
            let mut state = lock(&tracks.0);
            state.tracks.retain(|track| track.id != short_id(&id));
            if state.tracks.is_empty() {
                let queues = mem::take(&mut state.queues);
                drop(state);
                queues.iter().filter_map(WeakRef::upgrade).for_each(|q| resize(&q, PLAYING));
            }
            None
        });
    }
}

fn resize(queue: &gst::Element, (bytes, buffers): (u32, u32)) {
    queue.set_property("max-size-buffers", buffers);
    queue.set_property("max-size-bytes", bytes);
}

/// Whether `element` is a parser or an audio decoder after a demuxer.
fn looks_for_frames(element: &gst::Element) -> bool {
    let is_candidate = is_kind(element, gst::ElementFactoryType::PARSER)
        || is_kind(
            element,
            gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_AUDIO,
        );
    let bin = element.parent().and_downcast::<gst::Bin>();
    is_candidate
        && bin.is_some_and(|bin| {
            let mut all = bin.iterate_elements().into_iter().flatten();
            all.any(|other| other != *element && is_kind(&other, gst::ElementFactoryType::DEMUXER))
        })
}
