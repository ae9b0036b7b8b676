// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pipeline that runs to its end, and what it says meanwhile.

use std::{
    cell::RefCell,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use gst::prelude::*;

use super::{fault, protocol::Reply, tally::Tally};

/// How long one wait for the pipeline's messages takes.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// The same where a few milliseconds count.
const SHORT_POLL: gst::ClockTime = gst::ClockTime::from_mseconds(5);
/// How long nothing may move before the file is given up.
const PATIENCE: Duration = Duration::from_secs(90);
/// The same before the first frame is translated: a GPU's engine may have to be built for it.
const FIRST_PATIENCE: Duration = Duration::from_secs(570);
/// Between two replies on progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(300);

/// A pipeline, stopped when it goes.
pub struct Pipeline {
    pipeline: gst::Pipeline,
    /// What passes where: progress, and where a stall is.
    points: RefCell<Vec<(&'static str, Tally)>>,
    /// The files that are written: their growth is progress as well.
    files: RefCell<Vec<PathBuf>>,
    missing: RefCell<Vec<String>>,
}

impl Pipeline {
    /// An empty pipeline.
    pub fn new() -> Self {
        Self {
            pipeline: gst::Pipeline::new(),
            points: RefCell::default(),
            files: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// The pipeline.
    pub fn gst(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// A tally of a point, the points in the order in which data passes them.
    pub fn tally(&self, what: &'static str) -> Tally {
        let tally = Tally::default();
        self.points.borrow_mut().push((what, tally.clone()));
        tally
    }

    /// Takes the growth of `file` for progress.
    pub fn watch_file(&self, file: PathBuf) {
        self.files.borrow_mut().push(file);
    }

    /// Opens the file without having it played.
    pub fn pause(&self) -> Result<()> {
        self.set_state(gst::State::Paused)
    }

    /// Plays to the end. With `frames`, the tally of the frames that count and how many are expected,
    /// `say` gets the progress, else only a sign of life.
    pub fn run(
        &self,
        frames: Option<(&Tally, Option<u64>)>,
        say: &mut dyn FnMut(Reply),
    ) -> Result<()> {
        self.set_state(gst::State::Playing)?;
        let mut reported = None::<Instant>;
        let mut moved = (Instant::now(), self.position());
        loop {
            if let Some(message) = self.next_message(POLL)? {
                match message.view() {
                    gst::MessageView::Eos(_) => return Ok(()),
                    gst::MessageView::Warning(warning) => {
                        say(Reply::Notice { text: fault::one_line(warning.error().message()) })
                    }
                    _ => {}
                }
                // Messages come in bursts.
                continue;
            }
            let position = self.position();
            if position != moved.1 {
                moved = (Instant::now(), position);
            } else if moved.0.elapsed() > self.patience() {
                bail!(self.stall());
            }
            let is_due = reported.is_none_or(|time| time.elapsed() >= PROGRESS_INTERVAL);
            if is_due && reported.is_none_or(|time| moved.0 > time) {
                let (frames, total) =
                    frames.map_or((0, None), |(tally, total)| (tally.get().packets, total));
                say(Reply::Progress { frames, total });
                reported = Some(Instant::now());
            }
        }
    }

    /// Begins to play, for [`wait_until`](Self::wait_until).
    pub fn play(&self) -> Result<()> {
        self.set_state(gst::State::Playing)
    }

    /// Waits until `is_there`, or to the end; returns whether it is there.
    pub fn wait_until(&self, is_there: impl Fn() -> bool) -> Result<bool> {
        let mut moved = (Instant::now(), self.position());
        while !is_there() {
            if let Some(message) = self.next_message(SHORT_POLL)?
                && let gst::MessageView::Eos(_) = message.view()
            {
                return Ok(is_there());
            }
            let position = self.position();
            if position != moved.1 {
                moved = (Instant::now(), position);
            } else if moved.0.elapsed() > PATIENCE {
                bail!(self.stall());
            }
        }
        Ok(true)
    }

    /// Changes whenever anything moves.
    fn position(&self) -> (u64, u64) {
        let packets = self.points.borrow().iter().map(|(_, tally)| tally.get().packets).sum();
        let size = |file: &PathBuf| fs::metadata(file).map_or(0, |file| file.len());
        (packets, self.files.borrow().iter().map(size).sum())
    }

    fn patience(&self) -> Duration {
        let points = self.points.borrow();
        let translated = points.iter().find(|(what, _)| *what == TRANSLATED);
        match translated.is_some_and(|(_, tally)| tally.get().packets == 0) {
            true => FIRST_PATIENCE,
            false => PATIENCE,
        }
    }

    /// Where nothing moves.
    fn stall(&self) -> String {
        let points = self.points.borrow();
        let point = |(what, tally): &(&str, Tally)| {
            let passed = tally.get();
            format!("{} {what}, up to {:.1} s", passed.packets, passed.end as f64 / 1e9)
        };
        let points: Vec<_> = points.iter().map(point).collect();
        format!("stalls: {}", points.join("; "))
    }

    fn set_state(&self, state: gst::State) -> Result<()> {
        if self.pipeline.set_state(state).is_ok() {
            return Ok(());
        }
        while let Some(message) = self.pipeline.bus().and_then(|bus| bus.pop()) {
            self.take(&message)?;
        }
        Err(anyhow!("the pipeline does not start"))
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
                return Err(fault::explain(error, &self.missing.borrow()));
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

/// The point behind the filter.
pub const TRANSLATED: &str = "frames translated";

/// Whether the decoder that is said to be missing is there: what is damaged cannot be decoded either.
fn is_installed(missing: &gst::message::Element) -> bool {
    let caps = missing.structure().and_then(|details| details.get::<gst::Caps>("detail").ok());
    caps.is_some_and(|caps| {
        let decoders = gst::ElementFactoryType::DECODER;
        let decoders = gst::ElementFactory::factories_with_type(decoders, gst::Rank::MARGINAL);
        decoders.iter().any(|decoder| decoder.can_sink_any_caps(&caps))
    })
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
