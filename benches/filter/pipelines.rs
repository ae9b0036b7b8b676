// SPDX-License-Identifier: MIT OR Apache-2.0

//! A whole pipeline with the filter compared with what people use without it: a Python program with
//! `appsink`, numpy, the same ONNX Runtime and `appsrc`, and NNStreamer's elements if they are
//! installed. Each runs in its own process, one after the other in every round; the first frames,
//! which are warm-up, are left out.

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

use super::{nnstreamer, summary::median};

/// The argument with which this program runs as the process of one pipeline.
pub const CHILD: &str = "pipeline";
/// The program that the filter is compared with.
const PYTHON_PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/python/appsink.py");
const ROUNDS: usize = 3;
const FRAMES: usize = 45;
const WARM_UP: usize = 5;

/// The measurements of a process.
#[derive(Clone, Serialize, Deserialize)]
struct Measured {
    /// Milliseconds from one frame to the next at the end of the pipeline.
    frame_ms: Vec<f64>,
    /// The peak memory of the process, in KiB.
    peak_kib: u64,
}

/// What translates the frames.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Filter,
    NnStreamer,
    Python,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Filter => "cycleganfilter",
            Self::NnStreamer => "NNStreamer",
            Self::Python => "Python, appsink and appsrc",
        }
    }

    fn measure(self, model: &Path, caps: &str) -> Result<Measured, Box<dyn Error>> {
        let mut program = match self {
            Self::Python => {
                let python = env::var("BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
                let mut program = Command::new(python);
                program.arg(PYTHON_PROGRAM).arg(model).args([caps, &FRAMES.to_string()]);
                program
            }
            Self::Filter | Self::NnStreamer => {
                let mut program = Command::new(env::current_exe()?);
                program.args([CHILD, self.name(), caps]).env("MODEL", model);
                program
            }
        };
        let output = program.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Prints the table.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    let mut ways = vec![Way::Filter, Way::Python];
    if nnstreamer::is_installed() {
        ways.push(Way::NnStreamer);
    }
    println!("Whole pipelines, {ROUNDS} rounds\n");
    println!("| frame | | ms a frame | peak memory MiB |");
    println!("| --- | --- | --- | --- |");
    for caps in [
        "video/x-raw,format=RGB,width=256,height=256",
        "video/x-raw,format=I420,width=1920,height=1080",
    ] {
        let mut rounds = vec![Vec::new(); ways.len()];
        for _ in 0..ROUNDS {
            for (&way, rounds) in ways.iter().zip(&mut rounds) {
                rounds.push(way.measure(model, caps)?);
            }
        }
        let caps = caps.trim_start_matches("video/x-raw,");
        for (way, rounds) in ways.iter().zip(&rounds) {
            print_row(caps, way.name(), rounds);
        }
    }
    if !ways.contains(&Way::NnStreamer) {
        println!("\nNNStreamer is not compared: GStreamer finds no tensor_filter.");
    }
    Ok(())
}

/// Milliseconds from one frame to the next with the filter, the median of a separate process.
pub fn filter_frame_ms(model: &Path, caps: &str) -> Result<f64, Box<dyn Error>> {
    Ok(median(&Way::Filter.measure(model, caps)?.frame_ms))
}

/// Runs the pipeline that `way` names and prints what it measured, as JSON.
pub fn run(way: &str, model: &Path, caps: &str) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let elements = if way == Way::NnStreamer.name() {
        nnstreamer::elements(model, caps, &folder.path().join("G.onnx"))?
    } else {
        format!("cycleganfilter model={} execution-provider=cpu", model.display())
    };
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=1 pattern=smpte75 ! {caps},framerate=25/1 \
         ! imagefreeze num-buffers={FRAMES} ! {elements} ! fakesink name=end sync=false"
    ))?;
    let bin = pipeline.downcast_ref::<gst::Bin>().ok_or("no bin")?;
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

fn print_row(caps: &str, name: &str, rounds: &[Measured]) {
    let of_rounds = |value: fn(&Measured) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let medians = of_rounds(|round| median(&round.frame_ms));
    let (least, most) = medians
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, most), &ms| (least.min(ms), most.max(ms)));
    let peak = median(&of_rounds(|round| round.peak_kib as f64 / 1024.0));
    println!("| {caps} | {name} | {:.1} ({least:.1}–{most:.1}) | {peak:.0} |", median(&medians));
}

/// The peak memory of this process.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
