// SPDX-License-Identifier: MIT OR Apache-2.0

//! With several frames in flight, the output has the same frames in the same order.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// Number of convolutions, so that the generator is by far the slowest stage.
const SLOW: usize = 1;

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 32, 32)
}

/// The element with `max-in-flight` and `model`, for small frames.
fn rig(model: &Path, max_in_flight: u32) -> Rig {
    rig_with(model, max_in_flight, |_| {})
}

/// The same, with `set_up` applied to the element first.
fn rig_with(model: &Path, max_in_flight: u32, set_up: impl FnOnce(&gst::Element)) -> Rig {
    let filter = rig::new_filter();
    set_up(&filter);
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("inference-size", 32);
    filter.set_property("max-in-flight", max_in_flight);
    let mut rig = Rig::with_filter(filter);
    rig.set_info(&info());
    rig
}

/// A frame of one grey level, with its number in the timestamp.
fn frame(number: u64, level: u8) -> gst::Buffer {
    let mut buffer = video::flat(&info(), [level; 3]);
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(number * gst::ClockTime::MSECOND);
    inner.set_duration(gst::ClockTime::MSECOND);
    buffer
}

fn number(buffer: &gst::Buffer) -> u64 {
    buffer.pts().unwrap().mseconds()
}

fn level(buffer: &gst::Buffer) -> u8 {
    buffer.map_readable().unwrap()[0]
}

/// Numbers of the frames, and types of the events between them, as they leave `element`.
fn watch(element: &gst::Element) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    let pad = element.static_pad("src").unwrap();
    pad.add_probe(mask, move |_, probe| {
        let entry = match &probe.data {
            Some(gst::PadProbeData::Buffer(buffer)) => number(buffer).to_string(),
            Some(gst::PadProbeData::Event(event)) => event.type_().name().to_string(),
            _ => return gst::PadProbeReturn::Ok,
        };
        log.lock().unwrap().push(entry);
        gst::PadProbeReturn::Ok
    });
    seen
}

/// Time and bytes of each frame that leaves the filter of a pipeline.
fn run(max_in_flight: u32, properties: &str, model: &Path) -> Vec<(gst::ClockTime, Vec<u8>)> {
    let pipeline = rig::pipeline(
        &format!(
            "videotestsrc num-buffers=40 pattern=ball ! \
             video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
             cycleganfilter name=filter inference-size=48 {properties} \
             max-in-flight={max_in_flight} {{model}} ! fakesink"
        ),
        model,
    );
    let frames = Arc::new(Mutex::new(Vec::new()));
    let seen = frames.clone();
    let pad = pipeline.by_name("filter").unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let buffer = probe.buffer().unwrap();
        let bytes = buffer.map_readable().unwrap().to_vec();
        seen.lock().unwrap().push((buffer.pts().unwrap(), bytes));
        gst::PadProbeReturn::Ok
    });
    rig::assert_ended(&rig::run_to_end(&pipeline));
    std::mem::take(&mut frames.lock().unwrap())
}

#[test]
fn frames_in_flight_give_the_same_output_as_one_at_a_time() {
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    for properties in ["", "smoothing=0.6 strength=0.7", "strength=0", "upscale=plain"] {
        let expected = run(1, properties, &model);
        assert_eq!(expected.len(), 40);
        for max_in_flight in [2, 5] {
            assert!(run(max_in_flight, properties, &model) == expected, "{properties}");
        }
    }
}

#[test]
fn serialized_events_keep_their_place_among_the_frames() {
    let models = Models::new();
    let mut rig = rig(&models.add("slow.onnx", &generators::slow_invert(SLOW)), 3);
    let seen = watch(&rig.filter);
    for number in 0..3 {
        rig.harness.push(frame(number, 0)).unwrap();
    }
    let gap = gst::event::Gap::builder(3 * gst::ClockTime::MSECOND).build();
    assert!(rig.harness.push_event(gap));
    rig.harness.push(frame(4, 0)).unwrap();
    assert!(rig.harness.push_event(gst::event::Tag::new(gst::TagList::new())));
    rig.harness.push(frame(5, 0)).unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.harness.push(frame(6, 0)).unwrap();
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let seen = seen.lock().unwrap().join(" ");
    assert!(seen.ends_with("0 1 2 gap 4 tag 5 segment 6 eos"), "{seen}");
}

