// SPDX-License-Identifier: MIT OR Apache-2.0

//! Statistics, latency and QoS.

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

fn rig() -> (Models, Rig, VideoInfo) {
    let models = Models::new();
    let mut rig = Rig::new(&models.add("G.onnx", &generators::invert()));
    let info = video::info(VideoFormat::I420, 64, 32);
    rig.set_info(&info);
    (models, rig, info)
}

fn frame(info: &VideoInfo, milliseconds: u64) -> gst::Buffer {
    let mut buffer = video::random(info, milliseconds);
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(gst::ClockTime::from_mseconds(milliseconds));
    inner.set_duration(gst::ClockTime::from_mseconds(40));
    buffer
}

#[test]
fn stats_has_its_documented_fields() {
    let (models, mut rig, info) = rig();
    for time in 0..5 {
        rig.translate(frame(&info, time * 40));
    }
    rig.filter.set_property("strength", 0.0);
    for time in 5..8 {
        rig.translate(frame(&info, time * 40));
    }
    let stats = rig.filter.property::<gst::Structure>("stats");
    assert_eq!(stats.name(), "cyclegan-stats");
    for (field, expected) in [
        ("frames-in", 8),
        ("frames-translated", 5),
        ("frames-passed", 3),
        ("frames-held", 0),
        ("frames-skipped", 0),
        ("frames-dropped", 0),
        ("gl-bytes-down", 0),
        ("gl-bytes-up", 0),
    ] {
        assert_eq!(stats.get::<u64>(field), Ok(expected), "{field}");
    }
    let time = |field: &str| stats.get::<u64>(field).unwrap();
    assert!(time("inference-p50-us") > 0);
    assert!(time("inference-p50-us") <= time("inference-p95-us"));
    assert!(time("total-p50-us") <= time("total-p95-us"));
    assert!(time("inference-p50-us") <= time("total-p50-us"), "the whole takes less than a part");
    assert!(stats.get::<f64>("fps").unwrap() > 0.0);
    assert_eq!(stats.get::<&str>("provider"), Ok("cpu"));
    assert_eq!(
        stats.get::<&str>("model").unwrap(),
        models.folder().join("G.onnx").to_str().unwrap()
    );
    assert_eq!(stats.get::<&str>("direction"), Ok("forward"));
    assert_eq!((stats.get::<u32>("width"), stats.get::<u32>("height")), (Ok(512), Ok(256)));
    assert_eq!(stats.n_fields(), 18);
}

#[test]
fn stats_restart_on_each_start() {
    let (_models, mut rig, info) = rig();
    rig.translate(frame(&info, 0));
    assert_eq!(rig.stat::<u64>("frames-in"), 1);
    rig.filter.set_state(gst::State::Null).unwrap();
    rig.filter.set_state(gst::State::Playing).unwrap();
    assert_eq!(rig.stat::<u64>("frames-in"), 0);
    assert_eq!(rig.stat::<u64>("inference-p95-us"), 0);
}

#[test]
fn stats_interval_posts_statistics() {
    let (_models, mut rig, info) = rig();
    rig.translate(frame(&info, 0));
    let posted = |rig: &Rig| {
        let said = rig.said();
        let structures = said.iter().filter_map(|message| message.structure());
        structures.filter(|structure| structure.name() == "cyclegan-stats").count()
    };
    assert_eq!(posted(&rig), 0, "posted without being asked for");
    rig.filter.set_property("stats-interval", 1u32);
    for time in 1..4 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        rig.translate(frame(&info, time * 40));
    }
    assert_eq!(posted(&rig), 3);
    rig.filter.set_property("stats-interval", 3_600_000u32);
    rig.translate(frame(&info, 160));
    assert_eq!(posted(&rig), 0, "posted an hour early");
}

#[test]
fn the_latency_is_upstreams_plus_our_own() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(1));
    let mut rig = Rig::new(&model);
    rig.filter.set_property("inference-size", 64);
    let info = video::info(VideoFormat::I420, 64, 64);
    rig.harness.set_live(true);
    rig.set_info(&info);
    let is_latency = |message: &gst::Message| message.type_() == gst::MessageType::Latency;
    assert!(rig.said().iter().any(is_latency), "nobody was told of the latency");
    let own = rig.harness.query_latency().unwrap();
    assert!(own > gst::ClockTime::ZERO);

    rig.harness.set_upstream_latency(gst::ClockTime::SECOND);
    let with_upstream = rig.harness.query_latency().unwrap();
    assert_eq!(with_upstream, own + gst::ClockTime::SECOND);

    // The latency is measured, so it is near the time of a frame.
    for time in 0..32 {
        rig.translate(frame(&info, time * 40));
    }
    let own = rig.harness.query_latency().unwrap() - gst::ClockTime::SECOND;
    let frame_time = gst::ClockTime::from_useconds(rig.stat("total-p50-us"));
    assert!(own >= frame_time / 2, "{own} for frames of {frame_time}");
}

