// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shows the camera, translated, in a window; keys change strength and direction.
//!
//! ```sh
//! cargo run --release --example camera
//! ```
//!
//! In the window, Up and Down change the strength, R switches the direction and Q quits. In the terminal, type
//! +, -, R or Q and Enter.

use std::io::{self, BufRead};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use gst::prelude::*;

/// Shows the camera, translated; keys: Up, Down, R, Q.
#[derive(Parser)]
pub struct Arguments {
    /// The model: a file, a pair's folder, or the name of a pair [default: the element's]
    #[arg(long, env = "MODEL")]
    pub model: Option<String>,
    /// Source elements
    #[arg(long, default_value = "v4l2src")]
    pub source: String,
    /// Sink elements
    #[arg(long, default_value = "autovideosink")]
    pub sink: String,
}

#[allow(dead_code, reason = "tests build the pipeline and press keys themselves")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gst::init()?;
    play(&pipeline(&arguments)?)
}

/// The pipeline, which handles the keys of its window.
pub fn pipeline(arguments: &Arguments) -> Result<gst::Pipeline> {
    // Late frames take the last residual. The queue lets the filter continue while the sink waits for a frame's
    // time. With `preload`, the direction switches at once.
    let description = format!(
        "{} ! cycleganfilter name=filter late-frames=hold preload=true ! queue ! videoconvert ! {}",
        arguments.source, arguments.sink
    );
    let pipeline = gst::parse::launch(&description)?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().ok().context("not a pipeline")?;
    let filter = pipeline.by_name("filter").context("no element 'filter'")?;
    if let Some(model) = &arguments.model {
        filter.set_property("model", model);
    }
    let pad = filter.static_pad("src").context("the filter has no source pad")?;
    let pressed = pipeline.downgrade();
    // The sink sends key presses upstream as navigation events.
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(event) = info.event()
            && let Ok(gst_video::NavigationEvent::KeyPress { key, .. }) =
                gst_video::NavigationEvent::parse(event)
            && let Some(pipeline) = pressed.upgrade()
        {
            press(&pipeline, &key);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(pipeline)
}

/// Handles `key`: a name as in X11, or a character.
fn press(pipeline: &gst::Pipeline, key: &str) {
    let Some(filter) = pipeline.by_name("filter") else { return };
    let strength: f64 = filter.property("strength");
    match key.to_lowercase().as_str() {
        "up" | "plus" | "+" => filter.set_property("strength", (strength + 0.1).min(1.0)),
        "down" | "minus" | "-" => filter.set_property("strength", (strength - 0.1).max(0.0)),
        "r" => {
            let is_forward = nick(&filter) == "forward";
            let other = if is_forward { "reverse" } else { "forward" };
            filter.set_property_from_str("direction", other);
        }
        "q" | "escape" => {
            pipeline.send_event(gst::event::Eos::new());
        }
        _ => return,
    }
    // A model with only one direction reverts the property and posts a warning.
    let strength: f64 = filter.property("strength");
    println!("strength {strength:.1}, direction {}", nick(&filter));
}

fn nick(filter: &gst::Element) -> String {
    let value = filter.property_value("direction");
    let (_, value) = gst::glib::EnumValue::from_value(&value).expect("direction is an enum");
    value.nick().to_owned()
}

#[allow(dead_code, reason = "as main")]
fn play(pipeline: &gst::Pipeline) -> Result<()> {
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    // The bus has the error.
    let _ = pipeline.set_state(gst::State::Playing);
    let for_terminal = pipeline.downgrade();
    // The thread ends with the process, because reading a line cannot be interrupted.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let Some(pipeline) = for_terminal.upgrade() else { return };
            line.chars().for_each(|key| press(&pipeline, key.encode_utf8(&mut [0; 4])));
        }
    });
    let result = loop {
        let Some(message) = bus.timed_pop(None) else { break Ok(()) };
        match message.view() {
            // The latency is measured while playing, so sinks must get the new value.
            gst::MessageView::Latency(_) => {
                let _ = pipeline.recalculate_latency();
            }
            gst::MessageView::Warning(warning) => eprintln!("{}", warning.error()),
            // The details say which device it was.
            gst::MessageView::Error(error) => {
                break Err(format!("{}\n{}", error.error(), error.debug().unwrap_or_default()));
            }
            gst::MessageView::Eos(_) => break Ok(()),
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null)?;
    if let Err(error) = result {
        bail!("{error}");
    }
    Ok(())
}