/// Events are queued with the frames, so pushing one does not wait.
#[test]
fn pushing_an_event_does_not_wait_for_earlier_frames() {
    let models = Models::new();
    let filter = rig::new_filter();
    let model = models.add("slow.onnx", &generators::slow_invert(20));
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("max-in-flight", 3u32);
    let mut rig = Rig::with_filter(filter);
    rig.set_info(&info());
    rig.translate(frame(0, 0));
    let inference = Duration::from_micros(rig.stat("inference-p50-us"));
    let seen = watch(&rig.filter);
    for number in 1..3 {
        rig.harness.push(frame(number, 0)).unwrap();
    }
    let start = Instant::now();
    assert!(rig.harness.push_event(gst::event::Tag::new(gst::TagList::new())));
    let force = gst_video::DownstreamForceKeyUnitEvent::builder().build();
    assert!(rig.harness.push_event(force));
    let gap = gst::event::Gap::builder(3 * gst::ClockTime::MSECOND).build();
    assert!(rig.harness.push_event(gap));
    let took = start.elapsed();
    assert!(took < inference / 2, "three events took {took:?}, one frame takes {inference:?}");
    rig.harness.push(frame(4, 0)).unwrap();
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let seen = seen.lock().unwrap().join(" ");
    assert!(seen.ends_with("1 2 tag custom-downstream gap 4 eos"), "{seen}");
}

/// An application may seek in a pad probe, which runs on the thread that pushes frames.
#[test]
fn a_seek_from_a_downstream_pad_probe_does_not_deadlock() {
    for max_in_flight in [1, 3] {
        let models = Models::new();
        let pipeline = rig::pipeline(
            &format!(
                "videotestsrc num-buffers=1000 ! video/x-raw,width=16,height=16,framerate=25/1 ! \
                 cycleganfilter {{model}} inference-size=32 max-in-flight={max_in_flight} ! \
                 fakesink name=sink"
            ),
            &models.add("invert.onnx", &generators::invert()),
        );
        let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
        let (weak, seeks) = (pipeline.downgrade(), Arc::new(Mutex::new(0)));
        let done = seeks.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
            let mut seeks = done.lock().unwrap();
            if *seeks < 5 && probe.buffer().unwrap().pts() > Some(200 * gst::ClockTime::MSECOND) {
                *seeks += 1;
                drop(seeks);
                let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
                weak.upgrade().unwrap().seek_simple(flags, gst::ClockTime::ZERO).unwrap();
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
        rig::assert_ended(&rig::run_to_end(&pipeline));
        assert_eq!(*seeks.lock().unwrap(), 5);
    }
}

#[test]
fn caps_can_change_between_two_frames_in_flight() {
    let models = Models::new();
    let mut rig = rig(&models.add("slow.onnx", &generators::slow_invert(SLOW)), 3);
    let seen = watch(&rig.filter);
    rig.harness.push(frame(0, 0)).unwrap();
    rig.harness.push(frame(1, 0)).unwrap();
    let wide = video::info(VideoFormat::I420, 48, 32);
    rig.set_info(&wide);
    let mut other = video::flat(&wide, [0; 3]);
    other.get_mut().unwrap().set_pts(2 * gst::ClockTime::MSECOND);
    rig.harness.push(other).unwrap();
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let sizes: Vec<_> =
        (0..3).map(|_| rig.harness.pull().unwrap().map_readable().unwrap().len()).collect();
    assert_eq!(sizes, [info().size(), info().size(), wide.size()]);
    let seen = seen.lock().unwrap().join(" ");
    assert!(seen.contains("0 1 caps") && seen.ends_with("2 eos"), "{seen}");
}

#[test]
fn a_flush_drops_what_is_in_flight() {
    let models = Models::new();
    let mut rig = rig(&models.add("slow.onnx", &generators::slow_invert(SLOW)), 4);
    for round in 1..20u64 {
        for number in 0..round % 5 {
            rig.harness.push(frame(number, 0)).unwrap();
        }
        assert!(rig.harness.push_event(gst::event::FlushStart::new()));
        assert_eq!(rig.harness.push(frame(0, 0)), Err(gst::FlowError::Flushing));
        assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
        // Frames may have been pushed before the flush, but none from before it may follow.
        while rig.harness.try_pull().is_some() {}
        let output = rig.translate(frame(1000 * round, 0));
        assert_eq!(number(&output), 1000 * round, "a frame from before the flush");
    }
    assert!(rig::errors_in(&rig.said()).is_empty());
}

/// Upstream sends a sticky event once, so a flush must not lose one that is queued behind a frame.
#[test]
fn a_flush_keeps_sticky_events() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(6));
    for max_in_flight in [1, 3] {
        let mut rig = rig(&model, max_in_flight);
        rig.harness.push(frame(0, 0)).unwrap();
        let seen = watch(&rig.filter);
        let mut tags = gst::TagList::new();
        tags.make_mut().add::<gst::tags::Title>(&"late", gst::TagMergeMode::Replace);
        assert!(rig.harness.push_event(gst::event::Tag::new(tags)));
        assert!(rig.harness.push_event(gst::event::FlushStart::new()));
        assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
        rig.translate(frame(1, 0));
        let pad = rig.filter.static_pad("src").unwrap();
        let tag = pad.sticky_event::<gst::event::Tag>(0);
        let seen = seen.lock().unwrap().join(" ");
        assert!(tag.is_some(), "max-in-flight={max_in_flight}: lost after {seen}");
        assert!(seen.contains("tag"), "max-in-flight={max_in_flight}: not sent in {seen}");
    }
}

