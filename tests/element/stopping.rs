// SPDX-License-Identifier: MIT OR Apache-2.0

//! A change of state, a flush and a new model end an inference instead of waiting for it.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use cyclegan_contract::Metadata;

use crate::{
    generators::{self, Models},
    rig::{self, PATIENCE},
};

/// Number of convolutions: an inference takes a second on one or two cores.
const LAYERS: usize = 24;

/// A generator that takes long at 256×256 and is checked at 32×32 when it is loaded.
fn slow(models: &Models) -> PathBuf {
    let small = Metadata { size: Some(32), ..Default::default() };
    models.add("slow.onnx", &generators::with_metadata(generators::slow_invert(LAYERS), &small))
}

/// A pipeline whose inference takes long.
struct Slow {
    pipeline: gst::Pipeline,
    filter: gst::Element,
}

impl Slow {
    fn new(models: &Models, size: u32, properties: &str) -> Self {
        Self::with_model(&slow(models), size, properties)
    }

    fn with_model(model: &Path, size: u32, properties: &str) -> Self {
        rig::init();
        let line = format!(
            "videotestsrc ! video/x-raw,width=256,height=256 ! cycleganfilter name=filter model={} \
             inference-size={size} {properties} ! fakesink sync=false",
            model.display()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let filter = pipeline.by_name("filter").unwrap();
        Self { pipeline, filter }
    }

    fn stat<T: for<'a> gst::glib::value::FromValue<'a>>(&self, name: &str) -> T {
        self.filter.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// Plays until a frame is translated, then for a tenth of its inference time; returns that
    /// time.
    fn play_into_an_inference(&self) -> Duration {
        self.pipeline.set_state(gst::State::Playing).unwrap();
        let start = Instant::now();
        while self.stat::<u64>("frames-translated") == 0 {
            assert!(start.elapsed() < PATIENCE, "no frame was translated");
            thread::sleep(Duration::from_millis(5));
        }
        let inference = Duration::from_micros(self.stat("inference-p50-us"));
        thread::sleep(inference / 10);
        inference
    }

    /// Waits for the start of `task` in a PROGRESS message, then for `more`.
    fn wait_into(&self, task: &str, more: Duration) {
        let bus = self.pipeline.bus().unwrap();
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "{task} did not start");
            let progress =
                bus.timed_pop_filtered(gst::ClockTime::SECOND, &[gst::MessageType::Progress]);
            if let Some(gst::MessageView::Progress(progress)) = progress.as_ref().map(|m| m.view())
                && let (gst::ProgressType::Start, code, _) = progress.get()
                && code == task
            {
                break;
            }
        }
        thread::sleep(more);
    }

    /// Stops it in READY, as NULL removes the messages of the bus.
    fn stop(&self) {
        self.pipeline.set_state(gst::State::Ready).unwrap();
    }

    /// Takes all messages from the bus; returns the errors and warnings.
    fn complaints(&self) -> Vec<gst::Message> {
        let bus = self.pipeline.bus().unwrap();
        let is_complaint = |message: &gst::Message| {
            matches!(message.type_(), gst::MessageType::Error | gst::MessageType::Warning)
        };
        std::iter::from_fn(|| bus.pop()).filter(is_complaint).collect()
    }
}

/// Runs `stop` and asserts that it takes less than half an `inference`.
fn assert_is_quick(inference: Duration, stop: impl FnOnce()) {
    let start = Instant::now();
    stop();
    let took = start.elapsed();
    eprintln!("took {took:?} where an inference takes {inference:?}");
    assert!(took < inference / 2, "took {took:?} where an inference takes {inference:?}");
}

#[test]
fn stopping_ends_an_inference() {
    let models = Models::new();
    for properties in ["", "max-in-flight=3"] {
        let slow = Slow::new(&models, 256, properties);
        let inference = slow.play_into_an_inference();
        assert_is_quick(inference, || slow.stop());
        let complaints = slow.complaints();
        assert!(complaints.is_empty(), "{properties}: {complaints:?}");

        // It plays again.
        slow.play_into_an_inference();
        slow.pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn stopping_ends_a_warm_up() {
    let models = Models::new();
    let slow = Slow::new(&models, 256, "");
    let inference = slow.play_into_an_inference();
    slow.pipeline.set_state(gst::State::Null).unwrap();
    slow.pipeline.set_state(gst::State::Playing).unwrap();
    slow.wait_into("warm-up", inference / 10);
    assert_is_quick(inference, || slow.stop());
    let complaints = slow.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");

    slow.play_into_an_inference();
    slow.pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flushing_seek_ends_an_inference() {
    let models = Models::new();
    for properties in ["", "max-in-flight=3"] {
        let slow = Slow::new(&models, 256, properties);
        let inference = slow.play_into_an_inference();
        let translated: u64 = slow.stat("frames-translated");
        assert_is_quick(inference, || {
            slow.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).unwrap();
        });
        rig::wait_until("a frame after the seek is translated", || {
            slow.stat::<u64>("frames-translated") > translated
        });
        slow.pipeline.set_state(gst::State::Null).unwrap();
        let complaints = slow.complaints();
        assert!(complaints.is_empty(), "{properties}: {complaints:?}");
    }
}

/// Filters with one model share a session, which runs for one of them at a time.
#[test]
fn stopping_and_seeking_do_not_wait_for_a_filter_that_shares_the_session() {
    let models = Models::new();
    let model = slow(&models);
    let [other, slow] = [(); 2].map(|()| Slow::with_model(&model, 256, ""));
    // Alone, as the two would take turns.
    let inference = slow.play_into_an_inference();
    slow.stop();
    other.play_into_an_inference();
    slow.play_into_an_inference();
    assert_is_quick(inference, || {
        slow.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).unwrap();
    });
    thread::sleep(inference / 10);
    assert_is_quick(inference, || slow.stop());
    for slow in [other, slow] {
        slow.pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_new_size_ends_the_preparation_of_the_size_before() {
    let models = Models::new();
    let slow = Slow::new(&models, 256, "");
    let inference = slow.play_into_an_inference();
    slow.pipeline.set_state(gst::State::Null).unwrap();

    let slow = Slow::new(&models, 32, "");
    slow.play_into_an_inference();
    // Not the progress of the first load.
    assert!(slow.complaints().is_empty());
    slow.filter.set_property("inference-size", 512);
    slow.wait_into("load", inference / 10);
    let start = Instant::now();
    slow.filter.set_property("inference-size", 64);
    rig::wait_until("the size is taken", || slow.stat::<u32>("height") == 64);
    // At 512×512 an inference takes four times as long, and a warm-up runs two.
    let took = start.elapsed();
    eprintln!("took {took:?} where an inference takes {inference:?}");
    assert!(
        took < 2 * inference,
        "took {took:?} where an inference takes {inference:?} at 256×256"
    );
    let complaints = slow.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    slow.pipeline.set_state(gst::State::Null).unwrap();
}
