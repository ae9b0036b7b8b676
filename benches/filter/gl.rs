// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames in GL memory beside frames in system memory: the bytes that cross the bus, and the processor
//! time of the element's own threads.

use std::{error::Error, fs, path::Path};

use cyclegan_contract::Metadata;
use cyclegan_test_support::generators;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

use super::{frame::frame, summary::median};

const SIZES: [(u32, u32); 2] = [(1920, 1080), (3840, 2160)];
const ROUNDS: usize = 3;
const FRAMES: u32 = 10;

/// What a frame takes.
struct Cost {
    down: u64,
    up: u64,
    /// Milliseconds of processor time: of the element's threads, and of Mesa's renderer.
    own: f64,
    renderer: f64,
}

/// Prints the table.
pub fn compare() -> Result<(), Box<dyn Error>> {
    let folder = generators::Models::new();
    let metadata = Metadata { size: Some(256), ..Default::default() };
    let model = generators::with_metadata(generators::identity(), &metadata);
    let model = folder.add("G.onnx", &model);
    println!(
        "Frames in GL memory, {ROUNDS} rounds of {FRAMES} frames, with a generator that copies 256 pixels on the \
         short side\n"
    );
    println!(
        "| frame | memory | | MB down a frame | MB up | processor ms of the element | of Mesa's renderer |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for size in SIZES {
        for regions in ["frame", "meta"] {
            let mut costs = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (costs, is_gl) in costs.iter_mut().zip([false, true]) {
                    costs.push(cost(&model, size, regions, is_gl)?);
                }
            }
            for (costs, memory) in costs.iter().zip(["system", "GL"]) {
                let of_rounds =
                    |part: fn(&Cost) -> f64| median(&costs.iter().map(part).collect::<Vec<_>>());
                let (down, up) =
                    (of_rounds(|cost| cost.down as f64), of_rounds(|cost| cost.up as f64));
                println!(
                    "| {}×{} | {memory} | `regions={regions}` | {:.2} | {:.2} | {:.1} | {:.1} |",
                    size.0,
                    size.1,
                    down / 1e6,
                    up / 1e6,
                    of_rounds(|cost| cost.own),
                    of_rounds(|cost| cost.renderer)
                );
            }
        }
    }
    println!();
    Ok(())
}

/// Pushes the same frame again and again.
fn cost(
    model: &Path,
    (width, height): (u32, u32),
    regions: &str,
    is_gl: bool,
) -> Result<Cost, Box<dyn Error>> {
    let info = VideoInfo::builder(VideoFormat::Rgba, width, height).fps((30, 1)).build()?;
    let mut caps = info.to_caps()?;
    let mut frame = frame(&caps.to_string())?;
    let element = gst::ElementFactory::make("cycleganfilter")
        .property("model", model.to_str().ok_or("the model's path is no UTF-8")?)
        .property_from_str("execution-provider", "cpu")
        .property_from_str("regions", regions)
        .build()?;
    // Makes the texture, and lives as long as its context.
    let mut upload = Harness::new("glupload");
    if is_gl {
        upload.set_src_caps(caps);
        upload.push(frame)?;
        frame = upload.pull()?;
        caps = upload.sinkpad().and_then(|pad| pad.current_caps()).ok_or("no caps")?;
        let mut query = gst::query::Context::new("gst.gl.GLDisplay");
        upload.element().and_then(|upload| Some(upload.static_pad("src")?.query(&mut query)));
        element.set_context(&query.context_owned().ok_or("no GL display")?);
    }
    for x in [width / 8, 5 * width / 8] {
        let place = (x, height / 3, width / 6, height / 3);
        VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", place);
    }
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(caps);
    for _ in 0..3 {
        harness.push(frame.clone())?;
        harness.pull()?;
    }
    harness.set_drop_buffers(true);
    let crossed = || -> Result<(u64, u64), Box<dyn Error>> {
        let stats = element.property::<gst::Structure>("stats");
        Ok((stats.get("gl-bytes-down")?, stats.get("gl-bytes-up")?))
    };
    let (bytes, time) = (crossed()?, processor_time()?);
    for _ in 0..FRAMES {
        harness.push(frame.clone())?;
    }
    let (bytes_after, time_after) = (crossed()?, processor_time()?);
    element.set_state(gst::State::Null)?;
    let a_frame = |after: u64, before: u64| (after - before) as f64 / 1e6 / f64::from(FRAMES);
    // In system memory all of the frame crosses, where its decoder and encoder are on the GPU.
    let whole = u64::from(FRAMES) * info.size() as u64;
    let (down, up) = match is_gl {
        true => (bytes_after.0 - bytes.0, bytes_after.1 - bytes.1),
        false => (whole, whole),
    };
    Ok(Cost {
        down: down / u64::from(FRAMES),
        up: up / u64::from(FRAMES),
        own: a_frame(time_after.0, time.0),
        renderer: a_frame(time_after.1, time.1),
    })
}

/// The processor time of this process's threads so far, in nanoseconds: of all but Mesa's renderer, and of
/// that. Each measurement makes its threads before it begins.
fn processor_time() -> Result<(u64, u64), Box<dyn Error>> {
    let (mut own, mut renderer) = (0, 0);
    for thread in fs::read_dir("/proc/self/task")? {
        let folder = thread?.path();
        let time = fs::read_to_string(folder.join("schedstat"))?;
        let time: u64 = time.split_whitespace().next().ok_or("no time")?.parse()?;
        match fs::read_to_string(folder.join("comm"))?.starts_with("llvmpipe") {
            true => renderer += time,
            false => own += time,
        }
    }
    Ok((own, renderer))
}
