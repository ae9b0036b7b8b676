// SPDX-License-Identifier: MIT OR Apache-2.0

//! Makes and reads clips with GStreamer.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

/// A second of a clip in grey and noise: 25 frames, 160×120.
pub const VIDEO: &str = "videotestsrc num-buffers=25 pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=25/1";

/// Runs a pipeline, in which `OUT` is the file `path`, to its end.
pub fn make(path: &Path, description: &str) {
    make_with(path, description, |_| {});
}

/// The same, with something done to the pipeline before it runs.
pub fn make_with(path: &Path, description: &str, prepare: impl FnOnce(&gst::Bin)) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&description.replace("OUT", "filesink name=out")).unwrap();
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    bin.by_name("out").unwrap().set_property("location", path);
    prepare(bin);
    run(&pipeline, path);
}

/// A clip of three frames.
pub fn small_clip(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let video = VIDEO.replace("=25 ", "=3 ");
    let mux = if path.extension().is_some_and(|e| e == "mkv") { "matroskamux" } else { "mp4mux" };
    make(path, &format!("{video} ! x264enc speed-preset=ultrafast ! {mux} ! OUT"));
}

/// A clip of `frames` frames with a key frame every `gop`, and a tone.
pub fn make_clip(path: &Path, frames: u32, gop: u32) {
    let audio = frames * 44_100 / 25 / 1024;
    make(
        path,
        &format!(
            "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 \
             ! x264enc key-int-max={gop} speed-preset=ultrafast bframes=2 b-adapt=false ! mux. \
             audiotestsrc num-buffers={audio} ! audio/x-raw,rate=44100,channels=1 ! avenc_aac ! mux. \
             {} name=mux ! OUT",
            if path.extension().is_some_and(|e| e == "mkv") { "matroskamux" } else { "mp4mux" }
        ),
    );
}

fn run(pipeline: &gst::Element, path: &Path) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    let end = end.expect("a pipeline that hangs");
    if let gst::MessageView::Error(error) = end.view() {
        panic!("{}: {} {:?}", path.display(), error.error(), error.debug());
    }
}

/// A track of a file, still encoded.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its caps.
    pub caps: gst::Caps,
    /// Stream times of its buffers in the order of the file, milliseconds.
    pub times: Vec<u64>,
    /// Maximum difference between the decoding time and the timestamp of a buffer, milliseconds.
    pub delay: u64,
    /// The bytes of its buffers.
    pub data: Vec<Vec<u8>>,
    /// Its tags as text.
    pub tags: String,
}

impl Track {
    /// Its media type.
    pub fn kind(&self) -> &str {
        self.caps.structure(0).unwrap().name().as_str()
    }

    /// An integer field of its caps.
    pub fn int(&self, field: &str) -> i32 {
        self.caps.structure(0).unwrap().get(field).unwrap()
    }

    /// Its sorted times.
    pub fn shown(&self) -> Vec<u64> {
        let mut times = self.times.clone();
        times.sort();
        times
    }
}

/// The tracks of a file, video first.
pub fn tracks(path: &Path) -> Vec<Track> {
    gst::init().unwrap();
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().unwrap();
    let parser = gst::ElementFactory::make("parsebin").build().unwrap();
    pipeline.add_many([&source, &parser]).unwrap();
    source.link(&parser).unwrap();
    let tracks = Arc::new(Mutex::new(Vec::<(String, Arc<Mutex<Track>>)>::new()));
    let (weak, found) = (pipeline.downgrade(), tracks.clone());
    parser.connect_pad_added(move |_, pad| {
        let pipeline = weak.upgrade().unwrap();
        let track = Track {
            caps: gst::Caps::new_empty(),
            times: vec![],
            delay: 0,
            data: vec![],
            tags: String::new(),
        };
        let track = Arc::new(Mutex::new(track));
        found.lock().unwrap().push((pad.name().to_string(), track.clone()));
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |pad, info| {
            let mut track = track.lock().unwrap();
            if let Some(gst::EventView::Tag(tag)) = info.event().map(|event| event.view()) {
                track.tags += &tag.tag().to_string();
            }
            if let Some(buffer) = info.buffer() {
                let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
                let time = segment.to_stream_time(buffer.pts()).unwrap_or_default();
                track.times.push((time.nseconds() + 500_000) / 1_000_000);
                let delay =
                    buffer.pts().zip(buffer.dts()).map(|(pts, dts)| pts.saturating_sub(dts));
                track.delay = track.delay.max(delay.unwrap_or_default().mseconds());
                track.data.push(buffer.map_readable().unwrap().to_vec());
                track.caps = pad.current_caps().unwrap();
            }
            gst::PadProbeReturn::Ok
        });
        let queue = gst::ElementFactory::make("queue")
            .property("max-size-buffers", 0u32)
            .property("max-size-bytes", 0u32)
            .property("max-size-time", 0u64)
            .build()
            .unwrap();
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
        pipeline.add_many([&queue, &sink]).unwrap();
        queue.link(&sink).unwrap();
        pad.link(&queue.static_pad("sink").unwrap()).unwrap();
        queue.sync_state_with_parent().unwrap();
        sink.sync_state_with_parent().unwrap();
    });
    run(pipeline.upcast_ref(), path);
    let tracks = tracks.lock().unwrap();
    let mut tracks: Vec<Track> =
        tracks.iter().map(|(_, track)| track.lock().unwrap().clone()).collect();
    tracks.sort_by_key(|track| !track.kind().starts_with("video/"));
    tracks
}

/// The mean red, green and blue of each frame of a file.
pub fn colours(path: &Path) -> Vec<[u8; 3]> {
    frames(path).into_iter().map(|(_, pixels)| mean(&pixels)).collect()
}

/// The frames of a file: size, and pixels as RGBx.
pub fn frames(path: &Path) -> Vec<((i32, i32), Vec<u8>)> {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(
        "filesrc name=in ! decodebin ! videoconvert ! video/x-raw,format=RGBx ! fakesink name=out signal-handoffs=true",
    );
    let pipeline = pipeline.unwrap();
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    bin.by_name("in").unwrap().set_property("location", path);
    let frames = Arc::new(Mutex::new(Vec::new()));
    let collected = frames.clone();
    bin.by_name("out").unwrap().connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().unwrap();
        let caps = values[2].get::<gst::Pad>().unwrap().current_caps().unwrap();
        let size = |name| caps.structure(0).unwrap().get::<i32>(name).unwrap();
        let pixels = buffer.map_readable().unwrap().to_vec();
        collected.lock().unwrap().push(((size("width"), size("height")), pixels));
        None
    });
    run(&pipeline, path);
    std::mem::take(&mut *frames.lock().unwrap())
}

fn mean(pixels: &[u8]) -> [u8; 3] {
    let count = (pixels.len() / 4) as u64;
    [0, 1, 2].map(|channel| {
        let sum: u64 = pixels.chunks_exact(4).map(|pixel| u64::from(pixel[channel])).sum();
        (sum / count) as u8
    })
}

/// The duration that a file states, in seconds. `ffprobe` of ffmpeg 7 leaves out the time before a late start.
pub fn duration(path: &Path) -> f64 {
    gst::init().unwrap();
    let discoverer = gst_pbutils::Discoverer::new(10 * gst::ClockTime::SECOND).unwrap();
    let uri = gst::glib::filename_to_uri(path, None).unwrap();
    discoverer.discover_uri(&uri).unwrap().duration().unwrap().seconds_f64()
}
