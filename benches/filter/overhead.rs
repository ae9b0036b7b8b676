// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's time per frame compared with a bare ONNX Runtime call on filled tensors; the two run alternately in one
//! process.

use std::{error::Error, path::Path, time::Instant};

use gst::prelude::*;

use super::{bare::Bare, frame::frame, summary::median};

const ROUNDS: usize = 40;

/// Prints the table.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    println!("Element beside the bare session call, {}, {ROUNDS} rounds\n", model.display());
    println!("| frame | tensor | bare call ms | element ms | over the bare call ms | ratio |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for caps in [
        "video/x-raw,format=RGB,width=256,height=256,framerate=25/1",
        "video/x-raw,format=I420,width=1920,height=1080,framerate=25/1",
        "video/x-raw,format=NV12,width=1920,height=1080,framerate=25/1",
        "video/x-raw,format=RGBA,width=1920,height=1080,framerate=25/1",
    ] {
        compare_on(model, caps)?;
    }
    println!();
    Ok(())
}

fn compare_on(model: &Path, caps: &str) -> Result<(), Box<dyn Error>> {
    let element = gst::ElementFactory::make("cycleganfilter")
        .property("model", model.to_str().ok_or("the model's path is no UTF-8")?)
        .property_from_str("execution-provider", "cpu")
        .build()?;
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str(caps);
    harness.set_sink_caps_str(caps);
    let frame = frame(caps)?;
    harness.push(frame.clone())?;
    harness.pull()?;

    let stats = element.property::<gst::Structure>("stats");
    let (width, height) = (stats.get::<u32>("width")?, stats.get::<u32>("height")?);
    let mut bare = Bare::new(model, width, height)?;
    bare.run()?;

    let (mut bare_ms, mut element_ms, mut over_ms) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare_time = bare.run()?;
        let start = Instant::now();
        harness.push(frame.clone())?;
        harness.pull()?;
        let element_time = start.elapsed().as_secs_f64() * 1e3;
        bare_ms.push(bare_time);
        element_ms.push(element_time);
        over_ms.push(element_time - bare_time);
    }
    let (bare, element, over) = (median(&bare_ms), median(&element_ms), median(&over_ms));
    let caps: gst::Caps = caps.parse()?;
    let info = gst_video::VideoInfo::from_caps(&caps)?;
    println!(
        "| {}×{} {} | {width}×{height} | {bare:.1} | {element:.1} | {over:+.2} | {:.3} |",
        info.width(),
        info.height(),
        info.format().to_str(),
        element / bare
    );
    Ok(())
}
