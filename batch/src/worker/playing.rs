// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pipeline that runs to its end, and what it tells meanwhile.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use gst::prelude::*;

use super::{fault, protocol::Reply};

/// How long one wait for the pipeline's messages takes.
const POLL_MESSAGES: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// How long one wait for an opened file takes.
const POLL: Duration = Duration::from_millis(20);
/// How long nothing may read a file that is not open yet.
const IDLE: Duration = Duration::from_secs(2);
/// How long a file may take to be opened.
const OPENING: Duration = Duration::from_secs(60);
/// Between two replies on progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(300);

/// A pipeline, stopped when it goes.
pub struct Playing {
    pipeline: gst::Pipeline,
    /// Frames that have left the filter and are kept.
    pub frames: Arc<AtomicU64>,
    /// Buffers that have passed where no frames are counted: a sign of life.
    passed: Arc<AtomicU64>,
    missing: RefCell<Vec<String>>,
}

impl Playing {
    /// An empty pipeline.
    pub fn new() -> Self {
        Self {
            pipeline: gst::Pipeline::new(),
            frames: Arc::default(),
            passed: Arc::default(),
            missing: RefCell::default(),
        }
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Has a pad give the sign of life, also one that is there only later.
    pub fn watch(&self) -> impl Fn(&gst::Pad) + Send + Sync + 'static {
        let passed = self.passed.clone();
        move |pad| {
            let passed = passed.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                passed.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Opens the file without having it played.
    pub fn pause(&self) -> Result<()> {
        self.set_state(gst::State::Paused)
    }

    /// Plays to the end; `total` frames are expected.
    pub fn run(&self, total: Option<u64>, say: &mut dyn FnMut(Reply)) -> Result<u64> {
        self.set_state(gst::State::Playing)?;
        let mut told = None::<(Instant, [u64; 2])>;
        loop {
            if let Some(message) = self.next_message(POLL_MESSAGES)? {
                match message.view() {
                    gst::MessageView::Eos(_) => break,
                    gst::MessageView::Warning(warning) => {
                        let text = fault::one_line(warning.error().message());
                        say(Reply::Notice { text });
                    }
                    _ => {}
                }
            }
            let counts = [&self.frames, &self.passed].map(|count| count.load(Ordering::Relaxed));
            if told.is_none_or(|(time, last)| time.elapsed() >= PROGRESS_INTERVAL && last != counts)
            {
                say(Reply::Progress { frames: counts[0], total });
                told = Some((Instant::now(), counts));
            }
        }
        Ok(self.frames.load(Ordering::Relaxed))
    }

    /// Waits for what a thread of the pipeline will send when the file is open.
    pub fn wait_for<T>(&self, receiver: &mpsc::Receiver<T>) -> Result<T> {
        let since = Instant::now();
        let mut seen_reading = since;
        while since.elapsed() < OPENING {
            if let Ok(sent) = receiver.recv_timeout(POLL) {
                return Ok(sent);
            }
            self.next_message(gst::ClockTime::ZERO)?;
            if self.is_reading() {
                seen_reading = Instant::now();
            } else if seen_reading.elapsed() > IDLE {
                bail!(fault::NO_INDEX);
            }
        }
        bail!("cannot be opened: nothing happens for {} s", OPENING.as_secs())
    }

    /// Whether any element still works on the file. A demuxer that finds no track says so, but
    /// `parsebin` keeps to itself what it says while it is being started.
    fn is_reading(&self) -> bool {
        let mut elements = self.pipeline.iterate_recurse().into_iter().flatten();
        elements.any(|element| {
            element.pads().iter().any(|pad| pad.task_state() == gst::TaskState::Started)
        })
    }

    fn set_state(&self, state: gst::State) -> Result<()> {
        if self.pipeline.set_state(state).is_ok() && self.start_held_back().is_ok() {
            return Ok(());
        }
        while let Some(message) = self.pipeline.bus().and_then(|bus| bus.pop()) {
            self.take(&message)?;
        }
        Err(anyhow!("the pipeline does not start"))
    }

    /// Starts what was held back until the rest is up, from the end of the pipeline to its beginning.
    fn start_held_back(&self) -> Result<()> {
        let sorted = self.pipeline.iterate_sorted().into_iter().flatten();
        let held: Vec<_> = sorted.filter(|element| element.is_locked_state()).collect();
        for element in &held {
            element.set_state(gst::State::Ready)?;
        }
        for element in &held {
            element.sync_state_with_parent()?;
        }
        for element in &held {
            element.set_locked_state(false);
        }
        Ok(())
    }

    fn next_message(&self, wait: gst::ClockTime) -> Result<Option<gst::Message>> {
        let message = self.pipeline.bus().and_then(|bus| bus.timed_pop(wait));
        message.as_ref().map_or(Ok(()), |message| self.take(message))?;
        Ok(message)
    }

    /// Fails if the message is an error; remembers what plugins are missing.
    fn take(&self, message: &gst::Message) -> Result<()> {
        match message.view() {
            gst::MessageView::Error(error) => {
                return Err(anyhow!(fault::explain(error, &self.missing.borrow())));
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

/// Whether the decoder that is said to be missing is there: what is damaged cannot be decoded either.
fn is_installed(missing: &gst::message::Element) -> bool {
    let caps = missing.structure().and_then(|details| details.get::<gst::Caps>("detail").ok());
    caps.is_some_and(|caps| {
        let decoders = gst::ElementFactoryType::DECODER;
        let decoders = gst::ElementFactory::factories_with_type(decoders, gst::Rank::MARGINAL);
        decoders.iter().any(|decoder| decoder.can_sink_any_caps(&caps))
    })
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
