// SPDX-License-Identifier: MIT OR Apache-2.0

//! The order of the tracks of Ogg and MPEG program streams, whose stream ids are random numbers and depend on the codec. In
//! other containers, stream ids are in the order of the file.

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
    /// Records the tracks of `element`, if it is a demuxer of these.
    pub fn watch(&self, element: &gst::Element) {
        if !["oggdemux", "mpegpsdemux"].iter().any(|name| is_of(element, name)) {
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
