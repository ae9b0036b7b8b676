// SPDX-License-Identifier: MIT OR Apache-2.0

//! y4m on standard output.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use gst::prelude::*;
use gst_video::{VideoChromaSite, VideoColorRange, VideoInfo};

use super::FORMATS;
use crate::worker::{elements::rows, pads::probes::on_buffers};

/// The formats of GStreamer that [`write_to`] can write, in the syntax of caps. Few readers accept y4m without colour.
pub fn formats() -> String {
    let formats = FORMATS.map(|(_, format)| format);
    let colour: Vec<_> = formats.into_iter().filter(|format| !format.starts_with("GRAY")).collect();
    format!("{{{}}}", colour.join(","))
}

/// Converts the frames at `pad` to y4m, with a header before the first.
pub fn write_to(pad: &gst::Pad) {
    let has_begun = AtomicBool::new(false);
    on_buffers(pad, move |pad, buffer| {
        let is_first = !has_begun.swap(true, Ordering::Relaxed);
        match bytes(pad, buffer, is_first) {
            Ok(bytes) => {
                *buffer = gst::Buffer::from_slice(bytes);
                true
            }
            Err(error) => {
                if let Some(sink) = pad.parent_element() {
                    gst::element_error!(sink, gst::StreamError::Encode, ("y4m: {error:#}"));
                }
                false
            }
        }
    });
}

/// A frame at `pad` in y4m, with the header if it is the first.
pub fn bytes(pad: &gst::Pad, buffer: &gst::BufferRef, is_first: bool) -> Result<Vec<u8>> {
    let info = VideoInfo::from_caps(pad.current_caps().context("frames without caps")?.as_ref())?;
    let mut bytes = if is_first { first_line(&info)?.into_bytes() } else { Vec::new() };
    bytes.extend(b"FRAME\n");
    rows::write(buffer, &info, &mut bytes)?;
    Ok(bytes)
}

fn first_line(info: &VideoInfo) -> Result<String> {
    let format = info.format().to_str();
    let mut tags = FORMATS.iter().filter(|(_, name)| *name == format).map(|(tag, _)| *tag);
    let first = tags.next().with_context(|| format!("y4m cannot hold {format}"))?;
    let site = match info.chroma_site() {
        VideoChromaSite::JPEG => "420jpeg",
        VideoChromaSite::MPEG2 => "420mpeg2",
        VideoChromaSite::DV => "420paldv",
        _ => first,
    };
    let colours = tags.find(|tag| *tag == site).unwrap_or(first);
    let (w, h, fps, par) = (info.width(), info.height(), info.fps(), info.par());
    let range = match info.colorimetry().range() {
        VideoColorRange::Range0_255 => "FULL",
        _ => "LIMITED",
    };
    let (fps, par) = ([fps.numer(), fps.denom()], [par.numer(), par.denom()]);
    let [[f, d], [a, b]] = [fps, par];
    // 0:0 is unknown.
    let d = if f == 0 { 0 } else { d };
    Ok(format!("YUV4MPEG2 W{w} H{h} F{f}:{d} Ip A{a}:{b} C{colours} XCOLORRANGE={range}\n"))
}
