// SPDX-License-Identifier: MIT OR Apache-2.0

//! Padding of raw frames. The demuxers of GStreamer 1.22 output raw video as it is in the file, with other padding than
//! GStreamer's.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};

use super::probes::on_buffers;
use crate::worker::elements::rows;

/// Rows of `r210` in QuickTime have a multiple of this many bytes.
const ROW_OF_R210: usize = 256;

/// Corrects the padding of the frames at `pad`.
pub fn pad_frames(pad: &gst::Pad) {
    on_buffers(pad, |pad, buffer| {
        let info = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok());
        let Some(info) = info.filter(|_| buffer.meta::<VideoMeta>().is_none()) else { return true };
        if let Some(padded) = padded(buffer, &info) {
            *buffer = padded;
        } else if info.format() == VideoFormat::R210 {
            state_stride(buffer.make_mut(), &info);
        }
        true
    });
}

/// States the stride of a frame of `r210`, unless it is GStreamer's.
fn state_stride(frame: &mut gst::BufferRef, info: &VideoInfo) {
    let (width, height) = (info.width(), info.height());
    let stride = (4 * width as usize).next_multiple_of(ROW_OF_R210);
    if frame.size() != info.size() && frame.size() == stride * height as usize {
        let flags = VideoFrameFlags::empty();
        let planes = (&[0], &[stride as i32]);
        // It fails only for a frame that is too small.
        let _ = VideoMeta::add_full(frame, flags, info.format(), width, height, planes.0, planes.1);
    }
}

/// `frame` with GStreamer's padding, if it has none. `videoconvert` does not convert frames that are too small.
fn padded(frame: &gst::BufferRef, info: &VideoInfo) -> Option<gst::Buffer> {
    let size = frame.size();
    if size != rows::size(info) || size == info.size() {
        return None;
    }
    let mut padded = rows::read(&mut &frame.map_readable().ok()?[..], info).ok()?;
    let rest = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    frame.copy_into(padded.make_mut(), rest, ..).ok()?;
    Some(padded)
}
