// SPDX-License-Identifier: MIT OR Apache-2.0

//! Live pipelines: late frames, failures that do not stop the stream, smoothing.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use cyclegan_contract::onnx::ModelProto;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// The inverting generator at the size of the frames, which are not scaled.
fn rig() -> (Models, Rig, VideoInfo) {
    let models = Models::new();
    let model = models.add("G.onnx", &generators::invert());
    let (rig, info) = rig_of(&model);
    (models, rig, info)
}

fn rig_of(model: &Path) -> (Rig, VideoInfo) {
    let filter = rig::new_filter();
    filter.set_property("model", model.to_str().unwrap());
    // Set before playing: a change while playing is prepared in the background and takes over between two
    // frames, which must be consecutive in these tests.
    filter.set_property("inference-size", -1);
    let mut rig = Rig::with_filter(filter);
    let info = video::info(VideoFormat::Rgb, 64, 48);
    rig.set_info(&info);
    (rig, info)
}

/// A frame of one grey level.
fn grey(info: &VideoInfo, level: u8, milliseconds: u64) -> gst::Buffer {
    let mut buffer = video::flat(info, [level; 3]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(milliseconds));
    buffer
}

fn level(buffer: &gst::Buffer, info: &VideoInfo) -> u8 {
    video::to_rgb(buffer, info)[info.width() as usize * 20 + 20][0]
}

/// Sends a QOS event: frames before 700 ms are late.
fn fall_behind(rig: &mut Rig) {
    let qos = gst::event::Qos::builder(gst::QOSType::Underflow, 2.0, 500_000_000)
        .timestamp(gst::ClockTime::from_mseconds(200))
        .build();
    assert!(rig.harness.push_upstream_event(qos));
}

fn counts(rig: &Rig) -> [u64; 4] {
    ["frames-translated", "frames-passed", "frames-held", "frames-dropped"]
        .map(|field| rig.stat(field))
}

#[test]
fn late_frames_pass_is_unchanged() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "pass");
    rig.translate(grey(&info, 100, 0));
    fall_behind(&mut rig);
    let mut late = video::random(&info, 1);
    late.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40));
    let before = late.map_readable().unwrap().to_vec();
    let passed = rig.translate(late);
    assert!(passed.map_readable().unwrap().as_slice() == before, "the frame was changed");
    // The next frame is in time, so it is translated.
    assert_eq!(level(&rig.translate(grey(&info, 100, 1300)), &info), 155);
    assert_eq!(counts(&rig), [2, 1, 0, 0]);
}

#[test]
fn late_frames_hold_adds_the_last_residual() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "hold");
    assert_eq!(level(&rig.translate(grey(&info, 100, 0)), &info), 155);
    fall_behind(&mut rig);
    // Its own 60 plus the 55 that were added to 100.
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 115);
    assert_eq!(counts(&rig), [1, 0, 1, 0]);
}

/// A residual of plain upscaling is the whole output, which must not be added to a frame.
#[test]
fn a_held_residual_keeps_its_upscale_mode() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "hold");
    rig.filter.set_property_from_str("upscale", "plain");
    assert_eq!(level(&rig.translate(grey(&info, 100, 0)), &info), 155);
    fall_behind(&mut rig);
    rig.filter.set_property_from_str("upscale", "residual");
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 155);
    assert_eq!(counts(&rig), [1, 0, 1, 0]);
}

#[test]
fn a_residual_from_before_strength_0_is_not_held() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "hold");
    rig.translate(grey(&info, 100, 0));
    rig.filter.set_property("strength", 0.0);
    rig.translate(grey(&info, 100, 40));
    rig.filter.set_property("strength", 1.0);
    fall_behind(&mut rig);
    assert_eq!(level(&rig.translate(grey(&info, 60, 80)), &info), 60);
}

#[test]
fn one_late_frame_a_second_is_translated() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "pass");
    fall_behind(&mut rig);
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 60);
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(level(&rig.translate(grey(&info, 60, 80)), &info), 195);
    assert_eq!(level(&rig.translate(grey(&info, 60, 120)), &info), 60);
}

/// The same with `late-frames=drop`.
#[test]
fn late_frames_drop_shows_one_frame_a_second() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "drop");
    fall_behind(&mut rig);
    rig.harness.push(grey(&info, 60, 40)).unwrap();
    assert!(rig.harness.try_pull().is_none());
    thread::sleep(Duration::from_millis(1100));
    let shown = rig.translate(grey(&info, 60, 80));
    assert_eq!(level(&shown, &info), 195);
    assert!(shown.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!(counts(&rig), [1, 0, 0, 1]);
}

