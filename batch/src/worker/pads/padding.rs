// SPDX-License-Identifier: MIT OR Apache-2.0

//! Padding of raw frames. The demuxers of GStreamer 1.22 output raw video as it is in the file, without padding, and
//! `videoconvert` does not convert frames that are too small.

use gst::prelude::*;
use gst_video::{VideoInfo, VideoMeta};

use super::probes::on_buffers;
use crate::worker::elements::rows;

/// Pads the frames at `pad` that have no padding.
pub fn pad_frames(pad: &gst::Pad) {
    on_buffers(pad, |pad, buffer| {
        let info = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok());
        if let Some(padded) = info.and_then(|info| padded(buffer, &info)) {
            *buffer = padded;
        }
        true
    });
}

fn padded(frame: &gst::BufferRef, info: &VideoInfo) -> Option<gst::Buffer> {
    let size = frame.size();
    if frame.meta::<VideoMeta>().is_some() || size != rows::size(info) || size == info.size() {
        return None;
    }
    let mut padded = rows::read(&mut &frame.map_readable().ok()?[..], info).ok()?;
    let rest = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    frame.copy_into(padded.make_mut(), rest, ..).ok()?;
    Some(padded)
}
