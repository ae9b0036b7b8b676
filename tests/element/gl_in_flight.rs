// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several frames in GL memory in flight.

use crate::{
    generators::{self, Models},
    gl::{RGBA, Way, assert_close, is_gl_there, smooth},
    video,
};

/// Several frames in flight; EOS drains them.
#[test]
fn textures_in_flight_keep_their_order() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(2));
    let info = video::info(RGBA, 240, 180);
    let filters = "cycleganfilter name=f {model} inference-size=120";
    let frames: Vec<_> = (0..12).map(|shift| smooth(&info, 3 * shift)).collect();
    let mut system = Way::new(false, filters, &model, &info);
    let expected: Vec<_> = frames.iter().map(|frame| system.translate(frame.clone())).collect();
    let mut gl = Way::new(true, &format!("{filters} max-in-flight=3"), &model, &info);
    for frame in &frames {
        gl.push(frame.clone());
    }
    assert!(gl.harness.push_event(gst::event::Eos::new()));
    for (i, expected) in expected.iter().enumerate() {
        assert_close(&gl.pull(), expected, 4, &format!("frame {i}"));
    }
    assert_eq!(gl.stat("frames-translated"), 12);
}

#[test]
fn a_flush_drops_what_is_in_flight() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(2));
    let info = video::info(RGBA, 240, 180);
    let mut gl = Way::new(
        true,
        "cycleganfilter name=f {model} inference-size=120 max-in-flight=3",
        &model,
        &info,
    );
    for round in 0..3 {
        for shift in 0..4 {
            gl.push(smooth(&info, shift));
        }
        assert!(gl.harness.push_event(gst::event::FlushStart::new()));
        assert!(gl.harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(gl.harness.push_event(gst::event::Segment::new(&segment)));
        while gl.harness.try_pull().is_some() {}
        let frame = smooth(&info, 40 + round);
        let output = gl.translate(frame.clone());
        let mut system =
            Way::new(false, "cycleganfilter name=f {model} inference-size=120", &model, &info);
        assert_close(&output, &system.translate(frame), 4, &format!("round {round}"));
    }
}
