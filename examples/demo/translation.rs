// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the pipeline from start to end, and tells what it does meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use gst::prelude::*;

use crate::{pipeline, progress::Progress, summary::Summary};

/// How long a stop may take to be seen.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// A pipeline, stopped when it goes.
pub struct Translation {
    pipeline: gst::Pipeline,
    filter: gst::Element,
    /// Frames that have left the filter.
    done: Arc<AtomicU64>,
}

impl Translation {
    pub fn new(pipeline: gst::Pipeline) -> Result<Self> {
        let filter = pipeline::filter(&pipeline)?;
        let done = Arc::new(AtomicU64::new(0));
        let counter = done.clone();
        pipeline::pad(&filter, "src")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        Ok(Self { pipeline, filter, done })
    }

    /// Translates to the end, or until `stop`; the file is complete in both cases.
    pub fn run(&self, stop: &AtomicBool) -> Result<Summary> {
        let bus = self.pipeline.bus().context("the pipeline has no bus")?;
        // Why it failed stands on the bus.
        let _ = self.pipeline.set_state(gst::State::Playing);
        let mut progress = Progress::new();
        let mut first_frame = None;
        loop {
            let message = bus.timed_pop(POLL);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Eos(_)) => break,
                Some(gst::MessageView::Error(error)) => {
                    return Err(explain(&error.error(), error.debug()));
                }
                Some(gst::MessageView::Warning(warning)) => {
                    progress
                        .note(&format!("warning: {}", explain(&warning.error(), warning.debug())));
                }
                _ => {}
            }
            let done = self.done.load(Ordering::Relaxed);
            if done > 0 {
                first_frame.get_or_insert_with(Instant::now);
                progress.show(done, self.total());
            }
            if stop.swap(false, Ordering::Relaxed) {
                progress.note("stopping; what is translated so far goes to the file");
                self.end();
            }
        }
        progress.finish();
        let elapsed = first_frame.map_or(Duration::ZERO, |first| first.elapsed());
        Ok(Summary::read(&self.filter, elapsed))
    }

    /// How many frames there will be, as far as the source knows.
    fn total(&self) -> Option<u64> {
        let caps = self.filter.static_pad("sink")?.current_caps()?;
        let rate = gst_video::VideoInfo::from_caps(&caps).ok()?.fps();
        let rate = f64::from(rate.numer()) / f64::from(rate.denom());
        let duration = self.pipeline.query_duration::<gst::ClockTime>()?;
        Some((duration.seconds_f64() * rate).round() as u64).filter(|&frames| frames > 0)
    }

    /// Ends picture and sound after the filter, so that frames that still wait before it are left out.
    fn end(&self) {
        let end = self.filter.query_position::<gst::ClockTime>();
        for element in self.pipeline.iterate_recurse().into_iter().flatten() {
            if !element.name().starts_with("encode-") {
                continue;
            }
            if let Some(src) = element.static_pad("src") {
                // Sound that waits for pictures that will not come.
                src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                    match info.buffer().is_some_and(|buffer| buffer.pts() > end) {
                        true => gst::PadProbeReturn::Drop,
                        false => gst::PadProbeReturn::Ok,
                    }
                });
            }
            if let Some(sink) = element.static_pad("sink") {
                sink.send_event(gst::event::Eos::new());
            }
        }
    }
}

impl Drop for Translation {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The message that an element sent, with the last line of its details, where the cause stands.
fn explain(error: &gst::glib::Error, debug: Option<gst::glib::GString>) -> anyhow::Error {
    let detail = debug.as_deref().and_then(|debug| debug.lines().skip(1).last());
    match detail {
        Some(detail) if !detail.is_empty() => anyhow!("{error} ({detail})"),
        _ => anyhow!("{error}"),
    }
}