/// A throttling sink gives the interval that it wants, 40 ms, as the jitter; it must not be doubled.
#[test]
fn a_throttling_sink_gets_its_rate() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "pass");
    rig.translate(grey(&info, 60, 0));
    let throttle = gst::event::Qos::builder(gst::QOSType::Throttle, 2.0, 40_000_000)
        .timestamp(gst::ClockTime::ZERO)
        .build();
    assert!(rig.harness.push_upstream_event(throttle));
    assert_eq!(level(&rig.translate(grey(&info, 60, 20)), &info), 60);
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 195);
}

#[test]
fn without_a_residual_to_hold_the_original_passes() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "hold");
    fall_behind(&mut rig);
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 60);
    assert_eq!(counts(&rig), [0, 1, 0, 0]);
}

/// The frames of a live pipeline that has ended.
struct Feed {
    stats: gst::Structure,
    /// The delay of each frame at the sink.
    delays: Vec<gst::ClockTime>,
    /// The largest latency in the filter's answers to queries.
    latency: gst::ClockTime,
    /// The number of the filter's QOS messages.
    told: u64,
}

const FRAMES: u64 = 150;

/// Plays 100 frames a second through a generator that takes far longer, up to a sink that waits
/// for the time of each.
fn overload(properties: &str) -> Feed {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(1));
    let pipeline = rig::pipeline(
        &format!(
            "videotestsrc is-live=true num-buffers={FRAMES} ! \
             video/x-raw,width=64,height=64,framerate=100/1 ! \
             cycleganfilter name=filter inference-size=192 {properties} {{model}} ! \
             fakesink name=sink sync=true signal-handoffs=true"
        ),
        &model,
    );
    let filter = pipeline.by_name("filter").unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (seen, source) = (shown.clone(), filter.static_pad("src").unwrap().downgrade());
    pipeline.by_name("sink").unwrap().connect("handoff", false, move |values| {
        let sink: gst::Element = values[0].get().unwrap();
        let frame: gst::Buffer = values[1].get().unwrap();
        let delay = sink.current_running_time().unwrap().saturating_sub(frame.pts().unwrap());
        let mut query = gst::query::Latency::new();
        assert!(source.upgrade().unwrap().query(&mut query));
        seen.lock().unwrap().push((delay, query.result().1));
        None
    });
    let messages = rig::run_to_end(&pipeline);
    rig::assert_ended(&messages);
    let is_told = |message: &&gst::Message| {
        message.type_() == gst::MessageType::Qos && message.src() == Some(filter.upcast_ref())
    };
    let told = messages.iter().filter(is_told).count() as u64;
    let (delays, latencies): (Vec<_>, Vec<_>) = shown.lock().unwrap().iter().copied().unzip();
    let latency = latencies.into_iter().max().unwrap();
    Feed { stats: filter.property("stats"), delays, latency, told }
}

impl Feed {
    fn count(&self, field: &str) -> u64 {
        self.stats.get(field).unwrap()
    }

    /// Asserts that all frames came out, none much later than the latency. If the filter waited for the
    /// generator, which takes three frame times, the last frames would be seconds late.
    fn assert_kept_its_rate(&self) {
        assert_eq!(self.count("frames-in"), FRAMES);
        assert_eq!(self.delays.len(), FRAMES as usize, "frames are missing");
        self.assert_in_time();
    }

    fn assert_in_time(&self) {
        let (bound, longest) = (2 * self.latency + 800 * MS, *self.delays.iter().max().unwrap());
        assert!(longest < bound, "{longest} with a latency of {}", self.latency);
    }
}

#[test]
fn late_originals_pass_at_the_full_frame_rate() {
    for in_flight in [2, 4] {
        let feed = overload(&format!("late-frames=pass max-in-flight={in_flight}"));
        feed.assert_kept_its_rate();
        let (translated, passed) = (feed.count("frames-translated"), feed.count("frames-passed"));
        assert!(translated > 0 && passed > 0, "{translated} translated, {passed} passed");
        assert_eq!(translated + passed, FRAMES);
    }
}

#[test]
fn the_last_residual_is_held_at_the_full_frame_rate() {
    let feed = overload("late-frames=hold max-in-flight=2");
    feed.assert_kept_its_rate();
    let (translated, held) = (feed.count("frames-translated"), feed.count("frames-held"));
    assert!(translated > 0 && held > 0, "{translated} translated, {held} held");
    assert_eq!(translated + held + feed.count("frames-passed"), FRAMES);
}

