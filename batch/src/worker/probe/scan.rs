// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads a file from start to end without decoding it. `GstDiscoverer` neither counts packets nor finds key frames.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use gst::prelude::*;

use super::{
    Media, Track,
    builtin::Builtin,
    demux::{Source, demux},
    keyframes::{self, Frame, collect},
};
use crate::{
    lock::lock,
    protocol::Say,
    worker::{
        elements::{caps::media_type, discard},
        pads::{
            tally::{PacketStats, Tally, segment_at},
            window::{nanoseconds, position, time_at},
        },
        pipeline::Pipeline,
    },
};

/// How many packets to read in search of the start of each track. A track that has not started by then is
/// ignored.
const MAX_PACKETS: u64 = 2000;

#[derive(Clone, Debug)]
pub struct Contents {
    pub caps: gst::Caps,
    pub passed: PacketStats,
}

/// Opens `file`, probed as `media`, and calls `each` with its tracks, decoded or not, and the pads at which they end.
/// Returns the pipeline, and a count of the packets or frames that it has read.
pub fn open(
    file: &Path,
    media: &Media,
    is_decoded: bool,
    mut each: impl FnMut(&Source, &gst::Pad),
) -> Result<(Pipeline, Tally)> {
    let pipeline = Pipeline::default();
    let read = pipeline.progress.tally("packets read");
    let tracks = demux(&pipeline, file, &media.repairs, move |_, _| is_decoded)?;
    for source in &tracks.sources {
        // Not at the track's own pad, which already holds its first packet.
        let end = discard(pipeline.gst(), &source.pad)?;
        read.watch(&end);
        each(source, &end);
    }
    drop(tracks);
    Ok((pipeline, read))
}

/// The times of a file.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The stream time at which the first track starts. Some files start late.
    pub start: gst::ClockTime,
    /// The frames of the main video in display order; `None` if some have no time.
    pub frames: Option<Vec<Frame>>,
}

/// Reads the times of `input`.
pub fn timeline(input: &Path, media: &Media, say: Say) -> Result<Timeline> {
    if let Some(Builtin::Y4m(y4m)) = &media.builtin {
        let frame = |time| Frame { time, is_key: true, is_closed: true };
        return Ok(Timeline {
            start: gst::ClockTime::ZERO,
            frames: Some(y4m.times().map(frame).collect()),
        });
    }
    let (starts, frames) = (Starts::default(), Arc::new(Mutex::new(Vec::<Option<Frame>>::new())));
    let main = media.main_track()?;
    let (pipeline, _) = open(input, media, false, |source, end| {
        starts.watch(&source.caps, end, gst::ClockTime::ZERO);
        if source.id == main.id {
            collect(end, frames.clone());
        }
    })?;
    pipeline.run(None, say)?;
    let frames: Option<Vec<Frame>> = lock(&frames).drain(..).collect();
    let frames = frames.map(|mut frames| {
        keyframes::sort(&mut frames);
        frames
    });
    Ok(Timeline { start: starts.earliest().and_then(time_at).unwrap_or_default(), frames })
}

/// The contents of the tracks of `file`, probed as `media`, in the order of the file.
pub fn contents(file: &Path, media: &Media, say: Say) -> Result<Vec<Contents>> {
    let mut found = Vec::new();
    let (pipeline, _) = open(file, media, false, |source, end| {
        let tally = Tally::default();
        tally.watch(end);
        found.push((source.clone(), tally));
    })?;
    pipeline.run(None, say)?;
    let contents = |(source, tally): (Source, Tally)| Contents {
        caps: source.pad.current_caps().unwrap_or(source.caps),
        passed: tally.get(),
    };
    Ok(found.into_iter().map(contents).collect())
}

/// The stream time at which the first track starts, nanoseconds; negative if audio starts before the video, with its
/// delay if `counts_delay`. Reads no more of the file than necessary.
pub fn earliest(input: &Path, media: &Media, counts_delay: bool) -> Result<Option<i128>> {
    let (starts, main) = (Starts::default(), media.main_track()?);
    // In a file, the main video before its segment is hidden: a demuxer outputs it from the key frame on.
    let is_shown = |id: &str| media.is_stream() || id != main.id;
    let (pipeline, read) = open(input, media, false, |source, end| {
        if is_shown(&source.id) {
            let track = media.tracks.iter().find(|track| track.is(&source.id, &source.caps));
            let delay = track.filter(|_| counts_delay).map(Track::delay).unwrap_or_default();
            starts.watch(&source.caps, end, delay);
        }
    })?;
    let has_start =
        |track: &&Track| is_timed(&track.caps) && !track.is_frameless && is_shown(&track.id);
    let expected = media.tracks.iter().filter(has_start).count();
    pipeline.wait_until(|| starts.count() >= expected || read.get().packets > MAX_PACKETS)?;
    Ok(starts.earliest())
}

/// The stream times of the first packets of tracks, nanoseconds.
#[derive(Clone, Default)]
struct Starts(Arc<Mutex<Vec<i128>>>);

impl Starts {
    /// Waits for the first packet at `pad`, of a track with these caps and this delay. Subtitles do not count.
    fn watch(&self, caps: &gst::Caps, pad: &gst::Pad, delay: gst::ClockTime) {
        if !is_timed(caps) {
            return;
        }
        let starts = self.0.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let pts = info.buffer().and_then(|buffer| buffer.pts());
            match position(segment_at(pad).as_ref(), pts) {
                Some(start) => {
                    lock(&starts).push(start - nanoseconds(delay));
                    gst::PadProbeReturn::Remove
                }
                None => gst::PadProbeReturn::Ok,
            }
        });
    }

    fn count(&self) -> usize {
        lock(&self.0).len()
    }

    fn earliest(&self) -> Option<i128> {
        lock(&self.0).iter().min().copied()
    }
}

/// Whether a track with these caps has continuous data, unlike subtitles.
fn is_timed(caps: &gst::Caps) -> bool {
    ["video/", "audio/", "meta/"].iter().any(|class| media_type(caps).starts_with(class))
}
