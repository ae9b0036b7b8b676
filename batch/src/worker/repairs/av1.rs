// SPDX-License-Identifier: MIT OR Apache-2.0

//! `av1dec` of GStreamer 1.22 fails at a damaged frame.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::worker::elements::pad;

/// Lets `decoder` continue after a damaged frame.
pub fn tolerate_damage(decoder: &gst::Element) {
    let Ok(sink) = pad(decoder, "sink") else { return };
    // A notice names the missing frames; its errors would end the pipeline.
    decoder.set_bus(None);
    let is_inside = AtomicBool::new(false);
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if is_inside.load(Ordering::Relaxed) {
            return gst::PadProbeReturn::Ok;
        }
        let Some(gst::PadProbeData::Buffer(frame)) = info.data.take() else {
            return gst::PadProbeReturn::Ok;
        };
        is_inside.store(true, Ordering::Relaxed);
        let decoded = pad.chain(frame);
        is_inside.store(false, Ordering::Relaxed);
        info.flow_res = match decoded {
            Err(gst::FlowError::Error) => Ok(gst::FlowSuccess::Ok),
            other => other,
        };
        gst::PadProbeReturn::Handled
    });
}
