// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames whose rows follow each other without padding, as in files. GStreamer pads rows to four bytes.

use std::io::Read;

use anyhow::Result;
use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

struct Plane {
    index: u32,
    /// Bytes of a row.
    row: usize,
    rows: usize,
}

fn planes(info: &VideoInfo) -> impl Iterator<Item = Plane> {
    // Packed components are all in the first plane, and a palette is in one without a component.
    (0..info.n_planes().min(info.n_components())).map(|index| {
        let (width, height) = (info.comp_width(index as u8), info.comp_height(index as u8));
        let bytes = info.comp_pstride(index as u8) as usize;
        Plane { index, row: width as usize * bytes, rows: height as usize }
    })
}

/// The size of a frame in bytes.
pub fn size(info: &VideoInfo) -> usize {
    planes(info).map(|plane| plane.row * plane.rows).sum()
}

/// The next frame of `input`.
pub fn read(input: &mut impl Read, info: &VideoInfo) -> Result<gst::Buffer> {
    let mut buffer = gst::Buffer::with_size(info.size())?;
    let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), info)?;
    for plane in planes(info) {
        let stride = frame.plane_stride()[plane.index as usize] as usize;
        let rows = frame.plane_data_mut(plane.index)?.chunks_mut(stride).take(plane.rows);
        for row in rows {
            input.read_exact(&mut row[..plane.row])?;
        }
    }
    drop(frame);
    Ok(buffer)
}

/// Appends `frame` to `bytes`.
pub fn write(frame: &gst::BufferRef, info: &VideoInfo, bytes: &mut Vec<u8>) -> Result<()> {
    let frame = VideoFrameRef::from_buffer_ref_readable(frame, info)?;
    for plane in planes(info) {
        let stride = frame.plane_stride()[plane.index as usize] as usize;
        let rows = frame.plane_data(plane.index)?.chunks(stride).take(plane.rows);
        rows.for_each(|row| bytes.extend(&row[..plane.row]));
    }
    Ok(())
}
