// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests of other modules once more, with frames in GL memory: [`Rig`](crate::rig::Rig) then has its
//! filter between an upload and a download. Each module runs in its own process, with a variable that asks
//! for this.

use std::{
    env,
    process::Command,
    sync::{Arc, Mutex},
};

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

use crate::{gl::is_gl_there, regions::add_box};

/// Set in processes whose rigs use GL memory.
const VARIABLE: &str = "CYCLEGAN_TEST_IN_GL";

/// Whether rigs of this process use GL memory.
pub fn is_wanted() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// A bin that takes and gives frames in system memory, with `filter` between an upload and a download.
/// Frames come out in the format that they went in with, and boxes, which `glupload` drops, reach the
/// filter.
pub fn wrap(filter: &gst::Element) -> gst::Element {
    let make = |name: &str| gst::ElementFactory::make(name).build().unwrap();
    let (bin, format) = (gst::Bin::new(), make("capsfilter"));
    let elements = [
        make("videoconvert"),
        make("glupload"),
        filter.clone(),
        make("gldownload"),
        make("videoconvert"),
        format.clone(),
    ];
    // The filter alone decides what becomes of late frames.
    elements.iter().for_each(|element| element.set_property("qos", false));
    bin.add_many(&elements).unwrap();
    gst::Element::link_many(&elements).unwrap();
    let (first, last) =
        (elements[0].static_pad("sink").unwrap(), format.static_pad("src").unwrap());
    carry_boxes(&first, &filter.static_pad("sink").unwrap());
    first.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, probe| {
        if let Some(gst::EventView::Caps(caps)) = probe.event().map(|event| event.view()) {
            let name = caps.caps().structure(0).and_then(|caps| caps.get::<String>("format").ok());
            let caps = gst::Caps::builder("video/x-raw").field_if_some("format", name).build();
            format.set_property("caps", caps);
        }
        gst::PadProbeReturn::Ok
    });
    for (name, pad) in [("sink", first), ("src", last)] {
        let pad = gst::GhostPad::builder_with_target(&pad).unwrap().name(name).build();
        bin.add_pad(&pad).unwrap();
    }
    bin.upcast()
}

/// Gives each frame at `to` the boxes that it had at `from`; nothing queues frames in between.
fn carry_boxes(from: &gst::Pad, to: &gst::Pad) {
    /// The quark of its type, and its place.
    type Box = (u32, (u32, u32, u32, u32));
    let boxes: Arc<Mutex<Vec<Box>>> = Arc::default();
    let carried = boxes.clone();
    from.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let metas = probe.buffer().unwrap().iter_meta::<VideoRegionOfInterestMeta>();
        // SAFETY: the reference keeps the meta valid.
        let carried = metas.map(|meta| (unsafe { (*meta.as_ptr()).roi_type }, meta.rect()));
        *boxes.lock().unwrap() = carried.collect();
        gst::PadProbeReturn::Ok
    });
    to.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let buffer = probe.buffer_mut().unwrap().make_mut();
        for (quark, place) in carried.lock().unwrap().drain(..) {
            add_box(buffer, quark, place);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Runs the tests of `module` with frames in GL memory, except for `exceptions`.
fn run(module: &str, exceptions: &[&str]) {
    if !is_gl_there() {
        return;
    }
    let tests = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .env(VARIABLE, "1")
            .arg(format!("{module}::"))
            .args(["--skip", "gl_", "--skip", "in_gl"]);
        command
    };
    let listed = tests().arg("--list").output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in exceptions {
        assert!(
            listed.contains(&format!("{module}::{name}: test")),
            "no {module}::{name} in {listed}"
        );
    }
    let mut command = tests();
    command.args(["--test-threads", "2"]);
    for name in exceptions {
        command.args(["--skip", name]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn skipping() {
    run("skipping", &[]);
}

#[test]
fn late_frames() {
    run("live", &[]);
}

#[test]
fn frames_in_flight() {
    let exceptions = [
        // The bin has one format at a time.
        "caps_can_change_between_two_frames_in_flight",
        // Compares with the generator's time, which the software renderer shares.
        "pushing_an_event_does_not_wait_for_earlier_frames",
    ];
    run("in_flight", &exceptions);
}

#[test]
fn swapping() {
    run("swapping", &[]);
}

#[test]
fn statistics() {
    let exceptions = [
        // Expects no bytes of GL memory.
        "stats_has_its_documented_fields",
        // The bin converts frames as well, outside of the filter.
        "the_total_time_includes_the_conversion_to_alpha",
    ];
    run("stats", &exceptions);
}

#[test]
fn regions() {
    let exceptions = [
        // The bin converts formats, and GStreamer 1.22's videoconvert writes past some buffers of odd sizes.
        "pixels_outside_the_margin_of_a_box_are_bit_identical",
        "a_region_is_cropped_and_composited_at_the_same_place",
        "a_frame_without_boxes_is_unchanged",
        // The bin drops the hints.
        "encoder_roi_hints_are_not_boxes",
    ];
    run("regions", &exceptions);
}

#[test]
fn output() {
    let exceptions = [
        // The bin turns GRAY8 masks into frames again.
        "output_mask_is_gray8",
        "a_passed_frame_has_an_empty_mask",
        "the_mask_is_0_outside_the_regions",
        // It converts from A420 and back.
        "the_alpha_is_0_outside_the_regions",
        // It makes RGBA of all frames, which has alpha.
        "output_alpha_gives_frames_alpha",
    ];
    run("output", &exceptions);
}

#[test]
fn requests() {
    run("requests", &[]);
}
