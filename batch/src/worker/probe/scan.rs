// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads a file from start to end without decoding it. `GstDiscoverer` neither counts packets nor finds key frames.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{
    Media,
    demux::{Source, demux},
    keyframes::{self, Frame, collect},
    own::Own,
};
use crate::{
    lock::lock,
    protocol::Say,
    worker::{
        elements::{caps::media_type, discard},
        pads::{
            clip::position,
            tally::{Passed, Tally, segment_at},
        },
        pipeline::Pipeline,
    },
};

/// How many packets to read in search of the start of each track. A track that starts later starts late.
const MAX_PACKETS: u64 = 2000;

#[derive(Clone, Debug)]
pub struct Contents {
    pub caps: gst::Caps,
    pub passed: Passed,
}

/// Opens `file`, probed as `media`, and calls `each` with its tracks, decoded or not, and the pads at which they end.
/// Returns the pipeline, and a count of the packets or frames that it has read.
pub fn open(
    file: &Path,
    media: &Media,
    is_decoded: bool,
    each: impl Fn(Source, &gst::Pad) + Send + Sync + 'static,
) -> Result<(Pipeline, Tally)> {
    let pipeline = Pipeline::new();
    let (read, weak) = (pipeline.tally("packets read"), pipeline.gst().downgrade());
    let passed = read.clone();
    let link = move |sources: Vec<Source>| {
        let pipeline = weak.upgrade().context("the pipeline is gone")?;
        for source in sources {
            // Not at the track's own pad, which already holds its first packet.
            let end = discard(&pipeline, &source.pad)?;
            passed.watch(&end);
            each(source, &end);
        }
        Ok(())
    };
    demux(pipeline.gst(), file, &media.repairs, move |_, _| is_decoded, link)?;
    Ok((pipeline, read))
}

/// The frames of the main video of `input` in display order; `None` if some have no time.
pub fn frames(input: &Path, media: &Media, say: Say) -> Result<Option<Vec<Frame>>> {
    if let Some(Own::Y4m(y4m)) = &media.own {
        let frame =
            |time: gst::ClockTime| Frame { time: time.nseconds(), is_key: true, is_closed: true };
        return Ok(Some(y4m.times().map(frame).collect()));
    }
    let frames = Arc::new(Mutex::new(Vec::<Option<Frame>>::new()));
    let (collected, main) = (frames.clone(), media.main_track()?.id.clone());
    let (pipeline, _) = open(input, media, false, move |source, end| {
        if source.id == main {
            collect(end, collected.clone());
        }
    })?;
    pipeline.run(None, say)?;
    let frames: Option<Vec<Frame>> = lock(&frames).drain(..).collect();
    Ok(frames.map(|mut frames| {
        keyframes::sort(&mut frames);
        frames
    }))
}

/// The contents of the tracks of `file`, probed as `media`, in the order of the file.
pub fn contents(file: &Path, media: &Media, say: Say) -> Result<Vec<Contents>> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let tracks = found.clone();
    let (pipeline, _) = open(file, media, false, move |source, end| {
        let tally = Tally::default();
        tally.watch(end);
        lock(&tracks).push((source, tally));
    })?;
    pipeline.run(None, say)?;
    let contents = |(source, tally): (Source, Tally)| Contents {
        caps: source.pad.current_caps().unwrap_or(source.caps),
        passed: tally.get(),
    };
    Ok(lock(&found).drain(..).map(contents).collect())
}

/// The stream time at which the first track starts, nanoseconds; negative if audio starts before the video. Reads no
/// more of the file than necessary.
pub fn earliest(input: &Path, media: &Media) -> Result<Option<i128>> {
    let is_timed =
        |kind: &str| ["video/", "audio/", "meta/"].iter().any(|class| kind.starts_with(class));
    let starts = Arc::new(Mutex::new(Vec::<i128>::new()));
    let found = starts.clone();
    let (pipeline, read) = open(input, media, false, move |source, end| {
        if is_timed(media_type(&source.caps)) {
            note_start(end, found.clone());
        }
    })?;
    let expected =
        media.tracks.iter().filter(|track| is_timed(track.kind()) && !track.is_frameless).count();
    pipeline.play()?;
    pipeline.wait_until(|| lock(&starts).len() >= expected || read.get().packets > MAX_PACKETS)?;
    let earliest = lock(&starts).iter().min().copied();
    Ok(earliest)
}

fn note_start(pad: &gst::Pad, starts: Arc<Mutex<Vec<i128>>>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        match position(segment_at(pad).as_ref(), pts) {
            Some(start) => {
                lock(&starts).push(start);
                gst::PadProbeReturn::Remove
            }
            None => gst::PadProbeReturn::Ok,
        }
    });
}
