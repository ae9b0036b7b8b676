// SPDX-License-Identifier: MIT OR Apache-2.0

//! `interval` and `skip-similar`: frames that take the last residual.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 64, 64)
}

/// The element with `properties` and the inverting generator, at the size of the frames.
fn rig(properties: &[(&str, &str)]) -> (Models, Rig) {
    let models = Models::new();
    let model = models.add_pair("pair", &generators::invert(), &generators::linear(1.0, 0.4));
    let filter = rig::new_filter();
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("inference-size", -1);
    for (name, value) in properties {
        filter.set_property_from_str(name, value);
    }
    let mut rig = Rig::with_filter(filter);
    rig.set_info(&info());
    (models, rig)
}

/// A frame of one grey level at a time in hundredths of a second.
fn grey(level: u8, hundredths: u64) -> gst::Buffer {
    let mut buffer = video::flat(&info(), [level; 3]);
    buffer.get_mut().unwrap().set_pts(10 * hundredths * gst::ClockTime::MSECOND);
    buffer
}

fn level(buffer: &gst::Buffer) -> u8 {
    video::to_rgb(buffer, &info())[64 * 20 + 20][0]
}

/// The output levels of frames with the levels `input`.
fn levels(rig: &mut Rig, input: &[u8]) -> Vec<u8> {
    let frames = input.iter().zip(0..);
    frames.map(|(input, time)| level(&rig.translate(grey(*input, time)))).collect()
}

fn counts(rig: &Rig) -> [u64; 4] {
    ["frames-translated", "frames-skipped", "frames-passed", "frames-held"]
        .map(|field| rig.stat(field))
}

fn qos_of_late_frames() -> gst::Event {
    gst::event::Qos::builder(gst::QOSType::Underflow, 2.0, 500_000_000)
        .timestamp(gst::ClockTime::from_mseconds(200))
        .build()
}

#[test]
fn interval_3_translates_every_third_frame() {
    let (_models, mut rig) = rig(&[("interval", "3")]);
    // 100 becomes 155; the two after it get the same 55 more.
    let output = levels(&mut rig, &[100, 60, 61, 100, 110, 120, 10]);
    assert_eq!(output, [155, 115, 116, 155, 165, 175, 245]);
    assert_eq!(counts(&rig), [3, 4, 0, 0]);
    assert_eq!(rig.stat::<u64>("frames-in"), 7);
}

#[test]
fn by_default_every_frame_is_translated() {
    let (_models, mut rig) = rig(&[]);
    assert_eq!(levels(&mut rig, &[100, 100, 60]), [155, 155, 195]);
    assert_eq!(counts(&rig), [3, 0, 0, 0]);
}

#[test]
fn the_interval_can_change_while_playing() {
    let (_models, mut rig) = rig(&[("interval", "100")]);
    assert_eq!(levels(&mut rig, &[100, 60, 60]), [155, 115, 115]);
    rig.filter.set_property("interval", 1u32);
    assert_eq!(levels(&mut rig, &[60, 50]), [195, 205]);
    rig.filter.set_property("interval", 2u32);
    assert_eq!(levels(&mut rig, &[60, 50, 50]), [215, 205, 205]);
}

#[test]
fn skipped_frames_keep_their_order_in_flight() {
    for in_flight in ["2", "4"] {
        let (_models, mut rig) = rig(&[("interval", "3"), ("max-in-flight", in_flight)]);
        let input = [100, 60, 61, 100, 110, 120, 10, 20, 30];
        for (level, time) in input.iter().zip(0..) {
            rig.harness.push(grey(*level, time)).unwrap();
        }
        let output: Vec<_> = input.iter().map(|_| level(&rig.harness.pull().unwrap())).collect();
        assert_eq!(output, [155, 115, 116, 155, 165, 175, 245, 255, 255], "{in_flight}");
        assert_eq!(counts(&rig), [3, 6, 0, 0]);
    }
}

#[test]
fn skipped_frames_reuse_the_residuals_of_boxes() {
    let (_models, mut rig) = rig(&[("interval", "2"), ("regions", "meta")]);
    let mut frame = |level: u8, x: u32| {
        let mut frame = grey(level, 0);
        VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", (x, 24, 16, 16));
        let output = video::to_rgb(&rig.translate(frame), &info());
        [output[64 * 32 + 16][0], output[64 * 32 + 48][0]]
    };
    assert_eq!(frame(100, 8), [155, 100]);
    assert_eq!(frame(60, 40), [115, 60], "the residual stays where it was");
    assert_eq!(frame(60, 40), [60, 195]);
}

