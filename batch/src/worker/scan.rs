// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads a file from start to end without decoding it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{
    clip::position,
    demux::demux,
    keyframes::{Frame, collect},
    muxer::discard,
    pipeline::Pipeline,
    probe::{Media, media_type},
    protocol::Reply,
    tally::{Passed, Tally},
};

/// The content of a track.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its caps.
    pub caps: gst::Caps,
    /// Its packets.
    pub passed: Passed,
}

/// The frames of the main video of `input`, in the order in which they are shown; none if some have no
/// time.
pub fn frames(
    input: &Path,
    media: &Media,
    say: &mut dyn FnMut(Reply),
) -> Result<Option<Vec<Frame>>> {
    let pipeline = Pipeline::new();
    let frames = Arc::new(Mutex::new(Vec::<Option<Frame>>::new()));
    let (collected, weak) = (frames.clone(), pipeline.gst().downgrade());
    let main = media.main_track()?.id.clone();
    let tally = pipeline.tally("packets read");
    demux(
        pipeline.gst(),
        input,
        |_, _| false,
        move |sources| {
            let pipeline = weak.upgrade().context("the pipeline is gone")?;
            let video = sources.into_iter().find(|source| source.id == main);
            let video = video.context("the video track is gone")?;
            // Not at the track's own pad, which holds its first packet already.
            let end = discard(&pipeline, &video.pad)?;
            tally.watch(&end);
            collect(&end, collected.clone());
            Ok(())
        },
    )?;
    pipeline.run(None, say)?;
    let frames = std::mem::take(&mut *frames.lock().unwrap_or_else(PoisonError::into_inner));
    let frames: Option<Vec<Frame>> = frames.into_iter().collect();
    Ok(frames.map(|mut frames| {
        frames.sort();
        frames
    }))
}

/// The content of the tracks of `file`, in the file's order.
pub fn contents(file: &Path, say: &mut dyn FnMut(Reply)) -> Result<Vec<Contents>> {
    let pipeline = Pipeline::new();
    let found = Arc::new(Mutex::new(Vec::new()));
    let (tracks, weak) = (found.clone(), pipeline.gst().downgrade());
    let read = pipeline.tally("packets read");
    demux(
        pipeline.gst(),
        file,
        |_, _| false,
        move |sources| {
            let pipeline = weak.upgrade().context("the pipeline is gone")?;
            for source in sources {
                let tally = Tally::default();
                let end = discard(&pipeline, &source.pad)?;
                tally.watch(&end);
                read.watch(&end);
                tracks.lock().unwrap_or_else(PoisonError::into_inner).push((source, tally));
            }
            Ok(())
        },
    )?;
    pipeline.run(None, say)?;
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    let contents = |(source, tally): (super::demux::Source, Tally)| Contents {
        caps: source.pad.current_caps().unwrap_or(source.caps),
        passed: tally.get(),
    };
    Ok(found.into_iter().map(contents).collect())
}

/// The stream time at which the first of the tracks begins, nanoseconds; before 0 where sound begins
/// before the video. Reads no more of the file than that takes.
pub fn earliest(input: &Path, media: &Media) -> Result<Option<i128>> {
    let pipeline = Pipeline::new();
    let starts = Arc::new(Mutex::new(Vec::<i128>::new()));
    let (found, weak) = (starts.clone(), pipeline.gst().downgrade());
    let read = pipeline.tally("packets read");
    let passed = read.clone();
    demux(
        pipeline.gst(),
        input,
        |_, _| false,
        move |sources| {
            let pipeline = weak.upgrade().context("the pipeline is gone")?;
            for source in sources {
                let kind = media_type(&source.caps).to_owned();
                let end = discard(&pipeline, &source.pad)?;
                passed.watch(&end);
                if kind.starts_with("video/") || kind.starts_with("audio/") {
                    note_start(&end, found.clone());
                }
            }
            Ok(())
        },
    )?;
    let kinds = media.tracks.iter().map(|track| track.kind());
    let expected = kinds.filter(|k| k.starts_with("video/") || k.starts_with("audio/")).count();
    let lock =
        |starts: &Mutex<Vec<i128>>| starts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    pipeline.play()?;
    pipeline.wait_until(|| lock(&starts).len() >= expected || read.get().packets > LOOK)?;
    Ok(lock(&starts).into_iter().min())
}

/// How many packets are read until a track that has not begun is one that begins late.
const LOOK: u64 = 2000;

fn note_start(pad: &gst::Pad, starts: Arc<Mutex<Vec<i128>>>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let segment = segment.as_ref().and_then(|s| s.segment().downcast_ref::<gst::ClockTime>());
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        match position(segment, pts) {
            Some(start) => {
                starts.lock().unwrap_or_else(PoisonError::into_inner).push(start);
                gst::PadProbeReturn::Remove
            }
            None => gst::PadProbeReturn::Ok,
        }
    });
}
