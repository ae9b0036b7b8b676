// SPDX-License-Identifier: MIT OR Apache-2.0

//! A soak test: seeks and changes of model, caps, direction, size and state, while frames flow as fast as
//! they can. `./dev soak MINUTES` runs it; without `CYCLEGAN_SOAK_MINUTES` it takes a few seconds.
//!
//! It is a separate binary because it measures the memory of the process.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use cyclegan_contract::onnx::{Message, ModelProto};
use cyclegan_test_support::generators;
use gst::prelude::*;

/// The duration without `CYCLEGAN_SOAK_MINUTES`.
const SHORT: Duration = Duration::from_secs(8);
/// The longest wait for a frame; after it the pipeline is considered hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest ratio of memory use in the last third of the run to that in the second third.
const GROWTH: f64 = 1.05;
/// Memory that allocators may keep in addition, in KiB.
const SLACK_KIB: u64 = 8 << 10;

/// A pipeline under test, and the number of times that each action was done.
struct Soak {
    pipeline: gst::Pipeline,
    filter: gst::Element,
    /// Caps for the next frames.
    caps: Arc<Mutex<Option<gst::Caps>>>,
    frames: Arc<AtomicU64>,
    models: Vec<PathBuf>,
    random: fastrand::Rng,
    done: BTreeMap<&'static str, u64>,
    warnings: u64,
}

#[test]
fn frames_flow_and_memory_stays_flat() {
    let minutes = env::var("CYCLEGAN_SOAK_MINUTES").ok().map(|value| value.parse::<f64>().unwrap());
    let time = minutes.map_or(SHORT, |minutes| Duration::from_secs_f64(minutes * 60.0));
    let folder = tempfile::tempdir().unwrap();
    let mut soak = Soak::new(write_models(&folder));
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut memory = Vec::new();
    while start.elapsed() < time {
        let what = soak.churn();
        soak.check(what);
        if told.elapsed() > (time / 60).max(Duration::from_secs(1)) {
            told = Instant::now();
            memory.push(resident_kib());
            soak.tell(start.elapsed(), resident_kib());
        }
    }
    soak.tell(start.elapsed(), resident_kib());
    soak.pipeline.set_state(gst::State::Null).unwrap();
    // In the first third models are loaded for the first time and pools grow.
    if minutes.is_some() && memory.len() >= 9 {
        let third = memory.len() / 3;
        let most = |part: &[u64]| part.iter().copied().max().unwrap();
        let (middle, last) = (most(&memory[third..2 * third]), most(&memory[2 * third..]));
        let bound = (middle as f64 * GROWTH) as u64 + SLACK_KIB;
        assert!(last <= bound, "memory grows: {middle} KiB, then {last} KiB");
    }
}

/// Models of different weight: alone and in pairs.
fn write_models(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let write = |name: &str, model: &ModelProto| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        path
    };
    write("pair/G.onnx", &generators::invert());
    write("pair/F.onnx", &generators::identity());
    write("slow/G.onnx", &generators::slow_invert(2));
    write("slow/F.onnx", &generators::slow_invert(1));
    vec![
        folder.path().join("pair"),
        folder.path().join("slow"),
        write("single.onnx", &generators::swap_channels()),
        write("float16.onnx", &generators::in_float16(generators::invert())),
    ]
}

