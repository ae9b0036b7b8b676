// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates only what an ONNX detector finds. Its boxes are attached to each frame as
//! `GstAnalyticsRelationMeta`, or before GStreamer 1.24 as `GstVideoRegionOfInterestMeta`, for
//! `cycleganfilter regions=meta`.
//!
//! ```sh
//! cargo run --release --example detect -- --detector yolov8n.onnx --class 17 in.mp4
//! ```
//!
//! Of the 80 COCO classes that most detectors are trained for, 17 is the horse.

mod detector;
mod layout;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use detector::{Detector, DetectorOptions};
use gst::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};

/// Shows a video in which only what a detector finds is translated.
#[derive(Parser)]
struct Arguments {
    /// The video: any file that GStreamer decodes [default: the camera]
    input: Option<PathBuf>,
    /// The model: a file, a pair's folder, or the name of a pair
    #[arg(long, env = "MODEL", default_value = "horse2zebra")]
    model: String,
    #[command(flatten)]
    detector: DetectorOptions,
    /// Run the detector on every N-th frame; the frames between keep its boxes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Source elements instead of INPUT
    #[arg(long, conflicts_with = "input")]
    source: Option<String>,
    /// Sink elements
    #[arg(long, default_value = "videoconvert ! autovideosink")]
    sink: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gst::init()?;
    // Registers the filter statically, so that it and the detector use the same ONNX Runtime.
    gstcyclegan::plugin_register_static()?;
    let source = match (&arguments.source, &arguments.input) {
        (Some(source), _) => source.as_str(),
        (None, Some(_)) => {
            "filesrc name=file ! decodebin ! videoconvert ! videoflip video-direction=auto"
        }
        (None, None) => "v4l2src",
    };
    let pipeline = gst::parse::launch(&format!(
        "{source} ! identity name=boxes ! cycleganfilter name=filter regions=meta ! queue ! {}",
        arguments.sink
    ))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().ok().context("not a pipeline")?;
    let element = |name: &str| {
        pipeline.by_name(name).with_context(|| format!("no element '{name}' in the pipeline"))
    };
    if let Some(input) = arguments.input.as_ref().filter(|_| arguments.source.is_none()) {
        element("file")?.set_property("location", input);
    }
    element("filter")?.set_property("model", &arguments.model);

    let detector = Detector::open(&arguments.detector)?;
    let failure = Arc::new(Mutex::new(None));
    let boxes = element("boxes")?;
    let pad = boxes.static_pad("src").context("'boxes' has no source pad")?;
    attach_boxes(&pad, detector, arguments.every, failure.clone());
    play(&pipeline, &failure)
}

/// Attaches the detector's boxes to the frames that pass `pad`. Its first error goes to `failure` and ends the
/// stream.
fn attach_boxes(
    pad: &gst::Pad,
    detector: Detector,
    every: u64,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
) {
    let state = Mutex::new((detector, 0u64, Vec::new()));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let mut state = state.lock().expect("nobody panics with it");
        let (detector, count, boxes) = &mut *state;
        if count.is_multiple_of(every) {
            match detect(detector, pad, buffer) {
                Ok(found) => *boxes = found,
                Err(error) => {
                    failure.lock().expect("nobody panics with it").get_or_insert(error);
                    pad.push_event(gst::event::Eos::new());
                    return gst::PadProbeReturn::Drop;
                }
            }
        }
        *count += 1;
        write(buffer.make_mut(), boxes);
        gst::PadProbeReturn::Ok
    });
}

/// Left edge, top edge, width and height of a box, in pixels of the frame.
type Rectangle = (u32, u32, u32, u32);

/// The type of the boxes in the frame's metadata; `region-types` selects boxes by type.
const TYPE: &str = "detection";

/// Attaches the boxes to the frame.
#[cfg(feature = "analytics")]
fn write(buffer: &mut gst::BufferRef, boxes: &[Rectangle]) {
    use gst_analytics::{AnalyticsRelationMeta, AnalyticsRelationMetaODExt};

    let mut meta = AnalyticsRelationMeta::add(buffer);
    let name = gst::glib::Quark::from_str(TYPE);
    for &(x, y, width, height) in boxes {
        let [x, y, width, height] = [x, y, width, height].map(u32::cast_signed);
        // Fails only if memory runs out.
        if meta.add_od_mtd(name, x, y, width, height, 1.0).is_err() {
            break;
        }
    }
}

/// Attaches the boxes to the frame.
#[cfg(not(feature = "analytics"))]
fn write(buffer: &mut gst::BufferRef, boxes: &[Rectangle]) {
    for rectangle in boxes {
        gst_video::VideoRegionOfInterestMeta::add(buffer, TYPE, *rectangle);
    }
}

/// The detector's boxes for the frame in `buffer`.
fn detect(detector: &mut Detector, pad: &gst::Pad, buffer: &gst::Buffer) -> Result<Vec<Rectangle>> {
    let caps = pad.current_caps().context("a frame without caps")?;
    let info = VideoInfo::from_caps(&caps)?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info)
        .map_err(|_| anyhow::anyhow!("a frame that cannot be read"))?;
    let (width, height) = (info.width() as f32, info.height() as f32);
    let detections = detector.detect(&frame)?;
    let to_pixels = |detection: &layout::Detection| {
        let [left, top, right, bottom] = detection.corners.map(|corner| corner.clamp(0.0, 1.0));
        let (x, y) = (left * width, top * height);
        (x as u32, y as u32, (right * width - x) as u32, (bottom * height - y) as u32)
    };
    Ok(detections.iter().map(to_pixels).collect())
}

fn play(pipeline: &gst::Pipeline, failure: &Mutex<Option<anyhow::Error>>) -> Result<()> {
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    // The bus has the error.
    let _ = pipeline.set_state(gst::State::Playing);
    let result = loop {
        let Some(message) = bus.timed_pop(None) else { break Ok(()) };
        match message.view() {
            // The latency is measured while playing, so sinks must get the new value.
            gst::MessageView::Latency(_) => {
                let _ = pipeline.recalculate_latency();
            }
            // The details say which file or device it was.
            gst::MessageView::Error(error) => {
                break Err(format!("{}\n{}", error.error(), error.debug().unwrap_or_default()));
            }
            gst::MessageView::Eos(_) => break Ok(()),
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null)?;
    if let Some(failure) = failure.lock().expect("nobody panics with it").take() {
        return Err(failure);
    }
    if let Err(error) = result {
        bail!("{error}");
    }
    Ok(())
}
