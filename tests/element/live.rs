// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a live feed needs: late frames that do not stop it, a steady picture, shared sessions.

use std::sync::Arc;

use cyclegan_contract::Direction;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstcyclegan::generator::{LoadOptions, Pair, ProviderOptions};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// The inverting generator, and frames that it sees as they are.
fn rig() -> (Models, Rig, VideoInfo) {
    let models = Models::new();
    let filter = rig::new_filter();
    filter.set_property("model", models.add("G.onnx", &generators::invert()).to_str().unwrap());
    // Before it plays: a change while playing is prepared beside the stream, and takes over
    // between two frames that the tests here count on to follow on each other.
    filter.set_property("inference-size", -1);
    let mut rig = Rig::with_filter(filter);
    let info = video::info(VideoFormat::Rgb, 64, 48);
    rig.set_info(&info);
    (models, rig, info)
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

/// Tells the element that frames before 1200 ms are late.
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
fn a_late_frame_passes_untouched() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "pass");
    rig.translate(grey(&info, 100, 0));
    fall_behind(&mut rig);
    let mut late = video::random(&info, 1);
    late.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40));
    let before = late.map_readable().unwrap().to_vec();
    let passed = rig.translate(late);
    assert!(passed.map_readable().unwrap().as_slice() == before, "the frame was changed");
    // In time again, and translated again.
    assert_eq!(level(&rig.translate(grey(&info, 100, 1300)), &info), 155);
    assert_eq!(counts(&rig), [2, 1, 0, 0]);
}

#[test]
fn a_late_frame_gets_the_last_change() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "hold");
    assert_eq!(level(&rig.translate(grey(&info, 100, 0)), &info), 155);
    fall_behind(&mut rig);
    // 60 of its own and the 55 that were added to 100.
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 115);
    assert_eq!(counts(&rig), [1, 0, 1, 0]);
}

#[test]
fn without_a_change_to_hold_the_original_passes() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property_from_str("late-frames", "hold");
    fall_behind(&mut rig);
    assert_eq!(level(&rig.translate(grey(&info, 60, 40)), &info), 60);
    assert_eq!(counts(&rig), [0, 1, 0, 0]);
}

#[test]
fn a_live_feed_keeps_its_rate_beyond_what_the_generator_can_do() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(8));
    let pipeline = rig::pipeline(
        "videotestsrc is-live=true num-buffers=100 ! video/x-raw,width=64,height=64,framerate=100/1 \
         ! cycleganfilter name=filter late-frames=pass {model} ! queue ! fakesink sync=true",
        &model,
    );
    let started = std::time::Instant::now();
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let filter = pipeline.by_name("filter").unwrap();
    let stats = filter.property::<gst::Structure>("stats");
    let count = |field| stats.get::<u64>(field).unwrap();
    assert_eq!(count("frames-in"), 100);
    assert_eq!(count("frames-translated") + count("frames-passed"), 100);
    assert!(count("frames-translated") > 0);
    eprintln!("{} of 100 passed in {:?}", count("frames-passed"), started.elapsed());
}

fn second_level(smoothing: f64, levels: [u8; 2], is_discont: bool) -> u8 {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property("smoothing", smoothing);
    rig.translate(grey(&info, levels[0], 0));
    let mut second = grey(&info, levels[1], 40);
    if is_discont {
        second.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    }
    level(&rig.translate(second), &info)
}

#[test]
fn smoothing_mixes_in_the_last_change() {
    assert_eq!(second_level(0.0, [100, 110], false), 145);
    // The change goes from 55 to 35; 14/24 of 0.6 of the way back is 42.
    let smoothed = second_level(0.6, [100, 110], false);
    assert!((151..=153).contains(&smoothed), "{smoothed}");
}

#[test]
fn smoothing_begins_anew_after_cuts_and_gaps() {
    assert_eq!(second_level(0.6, [100, 110], true), 145);
    assert_eq!(second_level(1.0, [10, 200], false), 55);
}

#[test]
fn filters_with_one_model_share_its_session() {
    rig::init();
    let models = Models::new();
    let file = models.add("G.onnx", &generators::invert());
    let options = LoadOptions {
        provider: None,
        allow_fallback: false,
        precision: None,
        provider_options: ProviderOptions {
            device_id: 0,
            threads: 1,
            cache_dir: models.folder().to_path_buf(),
        },
    };
    let load = || {
        let pair = Pair::load(file.to_str().unwrap(), &options).unwrap();
        pair.generator(Direction::AToB).unwrap().clone()
    };
    let first = load();
    assert!(Arc::ptr_eq(&first, &load()));

    // Another file under the same name is another model.
    models.add("G.onnx", &generators::with_size(generators::identity(), 32, 32));
    assert!(!Arc::ptr_eq(&first, &load()));
}