/// A name, and an action between two frames.
type Separator = (&'static str, fn(&mut Rig));

/// The first frame after a stream event, new caps or a gap is translated.
#[test]
fn a_residual_is_not_reused_in_another_stream() {
    let separators: [Separator; 5] = [
        ("a flush", |rig| {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            for event in [
                gst::event::FlushStart::new(),
                gst::event::FlushStop::new(true),
                gst::event::Segment::new(&segment),
            ] {
                assert!(rig.harness.push_event(event));
            }
        }),
        ("a segment", |rig| {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
        }),
        ("a gap", |rig| {
            let gap = gst::event::Gap::builder(gst::ClockTime::ZERO).build();
            assert!(rig.harness.push_event(gap));
        }),
        ("other caps", |rig| {
            rig.set_info(&video::info(VideoFormat::Rgb, 32, 32));
            rig.translate(video::flat(&video::info(VideoFormat::Rgb, 32, 32), [100; 3]));
            rig.set_info(&info());
        }),
        ("a restart", |rig| {
            rig.filter.set_state(gst::State::Ready).unwrap();
            rig.filter.set_state(gst::State::Playing).unwrap();
            rig.harness.push_event(gst::event::StreamStart::new("again"));
            rig.set_info(&info());
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            rig.harness.push_event(gst::event::Segment::new(&segment));
        }),
    ];
    for in_flight in ["1", "3"] {
        for properties in [("interval", "100"), ("skip-similar", "255")] {
            for (what, separate) in separators {
                let (_models, mut rig) = rig(&[properties, ("max-in-flight", in_flight)]);
                assert_eq!(levels(&mut rig, &[100, 60]), [155, 115], "{properties:?}");
                separate(&mut rig);
                let output = levels(&mut rig, &[60, 100]);
                assert_eq!(output, [195, 235], "{what}, {properties:?}, {in_flight}");
            }
        }
    }
}

#[test]
fn a_frame_after_a_discontinuity_is_translated() {
    let (_models, mut rig) = rig(&[("interval", "100")]);
    assert_eq!(levels(&mut rig, &[100, 60]), [155, 115]);
    let mut frame = grey(60, 2);
    frame.make_mut().set_flags(gst::BufferFlags::DISCONT);
    assert_eq!(level(&rig.translate(frame)), 195);
}

#[test]
fn a_new_direction_or_model_translates_the_next_frame() {
    for properties in [("interval", "1000000"), ("skip-similar", "255")] {
        let (models, mut rig) = rig(&[properties, ("preload", "true")]);
        assert_eq!(levels(&mut rig, &[100, 60]), [155, 115]);
        rig.filter.set_property_from_str("direction", "reverse");
        // The residual is 51, for this frame and the following ones.
        assert_eq!(levels(&mut rig, &[60, 100]), [111, 151], "{properties:?}");
        rig.filter.set_property_from_str("direction", "forward");
        assert_eq!(levels(&mut rig, &[60, 100]), [195, 235], "{properties:?}");
        let other = models.add("identity.onnx", &generators::identity());
        rig.filter.set_property("model", other.to_str().unwrap());
        rig::wait_until("the other model translates", || levels(&mut rig, &[60]) == [60]);
    }
}

#[test]
fn strength_0_leaves_no_residual_to_reuse() {
    let (_models, mut rig) = rig(&[("interval", "100")]);
    assert_eq!(levels(&mut rig, &[100, 60]), [155, 115]);
    rig.filter.set_property("strength", 0.0);
    assert_eq!(levels(&mut rig, &[60]), [60]);
    rig.filter.set_property("strength", 1.0);
    assert_eq!(levels(&mut rig, &[60, 100]), [195, 235]);
}

#[test]
fn a_still_image_is_translated_once() {
    let (_models, mut rig) = rig(&[("skip-similar", "2.5")]);
    // Each frame is compared with the last translated one, not with the previous one.
    let output = levels(&mut rig, &[100, 100, 101, 102, 103, 104, 105, 106]);
    assert_eq!(output, [155, 155, 156, 157, 152, 153, 154, 149]);
    assert_eq!(counts(&rig), [3, 5, 0, 0]);
}

#[test]
fn a_small_moving_object_is_translated() {
    let (_models, mut rig) = rig(&[("skip-similar", "4")]);
    let picture = |at: u32| {
        let is_in = move |x: u32, y: u32| (at..at + 6).contains(&x) && (20..26).contains(&y);
        video::picture(&info(), move |x, y| if is_in(x, y) { [200; 3] } else { [100; 3] })
    };
    for at in [10, 10, 12, 12, 40] {
        let output = video::to_rgb(&rig.translate(picture(at)), &info());
        assert_eq!(output[(64 * 22 + at + 2) as usize], [55; 3], "{at}");
    }
    assert_eq!(counts(&rig), [3, 2, 0, 0]);
}

#[test]
fn a_still_image_follows_the_strength() {
    let (_models, mut rig) = rig(&[("skip-similar", "3")]);
    assert_eq!(levels(&mut rig, &[100, 100]), [155, 155]);
    rig.filter.set_property("strength", 0.5);
    let output = levels(&mut rig, &[100, 100]);
    assert!(output.iter().all(|level| (127..=128).contains(level)), "{output:?}");
    rig.filter.set_property_from_str("upscale", "plain");
    levels(&mut rig, &[100, 100]);
    assert_eq!(counts(&rig), [3, 3, 0, 0]);
}

#[test]
fn a_still_image_skips_the_generator_with_frames_in_flight() {
    let models = Models::new();
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=60 pattern=gradient ! \
         video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         cycleganfilter name=filter skip-similar=2 inference-size=48 max-in-flight=3 {model} ! \
         fakesink",
        &models.add("invert.onnx", &generators::invert()),
    );
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let stats = pipeline.by_name("filter").unwrap().property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames-translated"), Ok(1));
    assert_eq!(stats.get::<u64>("frames-skipped"), Ok(59));
}