#[test]
fn seeks_while_frames_are_in_flight() {
    let models = Models::new();
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=100000 ! video/x-raw,width=16,height=16,framerate=25/1 ! \
         cycleganfilter {model} inference-size=32 max-in-flight=4 ! fakesink name=sink sync=true",
        &models.add("invert.onnx", &generators::invert()),
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
    for round in 0..30 {
        let position = gst::ClockTime::from_mseconds(40 * (round * 37 % 100));
        pipeline.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, position).unwrap();
        pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
        let sample = pipeline.by_name("sink").unwrap().property::<gst::Sample>("last-sample");
        assert!(sample.buffer().unwrap().pts() >= Some(position), "a frame from before the seek");
    }
    assert!(rig::errors_in(&rig::said(&pipeline.bus().unwrap())).is_empty());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_direction_takes_effect_on_the_next_frame_pushed() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    let mut rig = rig_with(&pair, 4, |filter| filter.set_property("preload", true));
    for number in 0..20 {
        let direction = if number % 3 == 0 { "reverse" } else { "forward" };
        rig.filter.set_property_from_str("direction", direction);
        rig.harness.push(frame(number, 10)).unwrap();
    }
    for number in 0..20 {
        let expected = if number % 3 == 0 { 10 } else { 245 };
        let found = level(&rig.harness.pull().unwrap());
        assert!(found.abs_diff(expected) <= 1, "frame {number}: {found}");
    }
}

#[test]
fn strength_takes_effect_on_the_next_frame_pushed() {
    let models = Models::new();
    let mut rig = rig(&models.add("slow.onnx", &generators::slow_invert(SLOW)), 3);
    let strengths = [1.0, 0.0, 0.5, 0.0, 0.0, 1.0];
    for (number, strength) in (0..).zip(strengths) {
        rig.filter.set_property("strength", strength);
        rig.harness.push(frame(number, 0)).unwrap();
    }
    for (number, strength) in (0..).zip(strengths) {
        let output = rig.harness.pull().unwrap();
        assert_eq!(self::number(&output), number);
        let expected = (255.0 * strength) as u8;
        assert!(level(&output).abs_diff(expected) <= 2, "frame {number}: {}", level(&output));
    }
}

