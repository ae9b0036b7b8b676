// SPDX-License-Identifier: MIT OR Apache-2.0

//! What several frames in flight bring: behind a processor of its own, for which a generator stands
//! in that only sleeps, and on the processor that converts and composites as well.

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cyclegan_contract::Direction;
use cyclegan_frame::Upscale;
use cyclegan_runtime::{LoadOptions, Pair, Provider, ProviderOptions};
use gst::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};
use gstcyclegan::cycleganfilter::{Line, Route, Slot, Stages, Translator, ViewSettings};

use super::{frame::frame, summary::median};

const CAPS: &str = "video/x-raw,format=I420,width=1920,height=1080,framerate=25/1";
const IN_FLIGHT: [u32; 3] = [1, 2, 4];
const ROUNDS: usize = 7;
const FRAMES: u32 = 24;
const UPSCALE: Upscale = Upscale::Residual { strength: 1.0 };
const SMOOTHING: f32 = 0.5;

/// Prints both tables.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    compare_asleep(model)?;
    compare_awake(model)
}

/// The stages as they are, but for the generator.
struct Asleep {
    translator: Arc<Translator>,
    inference: Duration,
}

struct Job {
    input: gst::Buffer,
    output: gst::Buffer,
    slot: Option<Slot>,
}

type BoxError = Box<dyn Error>;

impl Asleep {
    fn prepare(&self, job: &mut Job) -> Result<(), BoxError> {
        let mut slot = self.translator.slot()?;
        let input = VideoFrameRef::from_buffer_ref_readable(&job.input, self.translator.info())?;
        let mut stage = self.translator.preparation().lock().map_err(|_| "a stage panicked")?;
        stage.prepare(&input, &mut slot, SMOOTHING > 0.0)?;
        job.slot = Some(slot);
        Ok(())
    }

    fn composite(&self, job: &mut Job) -> Result<(), BoxError> {
        let info = self.translator.info();
        let mut stage = self.translator.finish().lock().map_err(|_| "a stage panicked")?;
        let mut slot = job.slot.take().ok_or("no slot")?;
        stage.update(&mut slot, UPSCALE, SMOOTHING)?;
        self.translator.give_back(slot);
        let input = VideoFrameRef::from_buffer_ref_readable(&job.input, info)?;
        let output = job.output.make_mut();
        let mut output = VideoFrameRef::from_buffer_ref_writable(output, info)?;
        stage.composite(&input, &mut output)?;
        Ok(())
    }
}

impl Stages for Asleep {
    type Job = Job;

    fn infer(&self, _job: &mut Job) {
        thread::sleep(self.inference);
    }

    fn finish(&self, job: &mut Job) -> Result<(), gst::FlowError> {
        self.composite(job).map_err(|_| gst::FlowError::Error)
    }

    fn deliver(&self, _job: Job) -> Result<(), gst::FlowError> {
        Ok(())
    }

    fn panicked(&self) {
        eprintln!("a stage panicked");
    }
}

fn compare_asleep(model: &Path) -> Result<(), BoxError> {
    let caps: gst::Caps = CAPS.parse()?;
    let info = VideoInfo::from_caps(&caps)?;
    let options = LoadOptions {
        provider: Some(Provider::Cpu),
        allow_fallback: false,
        precision: None,
        provider_options: ProviderOptions {
            device_id: 0,
            threads: 0,
            cache_dir: std::env::temp_dir(),
        },
    };
    let pair = Pair::load(model.to_str().ok_or("the model's path is no UTF-8")?, &options)?;
    let generator = pair.generator(Direction::AToB).ok_or("no G")?.clone();
    // One thread for each conversion, so that the stages' threads are all that is measured.
    let translator = Arc::new(Translator::new(generator, &info, ViewSettings::default(), 1)?);
    let input = frame(CAPS)?;
    let new_job = || -> Result<Job, BoxError> {
        let output = gst::Buffer::with_size(info.size())?;
        Ok(Job { input: input.clone(), output, slot: None })
    };

    let mut alone = Asleep { translator, inference: Duration::ZERO };
    let (mut prepare_ms, mut composite_ms) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES {
        let mut job = new_job()?;
        prepare_ms.push(timed(|| alone.prepare(&mut job))?);
        composite_ms.push(timed(|| alone.composite(&mut job))?);
    }
    let (prepare, composite) = (median(&prepare_ms), median(&composite_ms));
    println!("Frames in flight, {ROUNDS} rounds of {FRAMES} frames of 1920×1080 I420\n");
    println!(
        "A generator that sleeps: converting takes {prepare:.1} ms, compositing {composite:.1} ms\n"
    );
    println!("| generator ms | all stages | slowest stage | 1 in flight | 2 | 4 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for sleep_ms in [5, 20] {
        alone.inference = Duration::from_millis(sleep_ms);
        let sleep = |_| {
            timed(|| {
                thread::sleep(alone.inference);
                Ok(())
            })
        };
        let asleep = median(&(0..FRAMES).map(sleep).collect::<Result<Vec<_>, _>>()?);
        let mut ms = IN_FLIGHT.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (ms, in_flight) in ms.iter_mut().zip(IN_FLIGHT) {
                let stages =
                    Asleep { translator: alone.translator.clone(), inference: alone.inference };
                ms.push(throughput_asleep(stages, in_flight, &new_job)?);
            }
        }
        let [one, two, four] = ms.map(|ms| median(&ms));
        let (all, slowest) = (prepare + asleep + composite, prepare.max(asleep).max(composite));
        println!("| {sleep_ms} | {all:.1} | {slowest:.1} | {one:.1} | {two:.1} | {four:.1} |");
    }
    println!();
    Ok(())
}

/// Milliseconds a frame.
fn throughput_asleep(
    stages: Asleep,
    in_flight: u32,
    new_job: &dyn Fn() -> Result<Job, BoxError>,
) -> Result<f64, BoxError> {
    let jobs = (0..FRAMES).map(|_| new_job()).collect::<Result<Vec<_>, _>>()?;
    if in_flight == 1 {
        let start = Instant::now();
        for mut job in jobs {
            stages.prepare(&mut job)?;
            stages.infer(&mut job);
            stages.composite(&mut job)?;
        }
        return Ok(ms_a_frame(start));
    }
    let preparing = Asleep { translator: stages.translator.clone(), inference: Duration::ZERO };
    let line = Line::new(stages, in_flight as usize)?;
    let start = Instant::now();
    for mut job in jobs {
        let place = line.reserve(Route::Through, 2 * in_flight as usize)?;
        preparing.prepare(&mut job)?;
        place.enter(job)?;
    }
    line.drain();
    Ok(ms_a_frame(start))
}

/// The element with the real generator: with all cores, and with one core left idle.
fn compare_awake(model: &Path) -> Result<(), BoxError> {
    println!("{} on the processor that converts and composites as well\n", model.display());
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

fn throughput(model: &Path, threads: u32, in_flight: u32) -> Result<f64, BoxError> {
    let element = gst::ElementFactory::make("cycleganfilter")
        .property("model", model.to_str().ok_or("the model's path is no UTF-8")?)
        .property_from_str("execution-provider", "cpu")
        .property("threads", threads)
        .property("smoothing", f64::from(SMOOTHING))
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
    // Comes back when the last frame is out.
    harness.push_event(gst::event::Eos::new());
    let ms = ms_a_frame(start);
    element.set_state(gst::State::Null)?;
    Ok(ms)
}

fn ms_a_frame(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3 / f64::from(FRAMES)
}

fn timed(work: impl FnOnce() -> Result<(), BoxError>) -> Result<f64, BoxError> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