#[test]
fn late_frames_are_dropped_and_the_others_are_in_time() {
    let feed = overload("late-frames=drop max-in-flight=2");
    let (translated, dropped) = (feed.count("frames-translated"), feed.count("frames-dropped"));
    assert!(translated > 0 && dropped > 0, "{translated} translated, {dropped} dropped");
    assert_eq!(translated + dropped, FRAMES);
    assert_eq!(feed.delays.len() as u64, translated);
    assert_eq!(feed.told, dropped);
    feed.assert_in_time();
}

/// With one frame in flight the sink blocks the filter, unless there is a queue between them.
#[test]
fn a_queue_keeps_one_frame_in_flight_in_time() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(1));
    let pipeline = rig::pipeline(
        "videotestsrc is-live=true num-buffers=100 ! video/x-raw,width=64,height=64,framerate=100/1 \
         ! cycleganfilter name=filter inference-size=192 late-frames=pass {model} ! queue \
         ! fakesink sync=true",
        &model,
    );
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let stats = pipeline.by_name("filter").unwrap().property::<gst::Structure>("stats");
    let count = |field| stats.get::<u64>(field).unwrap();
    assert_eq!(count("frames-in"), 100);
    assert_eq!(count("frames-translated") + count("frames-passed"), 100);
    assert!(count("frames-translated") > 0);
}

/// How many frames of a live pipeline to `sink`, `rate` frames a second, were translated, and how many
/// were held or passed because they were late.
fn translated_and_late(model: ModelProto, rate: u32, sink: &str) -> (u64, u64) {
    let models = Models::new();
    let pipeline = rig::pipeline(
        &format!(
            "videotestsrc is-live=true num-buffers=60 \
             ! video/x-raw,width=64,height=64,framerate={rate}/1 ! cycleganfilter name=filter inference-size=192 late-frames=hold max-in-flight=2 {{model}} \
             ! {sink}"
        ),
        &models.add("G.onnx", &model),
    );
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let stats = pipeline.by_name("filter").unwrap().property::<gst::Structure>("stats");
    let count = |field| stats.get::<u64>(field).unwrap();
    let counts = (count("frames-translated"), count("frames-held") + count("frames-passed"));
    assert_eq!(counts.0 + counts.1, 60);
    counts
}

/// Files, muxers and network sinks do not wait for a frame's time, so the pipeline's latency is 0.
#[test]
fn no_frame_is_late_only_because_no_sink_waits() {
    let (translated, late) =
        translated_and_late(generators::slow_invert(1), 10, "fakesink sync=false");
    // One frame a second would be translated in any case.
    assert!(translated > 20, "{translated} translated, {late} late");
}

/// An encoder that looks ahead, for example.
#[test]
fn the_latency_of_later_elements_does_not_make_frames_timely() {
    let sink = "fakesink sync=true processing-deadline=3000000000";
    let (translated, late) = translated_and_late(generators::slow_invert(1), 100, sink);
    assert!(translated > 0 && late > 25, "{translated} translated, {late} late");
}

/// Plays black frames with a generator that returns NaN for them.
fn fail_on_black(source: &str, properties: &str) -> (Vec<gst::Message>, u64) {
    let models = Models::new();
    let pipeline = rig::pipeline(
        &format!(
            "videotestsrc num-buffers=20 pattern=black {source} ! \
             video/x-raw,format=RGB,width=32,height=32,framerate=100/1 ! \
             cycleganfilter name=filter inference-size=32 {properties} {{model}} ! fakesink"
        ),
        &models.add("root.onnx", &generators::root()),
    );
    let messages = rig::run_to_end(&pipeline);
    let stats = pipeline.by_name("filter").unwrap().property::<gst::Structure>("stats");
    (messages, stats.get("frames-passed").unwrap())
}

#[test]
fn a_live_feed_that_passes_late_frames_survives_a_failing_generator() {
    for in_flight in [1, 3] {
        let properties = format!("late-frames=pass max-in-flight={in_flight}");
        let (messages, passed) = fail_on_black("is-live=true", &properties);
        rig::assert_ended(&messages);
        let warnings = rig::warnings_in(&messages);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("not finite") && warnings[0].contains("root.onnx"));
        assert_eq!(passed, 20);
    }
}