/// Frames keep flowing while a model loads, and after it takes over the old one does not return.
#[test]
fn a_model_takes_over_between_two_frames() {
    let models = Models::new();
    let mut rig = rig(&models.add("identity.onnx", &generators::identity()), 4);
    let invert = models.add("invert.onnx", &generators::invert());
    rig.filter.set_property("model", invert.to_str().unwrap());
    let mut levels = Vec::new();
    rig::wait_until("the new model takes over", || {
        let next = levels.len() as u64;
        rig.harness.push(frame(next, 10)).unwrap();
        levels.extend(std::iter::from_fn(|| rig.harness.try_pull()).map(|frame| level(&frame)));
        levels.last().is_some_and(|level| *level > 200)
    });
    assert!(levels.is_sorted(), "{levels:?}");
}

/// The frames before a failing one are pushed, and none after it.
#[test]
fn frames_before_a_failure_are_pushed_and_none_after_it() {
    let models = Models::new();
    let mut rig = rig(&models.add("root.onnx", &generators::root()), 3);
    let seen = watch(&rig.filter);
    let mut pushed = Vec::new();
    for number in 0..8 {
        // The generator returns NaN for pixels darker than the middle grey.
        let level = if number < 3 { 200 } else { 10 };
        pushed.push(rig.harness.push(frame(number, level)));
    }
    // Push of the next frame returns the error once.
    let is_told = pushed.iter().any(Result::is_err);
    rig::wait_until("the failure is told", || is_told || rig.harness.push(frame(8, 200)).is_err());
    let errors = rig::errors_in(&rig.said());
    assert!(!errors.is_empty() && errors[0].contains("not finite"), "{errors:?}");
    let frames = || -> Vec<_> {
        let seen = seen.lock().unwrap();
        seen.iter().filter_map(|entry| entry.parse::<u64>().ok()).collect()
    };
    rig::wait_until("what was before it is delivered", || frames().len() >= 3);
    let frames = frames();
    assert_eq!(frames[..3], [0, 1, 2]);
    assert!(frames.iter().all(|number| ![3, 4, 5].contains(number)), "{frames:?}");
}

#[test]
fn stopping_while_a_frame_is_in_the_generator() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(SLOW));
    for state in [gst::State::Ready, gst::State::Null] {
        let mut rig = rig(&model, 4);
        for number in 0..4 {
            rig.harness.push(frame(number, 0)).unwrap();
        }
        rig.filter.set_state(state).unwrap();
        rig.filter.set_state(gst::State::Playing).unwrap();
        rig.set_info(&info());
    }
}