#[test]
fn moving_boxes_are_translated_in_a_still_image() {
    let (_models, mut rig) = rig(&[("skip-similar", "3"), ("regions", "meta")]);
    for (x, translated) in [(8, 1), (8, 1), (40, 2), (40, 2), (8, 3)] {
        let mut frame = grey(100, 0);
        VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", (x, 24, 16, 16));
        let output = video::to_rgb(&rig.translate(frame), &info());
        assert_eq!(output[64 * 32 + x as usize + 8], [155; 3]);
        assert_eq!(rig.stat::<u64>("frames-translated"), translated);
    }
}

#[test]
fn interval_and_skip_similar_can_be_combined() {
    let (_models, mut rig) = rig(&[("interval", "2"), ("skip-similar", "3")]);
    // Every second frame is compared, and translated if it differs.
    let output = levels(&mut rig, &[100, 60, 100, 101, 60, 100, 60]);
    assert_eq!(output, [155, 115, 155, 156, 195, 235, 195]);
    assert_eq!(counts(&rig), [2, 5, 0, 0]);
}

#[test]
fn a_late_skipped_frame_takes_the_residual() {
    for late_frames in ["translate", "pass", "hold"] {
        let (_models, mut rig) = rig(&[("interval", "3"), ("late-frames", late_frames)]);
        assert_eq!(levels(&mut rig, &[100]), [155]);
        assert!(rig.harness.push_upstream_event(qos_of_late_frames()));
        assert_eq!(level(&rig.translate(grey(60, 4))), 115, "{late_frames}");
        assert_eq!(counts(&rig), [1, 1, 0, 0], "{late_frames}");
    }
    let (_models, mut rig) = rig(&[("interval", "3"), ("late-frames", "drop")]);
    assert_eq!(levels(&mut rig, &[100]), [155]);
    assert!(rig.harness.push_upstream_event(qos_of_late_frames()));
    rig.harness.push(grey(60, 4)).unwrap();
    assert!(rig.harness.try_pull().is_none());
    assert_eq!(rig.stat::<u64>("frames-dropped"), 1);
}

/// A frame on which the generator fails leaves no residual, so the next frame is translated.
#[test]
fn after_a_failure_the_next_frame_is_translated() {
    for (skipping, input, expected) in [
        (("interval", "2"), [200, 200, 0, 180], [224, 224, 0, 209]),
        (("skip-similar", "100"), [120, 180, 180, 210], [120, 209, 209, 239]),
    ] {
        let models = Models::new();
        let filter = rig::new_filter();
        filter.set_property("model", models.add("root.onnx", &generators::root()).to_str());
        filter.set_property("inference-size", -1);
        filter.set_property_from_str("late-frames", "pass");
        filter.set_property_from_str(skipping.0, skipping.1);
        let mut rig = Rig::with_filter(filter);
        rig.harness.set_live(true);
        rig.set_info(&info());
        assert_eq!(levels(&mut rig, &input), expected, "{skipping:?}");
    }
}
