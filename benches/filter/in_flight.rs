// SPDX-License-Identifier: MIT OR Apache-2.0

//! The gain of several frames in flight if the same CPU also converts and composites.

use std::{error::Error, path::Path, time::Instant};

use gst::prelude::*;

use super::{frame::frame, summary::median};

const CAPS: &str = "video/x-raw,format=I420,width=1920,height=1080,framerate=25/1";
const IN_FLIGHT: [u32; 3] = [1, 2, 4];
const ROUNDS: usize = 7;
const FRAMES: u32 = 24;
const SMOOTHING: f64 = 0.5;

/// Prints the table: with all cores for the generator, and with one core for it and the rest for the other stages.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    println!(
        "Frames in flight, {ROUNDS} rounds of {FRAMES} frames of 1920×1080 I420, {}\n",
        model.display()
    );
    println!("| generator's threads | 1 in flight: ms a frame | 2 | 4 |");
    println!("| --- | --- | --- | --- |");
    for threads in [0, 1] {
        let mut ms = IN_FLIGHT.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (ms, in_flight) in ms.iter_mut().zip(IN_FLIGHT) {
                ms.push(throughput(model, threads, in_flight)?);
            }
        }
        let [one, two, four] = ms.map(|ms| median(&ms));
        let name = if threads == 0 { "all".to_owned() } else { threads.to_string() };
        println!("| {name} | {one:.1} | {two:.1} | {four:.1} |");
    }
    println!();
    Ok(())
}

fn throughput(model: &Path, threads: u32, in_flight: u32) -> Result<f64, Box<dyn Error>> {
    let element = gst::ElementFactory::make("cycleganfilter")
        .property("model", model.to_str().ok_or("the model's path is no UTF-8")?)
        .property_from_str("execution-provider", "cpu")
        .property("threads", threads)
        .property("smoothing", SMOOTHING)
        .property("max-in-flight", in_flight)
        .build()?;
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str(CAPS);
    harness.set_sink_caps_str(CAPS);
    let frame = frame(CAPS)?;
    for _ in 0..4 {
        harness.push(frame.clone())?;
        harness.pull()?;
    }
    harness.set_drop_buffers(true);
    let start = Instant::now();
    for _ in 0..FRAMES {
        harness.push(frame.clone())?;
    }
    // Returns when the last frame is out.
    harness.push_event(gst::event::Eos::new());
    let ms = ms_a_frame(start);
    element.set_state(gst::State::Null)?;
    Ok(ms)
}

fn ms_a_frame(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3 / f64::from(FRAMES)
}