#[test]
fn a_hundred_starts_and_stops_with_frames_in_flight() {
    let models = Models::new();
    let pipeline = rig::pipeline(
        "videotestsrc ! video/x-raw,width=16,height=16 ! \
         cycleganfilter {model} inference-size=32 max-in-flight=3 ! fakesink",
        &models.add("invert.onnx", &generators::invert()),
    );
    for round in 0..100 {
        pipeline.set_state(gst::State::Playing).unwrap();
        if round % 2 == 0 {
            pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
    assert!(rig::errors_in(&rig::said(&pipeline.bus().unwrap())).is_empty());
}

/// Another thread sets every property that may change while playing, with seeks in between.
#[test]
fn properties_change_while_frames_are_in_flight() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    let pipeline = rig::pipeline(
        "videotestsrc is-live=true ! video/x-raw,width=32,height=32,framerate=200/1 ! \
         cycleganfilter name=filter {model} inference-size=32 max-in-flight=3 ! fakesink sync=true",
        &pair,
    );
    let filter = pipeline.by_name("filter").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let changes = [
        ("direction", ["forward", "reverse"]),
        ("late-frames", ["hold", "pass"]),
        ("strength", ["0", "1"]),
        ("smoothing", ["0", "0.5"]),
        ("inference-size", ["32", "64"]),
        ("late-frames", ["drop", "translate"]),
        ("upscale", ["plain", "residual"]),
    ];
    for round in 0..200 {
        let (property, values) = changes[round % changes.len()];
        filter.set_property_from_str(property, values[round / changes.len() % 2]);
        filter.property::<gst::Structure>("stats");
        thread::sleep(Duration::from_millis(2));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let messages = rig::said(&pipeline.bus().unwrap());
    assert!(rig::errors_in(&messages).is_empty() && rig::warnings_in(&messages).is_empty());
}

/// If five frames arrive at once, the last waits for the others.
#[test]
fn the_latency_includes_the_frames_in_flight() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(8));
    let latency = |max_in_flight: u32| {
        let filter = rig::new_filter();
        filter.set_property("model", model.to_str().unwrap());
        filter.set_property("inference-size", 64);
        filter.set_property("max-in-flight", max_in_flight);
        let mut rig = Rig::with_filter(filter);
        rig.harness.set_live(true);
        // A frame rate faster than any machine can translate.
        let info = VideoInfo::builder(VideoFormat::Rgb, 64, 64).fps((1000, 1)).build().unwrap();
        rig.set_info(&info);
        for number in 0..48 {
            let mut frame = gst::Buffer::from_mut_slice(vec![0; info.size()]);
            frame.get_mut().unwrap().set_pts(number * gst::ClockTime::MSECOND);
            rig.harness.push(frame).unwrap();
        }
        assert!(rig.harness.push_event(gst::event::Eos::new()));
        let work = gst::ClockTime::from_useconds(rig.stat("inference-p50-us"));
        let own = rig.harness.query_latency().unwrap();
        own.nseconds() as f64 / work.nseconds() as f64
    };
    // Other load on the machine delays some frames, and the latency is that of the slowest frame.
    let quietest = |most| (0..3).map(|_| latency(most)).fold(f64::INFINITY, f64::min);
    let (one, five) = (quietest(1), quietest(5));
    assert!(five > 2.5 * one, "{five:.1} inferences with five in flight, {one:.1} with one");
}

#[test]
fn a_position_query_is_answered() {
    let models = Models::new();
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=200 ! video/x-raw,width=16,height=16,framerate=100/1 ! \
         cycleganfilter name=filter {model} inference-size=32 max-in-flight=3 ! fakesink",
        &models.add("invert.onnx", &generators::invert()),
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    let pad = pipeline.by_name("filter").unwrap().static_pad("src").unwrap();
    rig::wait_until("the position moves on", || {
        pad.query_position::<gst::ClockTime>() > Some(gst::ClockTime::SECOND)
    });
    pipeline.set_state(gst::State::Null).unwrap();
}

/// With one frame in flight, push returns after the frame was pushed downstream.
#[test]
fn one_in_flight_is_synchronous() {
    let models = Models::new();
    let mut rig = rig(&models.add("slow.onnx", &generators::slow_invert(SLOW)), 1);
    let start = Instant::now();
    rig.harness.push(frame(0, 0)).unwrap();
    let took = start.elapsed();
    assert!(rig.harness.try_pull().is_some(), "not out after {took:?}");
}

/// No frame follows whose push could return the failure, so the element posts an error.
#[test]
fn a_failed_push_of_the_last_frame_is_an_error() {
    let models = Models::new();
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=1 ! video/x-raw,format=RGB,width=32,height=32 ! \
         cycleganfilter inference-size=32 max-in-flight=3 {model}",
        &models.add("invert.onnx", &generators::invert()),
    );
    let errors = rig::errors_in(&rig::run_to_end(&pipeline));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("Could not push"), "{}", errors[0]);
}
