// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes of pads.

use gst::prelude::*;

/// Calls `with` with each buffer that arrives at `pad`, and drops it where that returns false.
pub fn on_buffers(
    pad: &gst::Pad,
    with: impl Fn(&gst::Pad, &mut gst::Buffer) -> bool + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer_mut();
        match buffer.is_none_or(|buffer| with(pad, buffer)) {
            true => gst::PadProbeReturn::Ok,
            // `Drop` makes GStreamer 1.22 complain.
            false => gst::PadProbeReturn::Handled,
        }
    });
}

/// Calls `with` with the caps that arrive at `pad`, and replaces them with what it returns.
pub fn on_caps(
    pad: &gst::Pad,
    with: impl Fn(&gst::Caps) -> Option<gst::Caps> + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(caps) = event.view()
            && let Some(caps) = with(&caps.caps_owned())
        {
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
}
