// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frames of a file, decoded by GStreamer or by this program.

use std::path::Path;

use anyhow::{Context, Result};
use gst::prelude::*;

use crate::worker::{
    elements::{caps::codec_name, pad},
    pipeline::Pipeline,
    probe::{Media, demux::demux},
};

/// Links the decoded video of `input` to `sink`; may start `pipeline`. Only formats that this program decodes start at
/// `from`.
pub fn open(
    pipeline: &Pipeline,
    input: &Path,
    media: &Media,
    from: gst::ClockTime,
    sink: gst::Pad,
) -> Result<()> {
    if let Some(builtin) = &media.builtin {
        let frames = builtin.source(input, from)?;
        pipeline.gst().add(&frames)?;
        pad(&frames, "src")?.link(&sink)?;
        return Ok(());
    }
    let main = media.main_track()?;
    let id = main.id.clone();
    let tracks = demux(pipeline, input, &media.repairs, move |track, _| track == id)?;
    // Other tracks stay unlinked, so the file is read no further than the video needs.
    let video = tracks.sources.iter().find(|source| source.id == main.id);
    let video =
        video.with_context(|| format!("the {} cannot be decoded", codec_name(&main.caps)))?;
    video.pad.link(&sink)?;
    Ok(())
}
