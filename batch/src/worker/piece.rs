// SPDX-License-Identifier: MIT OR Apache-2.0

//! A piece of a video: its frames translated and encoded, in a file of GStreamer's own data protocol,
//! which keeps every time stamp to the nanosecond.

use std::{path::Path, sync::mpsc};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use super::{
    branch::Branch,
    fault::CutFault,
    muxer::{Muxer, file_sink, make, pad},
    playing::Playing,
    protocol::{Reply, Setup, Span},
    source::take_apart,
    tracks::main_track,
};
use crate::container::Container;

/// Translates one piece of `input` into `output`.
pub fn translate(
    setup: &Setup,
    input: &Path,
    output: &Path,
    container: Container,
    span: &Span,
    say: &mut dyn FnMut(Reply),
) -> Result<u64> {
    let playing = Playing::new();
    let branch = encode(&playing, setup, container, span, output)?;
    let decoded = branch.decoded()?;
    let bin = branch.bin;
    let (sender, receiver) = mpsc::channel();
    // Held back where the first frame comes out of the decoder: only then is every element there that
    // a seek has to pass, and nothing is translated before it.
    let kinds = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
    let hold = decoded.add_probe(kinds, move |_, _| {
        // Nobody listens any more after a failure.
        let _ = sender.send(());
        gst::PadProbeReturn::Ok
    });
    let hold = hold.context("the decoder cannot be held back")?;
    take_apart(playing.pipeline(), input, None, move |tracks| {
        // Other tracks stay unlinked, and the file is read no further than the video needs.
        main_track(tracks)?.pad.link(&pad(&bin, "sink")?)?;
        Ok(())
    })?;
    playing.pause()?;
    playing.wait_for(&receiver)?;
    if span.lead > 0 {
        let before = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let seek = gst::event::Seek::new(
            1.0,
            before,
            gst::SeekType::Set,
            gst::ClockTime::from_nseconds(span.lead),
            gst::SeekType::None,
            gst::ClockTime::NONE,
        );
        ensure!(decoded.push_event(seek), CutFault("cannot be sought in".to_owned()));
    }
    decoded.remove_probe(hold);
    let frames = playing.run(Some(span.frames), say)?;
    ensure!(
        frames == span.frames,
        CutFault(format!("a piece has {frames} frames, expected {}", span.frames))
    );
    Ok(frames)
}

/// The way of the video from its track to the file.
fn encode(
    playing: &Playing,
    setup: &Setup,
    container: Container,
    span: &Span,
    output: &Path,
) -> Result<Branch> {
    let branch = Branch::video(setup, container, Some(span), playing.frames.clone())?;
    let (pack, file) = (make("gdppay")?, file_sink(output)?);
    keep_what_can_be_packed(&pad(&pack, "sink")?);
    playing.pipeline().add_many([&branch.bin, &pack, &file])?;
    // The muxer that takes it in the end is not there yet to ask for one of the encoder's formats.
    let muxer = Muxer::new(container)?;
    let way = muxer.way_in(&branch.caps).context("the container cannot hold the video")?;
    branch.bin.link_filtered(&pack, &way.begin())?;
    pack.link(&file)?;
    Ok(branch)
}

/// Keeps the events that the protocol can give back: the start of a stream may hold an object, which
/// it cannot read again, and tags come with the file anyway.
fn keep_what_can_be_packed(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        let Some(gst::PadProbeData::Event(event)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        match event.type_() {
            gst::EventType::StreamStart => *event = gst::event::StreamStart::new("piece"),
            gst::EventType::Caps | gst::EventType::Segment | gst::EventType::Eos => {}
            // What is handled is dropped; `Drop` itself makes GStreamer 1.22 complain.
            _ => return gst::PadProbeReturn::Handled,
        }
        gst::PadProbeReturn::Ok
    });
}