/// The maximum latency is how long a pipeline may delay frames before the source is blocked.
#[test]
fn the_maximum_latency_includes_the_queue_of_finished_frames() {
    const MS: gst::ClockTime = gst::ClockTime::MSECOND;
    // 240 frames of 25 a second, and 7.
    for (in_flight, (width, height), room) in
        [(1u32, (64, 64), 0), (2, (64, 64), 9600), (2, (4096, 2160), 280)]
    {
        let models = Models::new();
        let filter = rig::new_filter();
        let model = models.add("G.onnx", &generators::invert());
        filter.set_property("model", model.to_str().unwrap());
        filter.set_property("inference-size", 64);
        filter.set_property("max-in-flight", in_flight);
        filter.static_pad("sink").unwrap().add_probe(
            gst::PadProbeType::QUERY_UPSTREAM,
            |_, probe| match probe.query_mut().map(|query| query.view_mut()) {
                Some(gst::QueryViewMut::Latency(query)) => {
                    query.set(true, 20 * MS, 40 * MS);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            },
        );
        let mut rig = Rig::with_filter(filter);
        rig.set_info(&video::info(VideoFormat::Rgba, width, height));
        let mut query = gst::query::Latency::new();
        assert!(rig.filter.static_pad("src").unwrap().query(&mut query));
        let (is_live, min, max) = query.result();
        assert!(is_live);
        assert_eq!(max.unwrap() - min, (20 + room) * MS, "{in_flight} in flight");
    }
}

/// At 4K, scaling and compositing take longer than a small generator.
#[test]
fn the_first_latency_includes_scaling_and_compositing() {
    let models = Models::new();
    let filter = rig::new_filter();
    filter.set_property("model", models.add("G.onnx", &generators::invert()).to_str().unwrap());
    filter.set_property("inference-size", 64);
    let mut rig = Rig::with_filter(filter);
    rig.harness.set_live(true);
    let info = video::info(VideoFormat::I420, 3840, 2160);
    rig.set_info(&info);
    let first = rig.harness.query_latency().unwrap();
    for time in 0..20 {
        rig.translate(frame(&info, time * 40));
    }
    let measured = gst::ClockTime::from_useconds(rig.stat("total-p50-us"));
    assert!(first >= measured / 2, "{first} at first, then frames take {measured}");
}

/// With one frame in flight nothing waits, so the total time is nearly that of the call. Most of it is
/// the conversion.
#[test]
fn the_total_time_includes_the_conversion_to_alpha() {
    let models = Models::new();
    let filter = rig::new_filter();
    let model = models.add("G.onnx", &generators::with_mask(generators::invert()));
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("inference-size", 64);
    filter.set_property_from_str("output", "alpha");
    filter.set_property_from_str("regions", "meta");
    let mut rig = Rig::with_filter(filter);
    let info = video::info(VideoFormat::V210, 1920, 1080);
    rig.set_info(&info);
    let mut frame = frame(&info, 0);
    VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", (0, 0, 64, 64));
    let mut times: Vec<_> = (0..15)
        .map(|_| {
            let start = std::time::Instant::now();
            rig.translate(frame.clone());
            start.elapsed().as_micros() as u64
        })
        .collect();
    times.sort_unstable();
    let total: u64 = rig.stat("total-p50-us");
    assert!(total * 100 >= times[7] * 80, "{total} of {} µs", times[7]);
}

/// Sends a QOS event: the frame at 200 ms was half a second late.
fn fall_behind(rig: &mut Rig) {
    let qos = gst::event::Qos::builder(gst::QOSType::Underflow, 2.0, 500_000_000)
        .timestamp(gst::ClockTime::from_mseconds(200))
        .build();
    assert!(rig.harness.push_upstream_event(qos));
}

#[test]
fn late_frames_drop_drops_late_frames() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "drop");
    rig.translate(frame(&info, 0));
    fall_behind(&mut rig);
    assert_eq!(rig.harness.push(frame(&info, 240)), Ok(gst::FlowSuccess::Ok));
    assert!(rig.harness.try_pull().is_none(), "a late frame came out");
    // This frame is far enough ahead to be in time.
    rig.translate(frame(&info, 5000));
    let counts =
        ["frames-in", "frames-translated", "frames-dropped"].map(|field| rig.stat::<u64>(field));
    assert_eq!(counts, [3, 2, 1]);
}

#[test]
fn late_frames_are_translated_by_default() {
    let (_models, mut rig, info) = rig();
    rig.translate(frame(&info, 0));
    fall_behind(&mut rig);
    rig.translate(frame(&info, 240));
    assert_eq!(rig.stat::<u64>("frames-translated"), 2);
    assert_eq!(rig.stat::<u64>("frames-dropped"), 0);
}

