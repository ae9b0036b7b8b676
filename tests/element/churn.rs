// SPDX-License-Identifier: MIT OR Apache-2.0

//! State changes, seeks, caps and EOS in many orders.

use std::path::Path;

use gst::prelude::*;

use crate::{
    generators::{self, Models},
    rig,
};

fn invert() -> (Models, std::path::PathBuf) {
    let models = Models::new();
    let path = models.add("G.onnx", &generators::invert());
    (models, path)
}

/// The counters of an element.
fn counts(pipeline: &gst::Pipeline, filter: &str) -> [u64; 2] {
    let stats = pipeline.by_name(filter).unwrap().property::<gst::Structure>("stats");
    ["frames-in", "frames-translated"].map(|field| stats.get(field).unwrap())
}

#[test]
fn a_hundred_starts_and_stops() {
    let (_models, model) = invert();
    let pipeline = rig::pipeline(
        "videotestsrc ! video/x-raw,width=16,height=16 ! \
         cycleganfilter name=filter {model} inference-size=32 ! fakesink",
        &model,
    );
    for round in 0..100 {
        pipeline.set_state(gst::State::Playing).unwrap();
        if round % 2 == 0 {
            // Every other round waits for a frame, the others stop on the way up.
            pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
            assert!(counts(&pipeline, "filter")[1] > 0);
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
    assert!(rig::errors_in(&rig::said(&pipeline.bus().unwrap())).is_empty());
}

#[test]
fn every_state_follows_every_state() {
    use gst::State::{Null, Paused, Playing, Ready};
    let (_models, model) = invert();
    let pipeline = rig::pipeline(
        "videotestsrc ! video/x-raw,width=16,height=16 ! \
         cycleganfilter {model} inference-size=32 ! fakesink",
        &model,
    );
    for from in [Null, Ready, Paused, Playing] {
        for to in [Null, Ready, Paused, Playing] {
            for state in [from, to] {
                pipeline.set_state(state).unwrap();
                pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
            }
        }
    }
    pipeline.set_state(Null).unwrap();
}

#[test]
fn flushing_seeks_while_playing() {
    let (_models, model) = invert();
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=100000 ! video/x-raw,width=16,height=16,framerate=25/1 ! \
         cycleganfilter name=filter {model} inference-size=32 ! fakesink name=sink",
        &model,
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
fn caps_change_while_playing() {
    let (_models, model) = invert();
    let pipeline = rig::pipeline(
        "concat name=all ! cycleganfilter name=filter {model} inference-size=32 ! fakesink \
         videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=16,height=16 ! all. \
         videotestsrc num-buffers=5 ! video/x-raw,format=RGB,width=33,height=17 ! all. \
         videotestsrc num-buffers=5 ! video/x-raw,format=v210,width=64,height=8 ! all. \
         videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=16,height=16 ! all.",
        &model,
    );
    let filter = pipeline.by_name("filter").unwrap();
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let stats = filter.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames-translated"), Ok(20));
}

#[test]
fn eos_without_a_frame() {
    let (_models, model) = invert();
    let pipeline =
        rig::pipeline("videotestsrc num-buffers=0 ! cycleganfilter {model} ! fakesink", &model);
    for _ in 0..5 {
        rig::assert_ended(&rig::run_to_end(&pipeline));
    }
}

/// Two elements with the same model on two streams, and two in a row on a third.
#[test]
fn several_elements_in_one_process() {
    let (_models, model) = invert();
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=20 ! video/x-raw,format=RGB,width=32,height=32 ! tee name=t \
         t. ! queue ! cycleganfilter name=a {model} inference-size=32 ! fakesink \
         t. ! queue ! cycleganfilter name=b {model} inference-size=32 ! \
         cycleganfilter name=c {model} inference-size=32 ! fakesink",
        &model,
    );
    let elements = ["a", "b", "c"].map(|name| pipeline.by_name(name).unwrap());
    rig::assert_ended(&rig::run_to_end(&pipeline));
    for element in elements {
        let stats = element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("frames-translated"), Ok(20));
    }
}

/// Whatever the neighbours' formats are, no `videoconvert` is needed.
#[test]
fn no_videoconvert_is_needed_around_the_element() {
    let (_models, model) = invert();
    for format in ["I420", "NV12", "YUY2", "RGB", "BGRA", "GRAY8", "v210", "P010_10LE"] {
        let pipeline = rig::pipeline(
            &format!(
                "videotestsrc num-buffers=2 ! cycleganfilter {{model}} inference-size=32 ! \
                 video/x-raw,format={format},width=32,height=32 ! fakesink"
            ),
            &model,
        );
        rig::assert_ended(&rig::run_to_end(&pipeline));
    }
}

#[test]
fn interlaced_video_stops_a_pipeline_with_an_error_that_names_deinterlace() {
    let (_models, model) = invert();
    for before in ["", "! videoconvert", "! videoconvert ! videoflip video-direction=auto"] {
        let errors = rig::errors_in(&rig::run_to_end(&interlaced(before, &model)));
        // Behind another element, the source's own error follows.
        assert!(errors.len() == 1 || !before.is_empty(), "{before}: {errors:?}");
        let named = errors.iter().filter(|error| error.contains("deinterlace")).count();
        assert!(named == 1 && errors[0].contains("deinterlace"), "{before}: {errors:?}");
    }
}

#[test]
fn interlaced_video_that_is_deinterlaced_is_no_error() {
    let (_models, model) = invert();
    for before in ["! deinterlace", "! deinterlace ! videoconvert", "! videoconvert ! deinterlace"]
    {
        rig::assert_ended(&rig::run_to_end(&interlaced(before, &model)));
    }
}

/// Plays one interlaced frame.
fn interlaced(before: &str, model: &Path) -> gst::Pipeline {
    let caps = "video/x-raw,format=I420,width=32,height=32,framerate=25/1";
    let pipeline = rig::pipeline(
        &format!(
            "appsrc name=source format=time caps=\"{caps},interlace-mode=interleaved\" {before} \
             ! cycleganfilter {{model}} ! fakesink"
        ),
        model,
    );
    let source = pipeline.by_name("source").unwrap();
    pipeline.set_state(gst::State::Ready).unwrap();
    let frame = gst::Buffer::with_size(32 * 32 * 3 / 2).unwrap();
    let pushed = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame]);
    assert_eq!(pushed, gst::FlowReturn::Ok);
    let ended = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    assert_eq!(ended, gst::FlowReturn::Ok);
    pipeline
}
