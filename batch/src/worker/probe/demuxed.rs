// SPDX-License-Identifier: MIT OR Apache-2.0

//! What only the pads of a demuxer tell of its tracks.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

use crate::{
    lock::lock,
    worker::{
        elements::{caps::short_id, is_kind, is_of},
        pads::probes::on_events,
    },
};

/// The tracks of a file, in the order in which its demuxer has added them.
#[derive(Clone, Default)]
pub struct Demuxed(Arc<Mutex<Vec<Track>>>);

struct Track {
    id: String,
    tags: gst::TagList,
    /// Whether the order of the stream ids is not that of the file: in Ogg and MPEG program streams they are random numbers
    /// or depend on the codec.
    is_unsorted: bool,
}

impl Demuxed {
    /// Records the tracks of `element`, if it is a demuxer.
    pub fn watch(&self, element: &gst::Element) {
        if !is_kind(element, gst::ElementFactoryType::DEMUXER) {
            return;
        }
        let is_unsorted = ["oggdemux", "mpegpsdemux"].iter().any(|name| is_of(element, name));
        let all = self.clone();
        element.connect_pad_added(move |_, pad| {
            let Some(id) = pad.stream_id().map(|id| short_id(&id).to_owned()) else { return };
            let track = Track { id: id.clone(), tags: gst::TagList::new(), is_unsorted };
            lock(&all.0).push(track);
            pad.sticky_events_foreach(|event| {
                all.add_tags(&id, event);
                ControlFlow::Continue(gst::EventForeachAction::Keep)
            });
            let all = all.clone();
            on_events(pad, move |event| {
                all.add_tags(&id, event);
                None
            });
        });
    }

    /// Adds the tags of an event, if it has some.
    fn add_tags(&self, id: &str, event: &gst::EventRef) {
        let gst::EventView::Tag(event) = event.view() else { return };
        let is_of_track = event.tag().scope() == gst::TagScope::Stream;
        let mut all = lock(&self.0);
        if let Some(track) = all.iter_mut().find(|track| track.id == id && is_of_track) {
            track.tags.make_mut().insert(event.tag(), gst::TagMergeMode::Replace);
        }
    }

    /// The tags of a track. The discoverer does not wait for those of subtitles.
    pub fn tags(&self, id: &str) -> gst::TagList {
        let all = lock(&self.0);
        all.iter().find(|track| track.id == id).map(|track| track.tags.clone()).unwrap_or_default()
    }

    /// The position of a track; a large number if its id tells it.
    pub fn position(&self, id: &str) -> usize {
        let is_it = |track: &Track| track.id == id && track.is_unsorted;
        lock(&self.0).iter().position(is_it).unwrap_or(usize::MAX)
    }
}
