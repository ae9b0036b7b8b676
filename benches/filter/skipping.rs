// SPDX-License-Identifier: MIT OR Apache-2.0

//! The cost of frames that take the last residual: `interval` and `skip-similar`.

use std::{error::Error, fs, path::Path, time::Instant};

use gst::prelude::*;

use super::{frame::frame, summary::median};

const CAPS: &str = "video/x-raw,format=I420,width=1920,height=1080,framerate=60/1";
const PROPERTIES: [(&str, &str); 5] = [
    ("interval", "1"),
    ("interval", "2"),
    ("interval", "3"),
    ("interval", "4"),
    ("skip-similar", "2"),
];
const ROUNDS: usize = 5;
/// A multiple of each interval.
const FRAMES: u32 = 60;
/// The unit of processor time in `/proc/self/stat`.
const TICKS_A_SECOND: f64 = 100.0;

/// The time of a frame, in milliseconds.
struct Cost {
    elapsed: f64,
    cpu: f64,
}

/// Prints the table.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    println!(
        "Frames that take the last residual, {ROUNDS} rounds of {FRAMES} frames of 1920×1080 I420, {}\n",
        model.display()
    );
    println!("| | ms a frame | processor ms a frame | frames a second |");
    println!("| --- | --- | --- | --- |");
    let mut costs = PROPERTIES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (costs, property) in costs.iter_mut().zip(PROPERTIES) {
            costs.push(cost(model, property)?);
        }
    }
    for (costs, (name, value)) in costs.iter().zip(PROPERTIES) {
        let of_rounds =
            |part: fn(&Cost) -> f64| median(&costs.iter().map(part).collect::<Vec<_>>());
        let (elapsed, cpu) = (of_rounds(|cost| cost.elapsed), of_rounds(|cost| cost.cpu));
        println!("| `{name}={value}` | {elapsed:.1} | {cpu:.1} | {:.0} |", 1e3 / elapsed);
    }
    println!();
    Ok(())
}

/// Pushes the same frame again and again.
fn cost(model: &Path, (name, value): (&str, &str)) -> Result<Cost, Box<dyn Error>> {
    let element = gst::ElementFactory::make("cycleganfilter")
        .property("model", model.to_str().ok_or("the model's path is no UTF-8")?)
        .property_from_str("execution-provider", "cpu")
        .property_from_str(name, value)
        .build()?;
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str(CAPS);
    harness.set_sink_caps_str(CAPS);
    let mut frame = frame(CAPS)?;
    // Sources flag their first frame as a discontinuity, after which a frame is always translated.
    frame.make_mut().unset_flags(gst::BufferFlags::DISCONT);
    for _ in 0..4 {
        harness.push(frame.clone())?;
        harness.pull()?;
    }
    harness.set_drop_buffers(true);
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    for _ in 0..FRAMES {
        harness.push(frame.clone())?;
    }
    let a_frame = |seconds: f64| seconds * 1e3 / f64::from(FRAMES);
    let elapsed = a_frame(start.elapsed().as_secs_f64());
    let cost = Cost { elapsed, cpu: a_frame(cpu_seconds()? - cpu) };
    element.set_state(gst::State::Null)?;
    Ok(cost)
}

/// The processor time of all threads of this process so far.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // After the name in brackets: user and system time are fields 14 and 15 of the line.
    let fields = stat.rsplit(')').next().ok_or("no fields")?.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.map(str::parse::<f64>).sum::<Result<_, _>>()?;
    Ok(ticks / TICKS_A_SECOND)
}