impl Soak {
    fn new(models: Vec<PathBuf>) -> Self {
        gst::init().unwrap();
        gstcyclegan::plugin_register_static().unwrap();
        let pipeline = gst::parse::launch(
            "videotestsrc name=source pattern=ball ! capsfilter name=caps ! \
             cycleganfilter name=filter inference-size=64 max-in-flight=2 ! fakesink name=sink",
        );
        let pipeline: gst::Pipeline = pipeline.unwrap().downcast().unwrap();
        let [source, filter, capsfilter, sink] =
            ["source", "filter", "caps", "sink"].map(|n| pipeline.by_name(n).unwrap());
        filter.set_property("model", models[0].to_str().unwrap());
        let first = "video/x-raw,width=320,height=240".parse::<gst::Caps>().unwrap();
        capsfilter.set_property("caps", first);
        let caps = Arc::new(Mutex::new(None::<gst::Caps>));
        let next = caps.clone();
        // Caps change in the streaming thread: if a capsfilter gets other caps between the source's choice and
        // its CAPS event, the source stops with not-negotiated.
        source.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(caps) = next.lock().unwrap_or_else(PoisonError::into_inner).take() {
                capsfilter.set_property("caps", caps);
            }
            gst::PadProbeReturn::Ok
        });
        let frames = Arc::new(AtomicU64::new(0));
        let count = frames.clone();
        sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let (random, done) = (fastrand::Rng::with_seed(17), BTreeMap::new());
        Self { pipeline, filter, caps, frames, models, random, done, warnings: 0 }
    }

    /// Does one action at random; returns its name.
    fn churn(&mut self) -> &'static str {
        let what = *self
            .random
            .choice(&[
                "seek",
                "seek",
                "model",
                "model",
                "caps",
                "direction",
                "size",
                "settings",
                "event",
                "pause",
                "restart",
            ])
            .unwrap();
        *self.done.entry(what).or_default() += 1;
        match what {
            "seek" => {
                let position = gst::ClockTime::from_mseconds(self.random.u64(0..60_000));
                let flags = gst::SeekFlags::FLUSH;
                self.pipeline.seek_simple(flags, position).unwrap();
            }
            "model" => {
                let model = self.random.choice(&self.models).unwrap();
                self.filter.set_property("model", model.to_str().unwrap());
            }
            "caps" => {
                let format = *self
                    .random
                    .choice(&["I420", "NV12", "RGB", "RGBA", "YUY2", "I420_10LE", "v210"])
                    .unwrap();
                let (width, height) = (self.random.u32(16..800), self.random.u32(16..600));
                let caps = format!("video/x-raw,format={format},width={width},height={height}");
                let mut next = self.caps.lock().unwrap_or_else(PoisonError::into_inner);
                *next = Some(caps.parse().unwrap());
            }
            "direction" => self.set("direction", &["forward", "reverse"]),
            "size" => self.set("inference-size", &["32", "48", "64"]),
            "settings" => {
                let [name, values] = *self
                    .random
                    .choice(&[
                        ["strength", "0 0.5 1"],
                        ["smoothing", "0 0.5"],
                        ["regions", "frame meta frame"],
                        ["upscale", "residual plain"],
                        ["late-frames", "translate pass hold drop"],
                        ["preload", "true false"],
                    ])
                    .unwrap();
                let values: Vec<_> = values.split(' ').collect();
                self.set(name, &values);
            }
            "event" => {
                let tags = gst::event::Tag::new(gst::TagList::new());
                let capsfilter = self.pipeline.by_name("caps").unwrap();
                capsfilter.static_pad("src").unwrap().push_event(tags);
            }
            "pause" => {
                self.pipeline.set_state(gst::State::Paused).unwrap();
                self.pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
                self.pipeline.set_state(gst::State::Playing).unwrap();
            }
            _ => {
                let down = *self.random.choice(&[gst::State::Ready, gst::State::Null]).unwrap();
                self.pipeline.set_state(down).unwrap();
                self.set("max-in-flight", &["1", "2", "3"]);
                // models[0] is a pair with both directions; a model without the current direction would be an error.
                self.filter.set_property("model", self.models[0].to_str().unwrap());
                self.pipeline.set_state(gst::State::Playing).unwrap();
            }
        }
        thread::sleep(Duration::from_millis(self.random.u64(0..60)));
        what
    }

    fn set(&mut self, name: &str, values: &[&str]) {
        let value = self.random.choice(values).unwrap();
        self.filter.set_property_from_str(name, value);
    }

    /// Checks that nothing has failed, and that a frame comes after `what` was done.
    fn check(&mut self, what: &str) {
        let bus = self.pipeline.bus().unwrap();
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Error(error) => {
                    panic!("{}: {}", error.error(), error.debug().unwrap_or_default());
                }
                // For example, a single file has no second direction.
                gst::MessageView::Warning(_) => self.warnings += 1,
                gst::MessageView::Latency(_) => {
                    let _ = self.pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
        // GstBin loses its target state if another state is set between preroll and PLAYING.
        let patience = gst::ClockTime::try_from(PATIENCE).unwrap();
        let (changed, state, _) = self.pipeline.state(patience);
        assert_eq!((changed, state), (Ok(gst::StateChangeSuccess::Success), gst::State::Playing));
        let (before, start) = (self.frames.load(Relaxed), Instant::now());
        while self.frames.load(Relaxed) == before {
            if start.elapsed() > PATIENCE {
                let stats = self.filter.property::<gst::Structure>("stats");
                panic!("no frame for {PATIENCE:?} after {what} ({:?}): {stats}", self.done);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn tell(&self, time: Duration, kib: u64) {
        let (seconds, frames) = (time.as_secs(), self.frames.load(Relaxed));
        let done: Vec<_> =
            self.done.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let (done, warnings) = (done.join(", "), self.warnings);
        println!("{seconds} s: {frames} frames, {} MiB, {warnings} warnings, {done}", kib / 1024);
    }
}

/// Memory that the process holds.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
