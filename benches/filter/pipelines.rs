// SPDX-License-Identifier: MIT OR Apache-2.0

//! A whole pipeline with the filter beside what people write without it: a Python program with
//! `appsink`, numpy, the same ONNX Runtime and `appsrc`. Each runs in a process of its own, the
//! two alternately; the first frames, in which they warm up, are left out.

use std::{
    env,
    error::Error,
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::summary::median;

/// The argument that makes this program the filter's process.
pub const CHILD: &str = "filter-pipeline";
/// The program that the filter is compared with.
const PYTHON_PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/filter/appsink.py");
const ROUNDS: usize = 3;
const FRAMES: usize = 45;
const WARM_UP: usize = 5;

/// What a process measured of itself.
#[derive(Serialize, Deserialize)]
struct Measured {
    /// Milliseconds from one frame to the next at the end of the pipeline.
    frame_ms: Vec<f64>,
    /// The most memory that the process held, in KiB.
    peak_kib: u64,
}

/// Prints the table.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    let python = env::var("BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    println!("Whole pipelines beside a Python program with appsink and appsrc, {ROUNDS} rounds\n");
    println!("| frame | | ms a frame | peak memory MiB |");
    println!("| --- | --- | --- | --- |");
    for caps in [
        "video/x-raw,format=RGB,width=256,height=256",
        "video/x-raw,format=I420,width=1920,height=1080",
    ] {
        let (mut filter, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            filter.push(filter_in_a_process(model, caps)?);
            let frames = FRAMES.to_string();
            let arguments =
                [PYTHON_PROGRAM.as_ref(), model.as_os_str(), caps.as_ref(), frames.as_ref()];
            peer.push(measured(&Command::new(&python).args(arguments).output()?)?);
        }
        let caps = caps.trim_start_matches("video/x-raw,");
        print_row(caps, "cycleganfilter", &filter);
        print_row(caps, "Python, appsink and appsrc", &peer);
    }
    Ok(())
}

/// Milliseconds from one frame to the next with the filter, the median of a process of its own.
pub fn filter_frame_ms(model: &Path, caps: &str) -> Result<f64, Box<dyn Error>> {
    Ok(median(&filter_in_a_process(model, caps)?.frame_ms))
}

fn filter_in_a_process(model: &Path, caps: &str) -> Result<Measured, Box<dyn Error>> {
    let mut own = Command::new(env::current_exe()?);
    measured(&own.args([CHILD, caps]).env("MODEL", model).output()?)
}

/// Runs the filter's pipeline and prints what it measured, as JSON.
pub fn run_filter(model: &Path, caps: &str) -> Result<(), Box<dyn Error>> {
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=1 pattern=smpte75 ! {caps},framerate=25/1 \
         ! imagefreeze num-buffers={FRAMES} ! cycleganfilter name=filter execution-provider=cpu \
         ! fakesink name=end sync=false"
    ))?;
    let bin = pipeline.downcast_ref::<gst::Bin>().ok_or("no bin")?;
    let filter = bin.by_name("filter").ok_or("no filter")?;
    filter.set_property("model", model.to_str().ok_or("the model's path is no UTF-8")?);
    let times = Arc::new(Mutex::new(Vec::with_capacity(FRAMES)));
    let pad = bin.by_name("end").and_then(|end| end.static_pad("sink")).ok_or("no sink")?;
    let probe_times = times.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        probe_times.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        gst::PadProbeReturn::Ok
    });

    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    if let Some(gst::MessageView::Error(error)) = end.as_ref().map(|message| message.view()) {
        return Err(error.error().into());
    }
    let times = times.lock().unwrap_or_else(PoisonError::into_inner);
    let between = times.windows(2).skip(WARM_UP);
    let frame_ms = between.map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
    let measured = Measured { frame_ms, peak_kib: peak_kib()? };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

fn measured(output: &std::process::Output) -> Result<Measured, Box<dyn Error>> {
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn print_row(caps: &str, name: &str, rounds: &[Measured]) {
    let of_rounds = |value: fn(&Measured) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let medians = of_rounds(|round| median(&round.frame_ms));
    let (least, most) = medians
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, most), &ms| (least.min(ms), most.max(ms)));
    let peak = median(&of_rounds(|round| round.peak_kib as f64 / 1024.0));
    println!("| {caps} | {name} | {:.1} ({least:.1}–{most:.1}) | {peak:.0} |", median(&medians));
}

/// The most memory that this process has held.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