#[test]
fn late_frames_can_change_while_playing() {
    let (_models, mut rig, info) = rig();
    // Otherwise the late frame would be translated, as one per second is.
    rig.translate(frame(&info, 0));
    fall_behind(&mut rig);
    rig.filter.set_property_from_str("late-frames", "drop");
    fall_behind(&mut rig);
    assert!(rig.harness.push(frame(&info, 240)).is_ok());
    assert!(rig.harness.try_pull().is_none());
    rig.filter.set_property_from_str("late-frames", "translate");
    rig.translate(frame(&info, 280));
}

#[test]
fn every_property_reads_back_what_was_set() {
    let filter = rig::new_filter();
    let defaults = [
        ("model", "horse2zebra"),
        ("direction", "forward"),
        ("preload", "false"),
        ("execution-provider", "auto"),
        ("allow-fallback", "false"),
        ("device-id", "0"),
        ("threads", "0"),
        ("precision", "auto"),
        ("inference-size", "0"),
        ("upscale", "residual"),
        ("strength", "1"),
        ("smoothing", "0"),
        ("output", "video"),
        ("late-frames", "translate"),
        ("max-in-flight", "1"),
        ("stats-interval", "0"),
    ];
    let read = |name: &str| {
        let value = filter.property_value(name).serialize().unwrap();
        value.trim_matches('"').to_owned()
    };
    for (name, default) in defaults {
        assert_eq!(read(name), default, "{name}");
    }
    for (name, value) in [
        ("model", "elsewhere"),
        ("direction", "reverse"),
        ("preload", "true"),
        ("execution-provider", "tensorrt"),
        ("allow-fallback", "true"),
        ("device-id", "1"),
        ("threads", "3"),
        ("precision", "fp16"),
        ("cache-dir", "/cache"),
        ("inference-size", "-1"),
        ("upscale", "plain"),
        ("strength", "0.25"),
        ("smoothing", "0.5"),
        ("output", "mask"),
        ("late-frames", "hold"),
        ("max-in-flight", "4"),
        ("stats-interval", "500"),
    ] {
        filter.set_property_from_str(name, value);
        assert_eq!(read(name), value, "{name}");
    }
}

/// As x265enc and others do. Otherwise the property would read back what is not in effect, and a caps change in
/// the middle of the stream would bring parts of it into effect.
#[test]
fn properties_that_need_ready_keep_their_values_while_playing() {
    let models = Models::new();
    let filter = rig::new_filter();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    filter.set_property("model", model.to_str().unwrap());
    let read = |name: &str| filter.property_value(name).serialize().unwrap();
    let values = [
        ("execution-provider", "tensorrt"),
        ("allow-fallback", "true"),
        ("device-id", "1"),
        ("threads", "3"),
        ("precision", "fp16"),
        ("cache-dir", "/cache"),
        ("output", "mask"),
        ("max-in-flight", "4"),
    ];
    let before = values.map(|(name, _)| read(name));
    let warnings = warnings_logged_by(&filter);
    let mut rig = Rig::with_filter(filter.clone());
    let info = video::info(VideoFormat::Rgb, 32, 32);
    rig.set_info(&info);
    for (name, value) in values {
        filter.set_property_from_str(name, value);
    }
    assert_eq!(values.map(|(name, _)| read(name)), before);
    for ((name, _), warning) in values.iter().zip(warnings.lock().unwrap().iter()) {
        assert!(warning.starts_with(name) && warning.contains("NULL and READY"), "{warning}");
    }
    assert_eq!(warnings.lock().unwrap().len(), values.len());
    // A caps change reads the properties again.
    let info = video::info(VideoFormat::I420, 32, 32);
    rig.set_info(&info);
    assert_eq!(rig.translate(frame(&info, 0)).size(), info.size());
    filter.set_state(gst::State::Ready).unwrap();
    filter.set_property_from_str("max-in-flight", "4");
    assert_eq!(filter.property::<u32>("max-in-flight"), 4);
}

/// The warnings that `filter` logs from now on.
fn warnings_logged_by(filter: &gst::Element) -> Arc<Mutex<Vec<String>>> {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let (log, name) = (warnings.clone(), filter.name());
    gst::log::set_threshold_for_name("cycleganfilter", gst::DebugLevel::Warning);
    gst::log::add_log_function(move |_, level, _, _, _, object, message| {
        let is_its = object.is_some_and(|object| object.to_string().contains(name.as_str()));
        if level == gst::DebugLevel::Warning && is_its {
            log.lock().unwrap().push(message.get().unwrap_or_default().to_string());
        }
    });
    warnings
}
