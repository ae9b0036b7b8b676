// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fades the translation of a video in and out while it plays: `strength` follows a control source.
//!
//! ```sh
//! cargo run --release --example fade -- in.mp4
//! ```

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use gst::prelude::*;
use gst_controller::prelude::*;

/// Shows a video whose translation fades in and out.
#[derive(Parser)]
struct Arguments {
    /// The video: any file that GStreamer decodes
    input: PathBuf,
    /// The model: a file, a pair's folder, or the name of a pair [default: the element's]
    #[arg(long, env = "MODEL")]
    model: Option<String>,
    /// Duration of a fade in seconds
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Sink elements
    #[arg(long, default_value = "autovideosink")]
    sink: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gst::init()?;
    let pipeline = gst::parse::launch(&format!(
        "filesrc name=file ! decodebin ! videoconvert ! videoflip video-direction=auto ! \
         cycleganfilter name=filter ! videoconvert ! {}",
        arguments.sink
    ))?;
    let bin = pipeline.downcast_ref::<gst::Bin>().context("not a pipeline")?;
    let file = bin.by_name("file").context("no element 'file'")?;
    file.set_property("location", &arguments.input);

    let filter = bin.by_name("filter").context("no element 'filter'")?;
    if let Some(model) = &arguments.model {
        filter.set_property("model", model);
    }
    let period = gst::ClockTime::from_seconds_f64(2.0 * arguments.seconds);
    filter.add_control_binding(&fade(&filter, period)?)?;
    play(&pipeline)
}

/// Moves `strength` from 0 to 1 and back within `period` of stream time, over and over.
fn fade(
    filter: &gst::Element,
    period: gst::ClockTime,
) -> Result<gst_controller::DirectControlBinding> {
    let wave = gst_controller::LFOControlSource::new();
    wave.set_waveform(gst_controller::LFOWaveform::Triangle);
    wave.set_frequency(1.0 / period.seconds_f64());
    // A triangle between 0 and 1. It starts at its middle, so it is shifted by a quarter.
    wave.set_amplitude(0.5);
    wave.set_offset(0.5);
    wave.set_timeshift((period / 4).nseconds());
    Ok(gst_controller::DirectControlBinding::new(filter, "strength", &wave))
}

fn play(pipeline: &gst::Element) -> Result<()> {
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    // The bus has the error.
    let _ = pipeline.set_state(gst::State::Playing);
    let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    if let Some(gst::MessageView::Error(error)) = end.as_ref().map(|message| message.view()) {
        // The details say which file or device it was.
        bail!("{}\n{}", error.error(), error.debug().unwrap_or_default());
    }
    Ok(())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|s| (0.1..=3600.0).contains(s))
        .ok_or("expected 0.1 to 3600".to_owned())
}
