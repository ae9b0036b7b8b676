// SPDX-License-Identifier: MIT OR Apache-2.0

//! The frames of a file, decoded by GStreamer, or by the image crate for animations.

use std::path::Path;

use anyhow::{Context, Result};
use gst::prelude::*;

use crate::worker::{
    elements::{caps::codec_name, pad},
    picture::animation,
    probe::{Media, demux::demux},
};

/// Links the frames of `input` to `sink`.
pub fn open(pipeline: &gst::Pipeline, input: &Path, media: &Media, sink: gst::Pad) -> Result<()> {
    if media.is_animation() {
        let frames = animation::source(input)?;
        pipeline.add(&frames)?;
        pad(&frames, "src")?.link(&sink)?;
        return Ok(());
    }
    let main = media.main_track()?.clone();
    let id = main.id.clone();
    let link = move |sources: Vec<crate::worker::probe::demux::Source>| {
        // Other tracks stay unlinked, so the file is read no further than the video needs.
        let video = sources.iter().find(|source| source.id == main.id);
        let video =
            video.with_context(|| format!("the {} cannot be decoded", codec_name(&main.caps)))?;
        video.pad.link(&sink)?;
        Ok(())
    };
    demux(pipeline, input, &media.repairs, move |track, _| track == id, link)
}