#[test]
fn a_failing_generator_is_an_error_unless_live_with_late_frames_pass() {
    for in_flight in [1, 3] {
        for (source, late_frames) in
            [("", "pass"), ("is-live=true", "translate"), ("is-live=true", "hold")]
        {
            let properties = format!("late-frames={late_frames} max-in-flight={in_flight}");
            let (messages, _) = fail_on_black(source, &properties);
            let errors = rig::errors_in(&messages);
            assert_eq!(errors.len(), 1, "{source} {properties}: {errors:?}");
            assert!(errors[0].contains("not finite"), "{}", errors[0]);
        }
    }
}

/// The output level of the second of two frames; `between` is called between them.
fn second_level(
    smoothing: f64,
    levels: [u8; 2],
    between: impl FnOnce(&mut Rig, &mut gst::BufferRef),
) -> u8 {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property("smoothing", smoothing);
    rig.translate(grey(&info, levels[0], 0));
    let mut second = grey(&info, levels[1], 40);
    between(&mut rig, second.get_mut().unwrap());
    level(&rig.translate(second), &info)
}

#[test]
fn smoothing_mixes_in_the_last_residual() {
    assert_eq!(second_level(0.0, [100, 110], |_, _| {}), 145);
    // The residual goes from 55 to 35. The second frame gets 35 + 0.6 · 14/24 · 20 = 42.
    let smoothed = second_level(0.6, [100, 110], |_, _| {});
    assert!((151..=153).contains(&smoothed), "{smoothed}");
}

#[test]
fn smoothing_restarts_after_cuts_gaps_and_seeks() {
    assert_eq!(second_level(1.0, [10, 200], |_, _| {}), 55, "a cut");
    let gap = gst::event::Gap::builder(20 * MS).duration(20 * MS).build();
    assert_eq!(second_level(0.6, [100, 110], |rig, _| assert!(rig.harness.push_event(gap))), 145);
    let sought = |rig: &mut Rig, _: &mut gst::BufferRef| {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [
            gst::event::FlushStart::new(),
            gst::event::FlushStop::new(true),
            gst::event::Segment::new(&segment),
        ] {
            assert!(rig.harness.push_event(event));
        }
    };
    assert_eq!(second_level(0.6, [100, 110], sought), 145);
}

#[test]
fn smoothing_restarts_at_a_discontinuity() {
    let jump = |_: &mut Rig, second: &mut gst::BufferRef| {
        second.set_flags(gst::BufferFlags::DISCONT);
    };
    assert_eq!(second_level(0.6, [100, 110], jump), 145);
}

/// The residual of plain upscaling is the whole output, the other one a difference.
#[test]
fn smoothing_restarts_when_upscale_changes() {
    for (before, after) in [("residual", "plain"), ("plain", "residual")] {
        let (_models, mut rig, info) = rig();
        rig.filter.set_property("smoothing", 0.8);
        rig.filter.set_property_from_str("upscale", before);
        assert_eq!(level(&rig.translate(grey(&info, 100, 0)), &info), 155);
        rig.filter.set_property_from_str("upscale", after);
        let switched = level(&rig.translate(grey(&info, 100, 40)), &info);
        assert_eq!(switched, 155, "from {before} to {after}");
    }
}

/// The residual of a still image is the same at any strength but for its scale.
#[test]
fn smoothing_follows_a_new_strength_at_once() {
    for upscale in ["residual", "plain"] {
        let (_models, mut rig, info) = rig();
        rig.filter.set_property("smoothing", 0.8);
        rig.filter.set_property_from_str("upscale", upscale);
        for (time, strength) in [1.0, 0.2, 0.2, 1.0, 0.6].into_iter().enumerate() {
            rig.filter.set_property("strength", strength);
            let level = level(&rig.translate(grey(&info, 100, 40 * time as u64)), &info);
            let expected = (100.0 + 55.0 * strength) as u8;
            assert!(level.abs_diff(expected) <= 1, "{upscale} at {strength}: {level}");
        }
    }
}

/// After the other generator takes over, its frames have nothing of the previous residual.
#[test]
fn smoothing_restarts_when_the_direction_changes() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    let (mut rig, info) = rig_of(&pair);
    rig.filter.set_property("smoothing", 0.6);
    rig.translate(grey(&info, 100, 0));
    rig.filter.set_property_from_str("direction", "reverse");
    let mut frames = 0;
    rig::wait_until("F takes over", || {
        frames += 1;
        let level = level(&rig.translate(grey(&info, 100, 40 * frames)), &info);
        assert!([100, 155].contains(&level), "{level} is neither generator's");
        level == 100
    });
}
