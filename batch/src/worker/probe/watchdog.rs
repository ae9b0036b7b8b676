// SPDX-License-Identifier: MIT OR Apache-2.0

//! Detects demuxers of GStreamer 1.22 that give up silently and leave the pipeline waiting: `decodebin` drops an error that a
//! demuxer posts as soon as it starts, some demuxers end without an error at the end of a truncated file, and those of
//! FFmpeg may read there again and again.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use gst::prelude::*;

use crate::{
    lock::lock,
    worker::{
        elements::{is_kind, pad},
        pipeline::{decoder_errors, fault},
    },
};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks a demuxer may take after its error.
const AFTER_ERROR: u32 = 3;
/// How many ticks it may take after it has reached the end of the file.
const AFTER_END: u32 = 50;
/// How many ticks the discoverer may take after a pixel format that GStreamer does not know.
const AFTER_FORMAT: u32 = 5;
/// How many reads beyond the end are too many.
const MAX_READS: u32 = 1000;

#[derive(Default)]
struct State {
    has_demuxer: bool,
    has_tracks: bool,
    /// The error of the demuxer.
    error: Option<gst::Message>,
    /// Whether the last read was beyond the end of the file.
    is_at_end: bool,
    /// The number of ticks since the last read before the end.
    ticks: u32,
}

impl State {
    /// What to report after another tick.
    fn tick(&mut self) -> Option<gst::Message> {
        self.ticks += 1;
        let at_end = || gst::message::Error::new(gst::StreamError::Demux, fault::NO_FRAMES);
        match self.error.take_if(|_| self.ticks > AFTER_ERROR) {
            Some(error) => Some(error),
            None if self.is_at_end && self.has_demuxer && self.ticks > AFTER_END => Some(at_end()),
            None => None,
        }
    }
}

/// Makes `source`, which reads `input`, fail if a demuxer reads at its end again and again. Calls `with` at each read
/// with whether it is beyond the end.
pub fn watch_end(
    input: &Path,
    source: &gst::Element,
    with: impl Fn(bool) + Send + Sync + 'static,
) -> Result<()> {
    let length = std::fs::metadata(input)?.len();
    let (reads, element) = (AtomicU32::new(0), source.downgrade());
    let kinds = gst::PadProbeType::PULL | gst::PadProbeType::BLOCK;
    pad(source, "src")?.add_probe(kinds, move |_, info| {
        let is_at_end = info.offset + u64::from(info.size) > length;
        with(is_at_end);
        if !is_at_end {
            reads.store(0, Ordering::Relaxed);
        } else if reads.fetch_add(1, Ordering::Relaxed) == MAX_READS
            && let Some(source) = element.upgrade()
        {
            gst::element_error!(source, gst::StreamError::Demux, ("{}", fault::ENDLESS));
        }
        gst::PadProbeReturn::Pass
    });
    Ok(())
}

/// Ends the discovery by `decoder` of `input`, which `source` reads, if no track can be found any more.
pub fn watch(input: &Path, source: &gst::Element, decoder: &gst::Bin) -> Result<()> {
    let state = Arc::new(Mutex::new(State::default()));
    let read = state.clone();
    watch_end(input, source, move |is_at_end| {
        let mut state = lock(&read);
        state.is_at_end = is_at_end;
        if !is_at_end {
            state.ticks = 0;
        }
    })?;
    let found = state.clone();
    decoder.connect_deep_element_added(move |_, _, element| {
        if is_kind(element, gst::ElementFactoryType::DEMUXER) {
            watch_demuxer(element, &found);
        }
    });
    let pipeline = decoder.parent().and_downcast::<gst::Pipeline>().context("no pipeline")?;
    let weak = pipeline.downgrade();
    thread::spawn(move || {
        let mut ticks = 0;
        while let Some(pipeline) = weak.upgrade() {
            let message = Some(lock(&state)).filter(|state| !state.has_tracks);
            let message = message.and_then(|mut state| state.tick());
            // A decoder that has failed in silence, maybe after the last frame.
            ticks += u32::from(decoder_errors::is_unknown_format());
            let unknown = || gst::message::Error::new(gst::StreamError::WrongType, "format");
            if let Some(message) = message.or_else(|| (ticks == AFTER_FORMAT).then(unknown)) {
                // Without a bus, the pipeline has ended.
                let _ = pipeline.post_message(message);
            }
            drop(pipeline);
            thread::sleep(TICK);
        }
    });
    Ok(())
}

fn watch_demuxer(demuxer: &gst::Element, state: &Arc<Mutex<State>>) {
    *lock(state) = State { has_demuxer: true, ..State::default() };
    let found = state.clone();
    demuxer.connect_pad_added(move |_, _| lock(&found).has_tracks = true);
    let (Some(outer), found) = (demuxer.bus(), state.clone()) else { return };
    let bus = gst::Bus::new();
    bus.set_sync_handler(move |_, message| {
        if message.type_() == gst::MessageType::Error {
            let mut state = lock(&found);
            (state.error, state.ticks) = (Some(message.clone()), 0);
        }
        // Without a reader, the pipeline has ended.
        let _ = outer.post(message.clone());
        gst::BusSyncReply::Drop
    });
    demuxer.set_bus(Some(&bus));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::worker::probe::Media;

    /// `decodebin` drops the error only if it comes at a certain moment.
    #[test]
    fn an_avi_without_frames_fails_at_once_every_time() {
        gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.avi");
        let header = [b"RIFF\xFF\xFF\0\0AVI LIST\xFF\x0F\0\0hdrlavih\x38\0\0\0", &[0; 200][..]];
        std::fs::write(&file, header.concat()).unwrap();
        let begun = Instant::now();
        for _ in 0..10 {
            let error = format!("{:#}", Media::probe(&file).unwrap_err());
            assert!(error.contains("is truncated: its last "), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
