// SPDX-License-Identifier: MIT OR Apache-2.0

//! The order of the tracks of a file. The discoverer sorts them by stream id, which is a random number in Ogg and depends on
//! the codec in MPEG program streams.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::{
    lock::lock,
    worker::elements::{caps::short_id, is_of},
};

/// The stream ids of the tracks of a file, in its order.
#[derive(Clone, Default)]
pub struct TrackOrder(Arc<Mutex<Vec<String>>>);

impl TrackOrder {
    /// Records the tracks of `element`, if it is a demuxer.
    pub fn watch(&self, element: &gst::Element) {
        let is_demuxer = element.metadata("klass").is_some_and(|class| class.contains("Demux"));
        // `tsdemux` adds tracks as their first packets arrive; the table of the programme sorts them by their ids.
        if !is_demuxer || is_of(element, "tsdemux") {
            return;
        }
        let order = self.clone();
        element.connect_pad_added(move |_, pad| {
            lock(&order.0).extend(pad.stream_id().map(|id| short_id(&id).to_owned()));
        });
    }

    /// The position of a track; a large number if it was not recorded.
    pub fn of(&self, id: &str) -> usize {
        lock(&self.0).iter().position(|known| known == id).unwrap_or(usize::MAX)
    }
}
