// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests of other modules once more, with frames in GL memory: [`Rig`](crate::rig::Rig) then has its
//! filter between an upload and a download. Each module in a process of its own, which the environment
//! tells so.

use std::{
    env,
    process::Command,
    sync::{Arc, Mutex},
};

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

use crate::gl::is_gl_there;

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
    type Box = (String, (u32, u32, u32, u32));
    let boxes: Arc<Mutex<Vec<Box>>> = Arc::default();
    let carried = boxes.clone();
    from.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let metas = probe.buffer().unwrap().iter_meta::<VideoRegionOfInterestMeta>();
        *boxes.lock().unwrap() =
            metas.map(|meta| (meta.roi_type().to_owned(), meta.rect())).collect();
        gst::PadProbeReturn::Ok
    });
    to.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let buffer = probe.buffer_mut().unwrap().make_mut();
        for (name, place) in carried.lock().unwrap().drain(..) {
            VideoRegionOfInterestMeta::add(buffer, &name, place);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Runs the tests of `module` with frames in GL memory, but for `exceptions`.
fn run(module: &str, exceptions: &[&str]) {
    if !is_gl_there() {
        return;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(VARIABLE, "1").arg(format!("{module}::")).args(["--test-threads", "2"]);
    for name in exceptions.iter().chain(&["gl_", "in_gl"]) {
        command.args(["--skip", name]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("running 0 tests"), "{module} has no tests");
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
    // The bin has one format at a time, and the other test compares with the generator's time, which the software
    // renderer shares.
    run("in_flight", &["caps_may_change", "pushing_an_event_does_not_wait"]);
}

#[test]
fn swapping() {
    run("swapping", &[]);
}

#[test]
fn statistics() {
    // These count no bytes of GL memory.
    run("stats", &["fields_that_scripts_rely_on"]);
}

#[test]
fn regions() {
    // The bin converts formats, and hints for encoders are lost before it.
    run("regions", &["_format", "a_frame_without_boxes", "hints_for_encoders"]);
}

#[test]
fn output() {
    // The bin makes masks of GRAY8 frames again, and alpha of other formats is not exact behind it.
    run("output", &["goes_out_as_gray", "of_regions_is_nothing", "mask_of_nothing"]);
}

#[test]
fn requests() {
    run("requests", &[]);
}
