// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is in a file, before it is translated.

use std::{path::Path, sync::mpsc};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use super::{
    muxer::discard,
    playing::Playing,
    source::{Track, take_apart},
    tracks,
};
use crate::container::Container;

/// What is in a file.
#[derive(Debug)]
pub struct Media {
    /// What the file is.
    pub container: Option<gst::Caps>,
    /// The tracks, as the pads of `parsebin` have them.
    pub tracks: Vec<gst::Caps>,
    /// The length, where the file tells.
    pub duration: Option<gst::ClockTime>,
}

/// Opens a file on its way into an `output`; fails if there is no video in it.
pub fn look(input: &Path, output: Container) -> Result<Media> {
    let playing = Playing::new();
    let (sender, receiver) = mpsc::channel();
    let pipeline = playing.pipeline().downgrade();
    let parser = take_apart(playing.pipeline(), input, Some(output), move |tracks| {
        let pipeline = pipeline.upgrade().context("the pipeline is gone")?;
        for track in tracks {
            discard(&pipeline, &track.pad)?;
        }
        let length = |track: &Track| track.pad.query_duration::<gst::ClockTime>();
        let duration = tracks.iter().filter_map(length).max();
        let caps = tracks.iter().map(|track| track.caps.clone()).collect::<Vec<_>>();
        // Nobody listens any more after a failure.
        let _ = sender.send((caps, duration));
        Ok(())
    })?;
    playing.pause()?;
    let (tracks, duration) = playing.wait_for(&receiver)?;
    let typefind = parser.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("typefind"));
    let container = typefind.and_then(|typefind| typefind.property::<Option<gst::Caps>>("caps"));
    let media = Media { container, tracks, duration };
    check(&media)?;
    Ok(media)
}

fn check(media: &Media) -> Result<()> {
    if tracks::main_video(&media.tracks).is_some() {
        return Ok(());
    }
    let is_encrypted = |caps: &gst::Caps| {
        let kind = tracks::media_type(caps);
        kind == "application/x-cenc" || kind.contains("encrypted")
    };
    if media.tracks.iter().any(is_encrypted) {
        bail!("is encrypted (DRM), and cannot be decoded");
    }
    let names: Vec<_> = media.tracks.iter().map(tracks::name_of).collect();
    bail!("has no video track, only {}", names.join(", "))
}
