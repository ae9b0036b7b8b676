// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs a pipeline to its end and watches its progress.

pub mod decoder_errors;
pub mod fault;
pub mod progress;

use std::{cell::RefCell, path::Path, time::Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::prelude::*;

use self::progress::{FIRST_PATIENCE, PATIENCE, PROGRESS_INTERVAL, Progress, patience};
use crate::{
    files::before_index,
    protocol::{Event, Say, send_notices},
    stop,
    worker::{
        elements::{caps::has_decoder, make, prefer_decoders},
        pads::tally::Tally,
    },
};

/// Timeout of one wait for messages.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// The same where a few milliseconds matter.
const SHORT_POLL: gst::ClockTime = gst::ClockTime::from_mseconds(5);

/// Prepares GStreamer. Call it before anything else of this module and those above it.
pub fn init() -> Result<()> {
    gst::init().context("GStreamer")?;
    prefer_decoders();
    decoder_errors::listen();
    Ok(())
}

/// A pipeline, stopped when dropped.
#[derive(Default)]
pub struct Pipeline {
    pipeline: gst::Pipeline,
    pub progress: Progress,
    missing: RefCell<Vec<String>>,
    /// Warnings that are not reported yet.
    warnings: RefCell<Vec<String>>,
}

impl Pipeline {
    /// From elements in the syntax of `gst-launch-1.0`.
    pub fn parse(description: &str) -> Result<Self> {
        let pipeline = gst::parse::launch(description)
            .map_err(|error| anyhow!("`{description}`: {}", error.message()))?;
        let mut new = Self::default();
        new.pipeline =
            pipeline.downcast().map_err(|_| anyhow!("`{description}`: only one element"))?;
        Ok(new)
    }

    /// An element by its name.
    pub fn part<T: IsA<gst::Element>>(&self, name: &str) -> Result<T> {
        let part = self.pipeline.by_name(name).and_then(|element| element.downcast().ok());
        part.with_context(|| format!("no element '{name}'"))
    }

    /// The next sample at `sink`, an element of the pipeline; `None` at the end.
    pub fn pull(&self, sink: &gst_app::AppSink) -> Result<Option<gst::Sample>> {
        let begun = Instant::now();
        while begun.elapsed() < FIRST_PATIENCE {
            if let Some(sample) = sink.try_pull_sample(POLL) {
                return Ok(Some(sample));
            }
            while self.next_message(gst::ClockTime::ZERO)?.is_some() {}
            if sink.is_eos() {
                return Ok(None);
            }
        }
        bail!("stalls: nothing comes out")
    }

    pub fn gst(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Writes the output of the muxer `mux` to `file`, whose growth counts as progress. The pipeline does not wait for its
    /// preroll: tracks are linked while it runs, and GStreamer would lose a state change that waits for a first buffer.
    pub fn write_file(&self, mux: &gst::Element, file: &Path) -> Result<()> {
        let sink = make("filesink")?;
        sink.set_property("location", file);
        sink.set_property("async", false);
        self.progress.add_file(file);
        self.pipeline.add_many([mux, &sink])?;
        mux.link(&sink)?;
        Ok(())
    }

    /// The same with the index at the front, if `mux` supports that, so that a browser can play the file while it
    /// loads. The rest is written beside the file first, not in /tmp.
    pub fn write_fast_start_file(&self, mux: &gst::Element, file: &Path) -> Result<()> {
        if mux.has_property("faststart") {
            let beside = before_index(file);
            mux.set_property("faststart", true);
            mux.set_property("faststart-file", &beside);
            self.progress.add_file(&beside);
        }
        self.write_file(mux, file)
    }

    /// Plays to the end. `say` receives the progress of `frames`, a count and the expected number; without them only
    /// a sign of life.
    pub fn run(&self, frames: Option<(&Tally, Option<u64>)>, say: Say) -> Result<()> {
        self.set_state(gst::State::Playing)?;
        let mut reported = None::<Instant>;
        let mut moved = self.progress.start();
        loop {
            if let Some(message) = self.next_message(POLL)? {
                send_notices(say, self.warnings.take());
                if message.type_() == gst::MessageType::Eos {
                    return Ok(());
                }
                // Messages come in bursts.
                continue;
            }
            self.progress.check(&mut moved, patience(frames.map(|(tally, _)| tally)))?;
            let is_due = reported.is_none_or(|time| time.elapsed() >= PROGRESS_INTERVAL);
            if is_due && reported.is_none_or(|time| moved.at > time) {
                let (frames, total) =
                    frames.map_or((0, None), |(tally, total)| (tally.get().packets, total));
                say(Event::Progress { frames, total });
                reported = Some(Instant::now());
            }
        }
    }

    pub fn play(&self) -> Result<()> {
        self.set_state(gst::State::Playing)
    }

    /// Waits until `is_ready` or the end of the stream; returns `is_ready`.
    pub fn wait_until(&self, is_ready: impl Fn() -> bool) -> Result<bool> {
        let mut moved = self.progress.start();
        while !is_ready() {
            if let Some(message) = self.next_message(SHORT_POLL)?
                && let gst::MessageView::Eos(_) = message.view()
            {
                return Ok(is_ready());
            }
            self.progress.check(&mut moved, PATIENCE)?;
        }
        Ok(true)
    }

    fn set_state(&self, state: gst::State) -> Result<()> {
        let set = self.pipeline.set_state(state);
        set.map(drop).map_err(|_| self.failure("the pipeline does not start"))
    }

    /// The error that the pipeline has reported, or `otherwise`.
    pub fn failure(&self, otherwise: &'static str) -> anyhow::Error {
        while let Some(message) = self.pipeline.bus().and_then(|bus| bus.pop()) {
            if let Err(error) = self.take(&message) {
                return error;
            }
        }
        anyhow!(otherwise)
    }

    /// The next message within the time `wait`. Fails if it is an error, or if the program should stop.
    fn next_message(&self, wait: gst::ClockTime) -> Result<Option<gst::Message>> {
        // Only in the program itself: a worker is ended from outside.
        ensure!(!stop::is_requested(), "stopped");
        let message = self.pipeline.bus().and_then(|bus| bus.timed_pop(wait));
        message.as_ref().map_or(Ok(()), |message| self.take(message))?;
        Ok(message)
    }

    /// Fails if the message is an error; records warnings and missing plugins.
    fn take(&self, message: &gst::Message) -> Result<()> {
        match message.view() {
            gst::MessageView::Error(error) => {
                return Err(fault::explain(error, &self.missing.borrow()));
            }
            gst::MessageView::Warning(warning) => {
                self.warnings.borrow_mut().push(fault::warning(warning));
            }
            gst::MessageView::Element(element) => {
                if let Ok(missing) = gst_pbutils::MissingPluginMessage::parse(element)
                    && !is_installed(element)
                {
                    let (text, mut known) = (missing.description(), self.missing.borrow_mut());
                    if !known.iter().any(|other| *other == text) {
                        known.push(text.to_string());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the decoder that is reported missing exists. Damaged data lead to the same report.
fn is_installed(missing: &gst::message::Element) -> bool {
    let caps = missing.structure().and_then(|details| details.get::<gst::Caps>("detail").ok());
    caps.is_some_and(|caps| has_decoder(&caps))
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
