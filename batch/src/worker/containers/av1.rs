// SPDX-License-Identifier: MIT OR Apache-2.0

//! `av1dec` of GStreamer 1.22 fails at a damaged frame.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::worker::elements::{is_of, pad};

/// Lets `element` continue after a damaged frame, if it is `av1dec`.
pub fn tolerate_damage(element: &gst::Element) {
    let Ok(sink) = pad(element, "sink") else { return };
    if !is_of(element, "av1dec") {
        return;
    }
    // A note names the missing frames; its errors would end the pipeline.
    element.set_bus(None);
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
