// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames in GL memory give the same images as in system memory, on a GPU and on Mesa's software renderer.

use std::path::Path;

use gst::prelude::*;
use gst_check::Harness;
use gst_gl::{GLBaseMemory, GLMemory, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, VideoRegionOfInterestMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig, assert_ended, run_to_end},
    skip::say_skipped,
    video,
};

/// Whether OpenGL works here; reports the test as skipped otherwise.
pub fn is_gl_there() -> bool {
    rig::init();
    let mut message = "the elements of gstreamer1.0-gl are missing".to_owned();
    let pipeline = "gltestsrc num-buffers=1 ! gldownload ! fakesink";
    if let Ok(pipeline) = gst::parse::launch(pipeline) {
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let messages = run_to_end(&pipeline);
        let mut errors = messages.iter().filter_map(|message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        });
        match errors.next_back() {
            None => return true,
            Some(error) => message = error,
        }
    }
    say_skipped(&format!("SKIP: no OpenGL display opens here: {message}"));
    false
}

/// A harness in which `cycleganfilter` gets frames in GL or system memory; its input and output are in
/// system memory.
pub struct Way {
    pub harness: Harness,
    pub filter: gst::Element,
    info: VideoInfo,
}

impl Way {
    /// `filters` describes the elements between upload and download; the first one is the filter, named `f`.
    pub fn new(is_gl: bool, filters: &str, model: &Path, info: &VideoInfo) -> Self {
        rig::init();
        let filters = filters.replace("{model}", &format!("model=\"{}\"", model.display()));
        let description = match is_gl {
            true => format!("glupload ! {filters} ! gldownload"),
            false => filters,
        };
        let mut harness = Harness::new_parse(&description);
        let bin = harness.element().unwrap();
        let filter = match bin.downcast::<gst::Bin>() {
            Ok(bin) => bin.by_name("f").unwrap(),
            Err(filter) => filter,
        };
        harness.set_caps(info.to_caps().unwrap(), info.to_caps().unwrap());
        Self { harness, filter, info: info.clone() }
    }

    pub fn push(&mut self, buffer: gst::Buffer) {
        self.harness.push(buffer).unwrap();
    }

    /// The next frame's bytes.
    pub fn pull(&mut self) -> Vec<u8> {
        let buffer = self.harness.pull().expect("no frame came out");
        bytes(&buffer, &self.info)
    }

    pub fn translate(&mut self, buffer: gst::Buffer) -> Vec<u8> {
        self.push(buffer);
        self.pull()
    }

    pub fn stat(&self, field: &str) -> u64 {
        self.filter.property::<gst::Structure>("stats").get(field).unwrap()
    }
}

/// R, G, B and alpha of each pixel.
pub fn bytes(buffer: &gst::Buffer, info: &VideoInfo) -> Vec<u8> {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let stride = frame.plane_stride()[0] as usize;
    let rows = frame.plane_data(0).unwrap().chunks(stride);
    let width = 4 * info.width() as usize;
    rows.take(info.height() as usize).flat_map(|row| row[..width].to_vec()).collect()
}

/// Asserts that alpha is the same, and colours within `tolerance` grey levels.
pub fn assert_close(found: &[u8], expected: &[u8], tolerance: u8, what: &str) {
    let alphas = |pixels: &[u8]| -> Vec<u8> { pixels.iter().skip(3).step_by(4).copied().collect() };
    assert!(alphas(found) == alphas(expected), "{what}: alpha differs");
    assert_near(found, expected, tolerance, what);
}

/// Asserts that all components are within `tolerance` grey levels. GStreamer scales in steps of 8 bits,
/// which puts a few samples of random frames further from the mean that the GPU takes.
pub fn assert_near(found: &[u8], expected: &[u8], tolerance: u8, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let mut further = 0;
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(a.abs_diff(*b) <= 2 * tolerance, "{what}: byte {i} is {a}, expected {b}");
        further += usize::from(a.abs_diff(*b) > tolerance);
    }
    let share = further as f64 / found.len() as f64;
    assert!(share < 5e-3, "{what}: {share} of the samples are further than {tolerance} off");
}

pub const RGBA: VideoFormat = VideoFormat::Rgba;

/// Width, height and inference size: frames that are upscaled for the generator, odd ones, one of its own size, and
/// some that are halved once or twice before they are scaled.
const SIZES: [(u32, u32, u32); 7] = [
    (64, 48, 96),
    (97, 61, 48),
    (128, 96, 96),
    (241, 181, 96),
    (456, 256, 200),
    (640, 512, 128),
    (720, 640, 64),
];

/// Halves contrast. This also halves the differences between the memories, which an inverting generator would
/// double.
pub fn pale() -> cyclegan_contract::onnx::ModelProto {
    generators::linear(0.5, 0.3)
}

/// Runs the same frames in both memories.
fn compare(filters: &str, model: &Path, info: &VideoInfo, tolerance: u8) {
    let frames = [video::random(info, 1), smooth(info, 0), smooth(info, 5)];
    compare_frames(filters, model, info, tolerance, &frames);
}

fn compare_frames(
    filters: &str,
    model: &Path,
    info: &VideoInfo,
    tolerance: u8,
    frames: &[gst::Buffer],
) {
    let mut gl = Way::new(true, filters, model, info);
    let mut system = Way::new(false, filters, model, info);
    for (i, frame) in frames.iter().enumerate() {
        let (found, expected) = (gl.translate(frame.clone()), system.translate(frame.clone()));
        let what = format!("{filters}, {}×{}, frame {i}", info.width(), info.height());
        assert_close(&found, &expected, tolerance, &what);
    }
    assert_eq!(gl.stat("frames-translated"), system.stat("frames-translated"));
    let caps = gl.filter.static_pad("src").unwrap().current_caps().unwrap();
    assert!(caps.features(0).unwrap().contains("memory:GLMemory"), "{caps}");
}

/// A smooth image, moved to the right by `shift`.
pub fn smooth(info: &VideoInfo, shift: u32) -> gst::Buffer {
    video::picture(info, |x, y| {
        let wave = |period: u32| {
            let angle = f64::from(x + shift + y) / f64::from(period);
            (127.5 + 127.5 * angle.sin()) as u8
        };
        [wave(40), wave(61), wave(90)]
    })
}

#[test]
fn gl_memory_gives_the_same_image_as_system_memory() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let identity = models.add("identity.onnx", &generators::identity());
    for (width, height, side) in SIZES {
        let info = video::info(RGBA, width, height);
        let filter = format!("cycleganfilter name=f {{model}} inference-size={side}");
        compare(&filter, &model, &info, 2);
        // With plain upscaling, the output depends only on the generator's input.
        compare(&format!("{filter} upscale=plain"), &identity, &info, 2);
    }
}

#[test]
fn properties_have_the_same_effect_in_gl_memory() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, 197, 151);
    for properties in [
        "strength=0.3",
        "upscale=plain",
        "upscale=plain strength=0.6",
        "smoothing=0.5",
        "inference-size=-1",
    ] {
        compare(&format!("cycleganfilter name=f {{model}} {properties}"), &model, &info, 2);
    }
}

/// Pixels that the generator does not change are bit-identical, and so is alpha.
#[test]
fn unchanged_pixels_and_alpha_are_bit_identical() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let identity = models.add("identity.onnx", &generators::identity());
    let masked = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    for (width, height) in [(64, 48), (455, 256), (641, 481)] {
        let info = video::info(RGBA, width, height);
        let mut way = Way::new(true, "cycleganfilter name=f {model}", &identity, &info);
        for seed in 1..4 {
            let frame = video::random(&info, seed);
            let output = way.translate(frame.clone());
            assert_eq!(output, bytes(&frame, &info), "{width}×{height}");
        }
        // The mask is the red of the frame, so the right half is left alone.
        let frame = video::picture(&info, |x, _| [if 2 * x < width { 250 } else { 0 }, 90, 30]);
        let mut way = Way::new(true, "cycleganfilter name=f {model}", &masked, &info);
        let output = way.translate(frame.clone());
        let frame = bytes(&frame, &info);
        let is_same = |x: usize| {
            let place = 4 * (20 * width as usize + x);
            output[place..place + 4] == frame[place..place + 4]
        };
        assert!(!is_same(2) && (3 * width as usize / 4..width as usize).all(is_same));
    }
}

/// Strength is read for each frame, and at 0 the input texture itself is passed.
#[test]
fn strength_takes_effect_on_the_next_texture() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    let info = video::info(RGBA, 240, 180);
    let mut gl = Way::new(true, "cycleganfilter name=f {model}", &model, &info);
    let mut system = Way::new(false, "cycleganfilter name=f {model}", &model, &info);
    let (ins, outs) = (memories(&gl.filter, "sink"), memories(&gl.filter, "src"));
    for strength in [1.0, 0.25, 0.0, 0.8] {
        for way in [&gl, &system] {
            way.filter.set_property("strength", strength);
        }
        let frame = smooth(&info, 3);
        let (found, expected) = (gl.translate(frame.clone()), system.translate(frame.clone()));
        assert_close(&found, &expected, 4, &format!("strength {strength}"));
        let (input, output) = (ins.try_recv().unwrap(), outs.try_recv().unwrap());
        assert_eq!(input == output, strength == 0.0, "at strength {strength}");
        if strength == 0.0 {
            assert_eq!(found, bytes(&frame, &info));
        }
    }
    assert_eq!(gl.stat("frames-passed"), 1);
}

/// The address of the memory of each buffer that passes a pad.
fn memories(filter: &gst::Element, pad: &str) -> std::sync::mpsc::Receiver<usize> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let pad = filter.static_pad(pad).unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let buffer = probe.buffer().unwrap();
        let _ = sender.send(buffer.peek_memory(0).as_ptr() as usize);
        gst::PadProbeReturn::Ok
    });
    receiver
}

#[test]
fn two_filters_share_a_pipeline() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, 500, 302);
    let filters = "cycleganfilter name=f {model} ! cycleganfilter {model} strength=0.5";
    compare(filters, &model, &info, 3);
}

/// Attaches two boxes to each frame after glupload, which drops them.
fn add_boxes(filter: &gst::Element) {
    add_these(filter, &[(30, 40, 90, 80), (200, 100, 120, 150)]);
}

/// Boxes on each frame, behind glupload.
pub fn add_these(filter: &gst::Element, boxes: &[(u32, u32, u32, u32)]) {
    let (pad, boxes) = (filter.static_pad("sink").unwrap(), boxes.to_vec());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let buffer = probe.buffer_mut().unwrap().make_mut();
        for place in &boxes {
            VideoRegionOfInterestMeta::add(buffer, "horse", *place);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The CPU writes masks, so they are in system memory.
#[test]
fn output_mask_of_a_texture_is_gray8() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("masked.onnx", &generators::with_mask(generators::invert()));
    let info = video::info(RGBA, 400, 300);
    let gray = video::info(VideoFormat::Gray8, 400, 300);
    for (regions, tolerance) in [("frame", 4), ("meta", 4)] {
        let masks = ["glupload ! ", "identity ! "].map(|upload| {
            let filters = format!(
                "{upload}cycleganfilter name=f model=\"{}\" output=mask regions={regions}",
                model.display()
            );
            let mut harness = Harness::new_parse(&filters);
            let bin = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
            add_boxes(&bin.by_name("f").unwrap());
            harness.set_src_caps(info.to_caps().unwrap());
            harness.push(smooth(&info, 0)).unwrap();
            let mask = harness.pull().unwrap();
            assert_eq!(mask.size(), gray.size());
            mask.map_readable().unwrap().to_vec()
        });
        let most = masks[0].iter().zip(&masks[1]).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most <= tolerance, "{regions}: {most}");
        assert!(masks[0].iter().any(|&value| value > 100), "{regions}");
        assert_eq!(masks[0][0] == 0 && masks[0][1] == 0, regions == "meta");
    }
}

/// Some elements do not forward allocation queries, and downstream's is about system memory.
#[test]
fn masks_of_textures_need_no_allocation_query() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let pipeline = rig::pipeline(
        "gltestsrc num-buffers=3 ! video/x-raw(memory:GLMemory),width=64,height=48 \
         ! identity drop-allocation=true ! cycleganfilter name=filter output=mask {model} ! fakesink",
        &models.add("masked.onnx", &generators::with_mask(generators::invert())),
    );
    assert_ended(&run_to_end(&pipeline));
    let stats = pipeline.by_name("filter").unwrap().property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames-translated"), Ok(3));
}

/// A filter gets frames in system memory, then another element's textures, then system memory again.
#[test]
fn caps_can_change_between_system_and_gl_memory() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, 240, 180);
    let mut upload = Harness::new("glupload");
    upload.set_src_caps(info.to_caps().unwrap());
    let frame = smooth(&info, 0);
    upload.push(frame.clone()).unwrap();
    let texture = upload.pull().unwrap();
    let texture_caps = upload.sinkpad().unwrap().current_caps().unwrap();
    let mut rig = Rig::new(&model);
    // As the pipeline that both are in would do it.
    let mut query = gst::query::Context::new("gst.gl.GLDisplay");
    assert!(upload.element().unwrap().static_pad("src").unwrap().query(&mut query));
    rig.filter.set_context(&query.context_owned().unwrap());
    let mut expected = None;
    for is_texture in [false, true, true, false, true] {
        let (caps, buffer) = match is_texture {
            true => (texture_caps.clone(), texture.clone()),
            false => (info.to_caps().unwrap(), frame.clone()),
        };
        rig.harness.set_src_caps(caps);
        let output = rig.translate(buffer);
        let memory = output.peek_memory(0);
        let allocator = memory.allocator().map_or("none", |allocator| allocator.type_().name());
        assert_eq!(allocator.starts_with("GstGLMemory"), is_texture, "{allocator}");
        let output = bytes(&output, &info);
        assert_close(&output, expected.get_or_insert(output.clone()), 2, "after a change");
    }
    assert!(rig::errors_in(&rig.said()).is_empty());
}

/// Lets the texture of `buffer` expect mipmaps, which it lacks, as applications may set it.
fn expect_mipmaps(buffer: &gst::BufferRef) {
    const TEXTURE_2D: u32 = 0x0DE1;
    const TEXTURE_MIN_FILTER: u32 = 0x2801;
    const LINEAR_MIPMAP_LINEAR: i32 = 0x2703;
    let memory = buffer.peek_memory(0);
    let texture = memory.downcast_memory_ref::<GLMemory>().unwrap().texture_id();
    let context = memory.downcast_memory_ref::<GLBaseMemory>().unwrap().context();
    context.thread_add(|context| {
        let (bind, set) =
            (context.proc_address("glBindTexture"), context.proc_address("glTexParameteri"));
        // SAFETY: these are their C declarations, and this is the context's thread.
        unsafe {
            let bind: unsafe extern "system" fn(u32, u32) = std::mem::transmute(bind);
            let set: unsafe extern "system" fn(u32, u32, i32) = std::mem::transmute(set);
            bind(TEXTURE_2D, texture);
            set(TEXTURE_2D, TEXTURE_MIN_FILTER, LINEAR_MIPMAP_LINEAR);
            bind(TEXTURE_2D, 0);
        }
    });
}

/// OpenGL reads black from a texture that lacks its mipmaps. A skipped frame is only composited.
#[test]
fn a_texture_without_its_mipmaps_is_not_black() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, 240, 180);
    let filter = "cycleganfilter name=f {model} interval=2";
    let mut gl = Way::new(true, filter, &model, &info);
    let mut system = Way::new(false, filter, &model, &info);
    let pad = gl.filter.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, |_, probe| {
        expect_mipmaps(probe.buffer().unwrap());
        gst::PadProbeReturn::Ok
    });
    for number in 0..4 {
        let frame = smooth(&info, number);
        let (found, expected) = (gl.translate(frame.clone()), system.translate(frame));
        assert_close(&found, &expected, 2, &format!("frame {number}"));
    }
    assert_eq!(gl.stat("frames-skipped"), 2);
}

/// The other branch of a tee gets the original texture.
#[test]
fn a_shared_texture_is_not_modified() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    let description = "videotestsrc num-buffers=6 pattern=white ! video/x-raw,format=RGBA,width=320,height=240 ! \
        glupload ! tee name=t \
        t. ! queue ! cycleganfilter {model} max-in-flight=2 ! gldownload ! fakesink name=changed signal-handoffs=true \
        t. ! queue ! gldownload ! fakesink name=own signal-handoffs=true";
    let pipeline = rig::pipeline(description, &model);
    let (sender, receiver) = std::sync::mpsc::channel();
    for (name, expected) in [("changed", 0), ("own", 255)] {
        let sender = sender.clone();
        let sink = pipeline.by_name(name).unwrap();
        sink.connect("handoff", false, move |values| {
            let buffer = values[1].get::<gst::Buffer>().unwrap();
            let map = buffer.map_readable().unwrap();
            let is_right = map.chunks(4).all(|pixel| pixel == [expected, expected, expected, 255]);
            sender.send(is_right).unwrap();
            None
        });
    }
    assert_ended(&run_to_end(&pipeline));
    let frames: Vec<_> = receiver.try_iter().collect();
    assert_eq!(frames, [true; 12]);
}

/// Only the generator's input, the residual and, once, the weights of its upscaling are transferred between CPU and GPU.
#[test]
fn only_generator_sized_images_are_downloaded_and_uploaded() {
    if !is_gl_there() {
        return;
    }
    let models = Models::new();
    let model = models.add("pale.onnx", &pale());
    let info = video::info(RGBA, 640, 480);
    let mut gl = Way::new(true, "cycleganfilter name=f {model} inference-size=96", &model, &info);
    for shift in 0..3 {
        gl.translate(smooth(&info, shift));
    }
    let picture = 128 * 96;
    assert_eq!(gl.stat("gl-bytes-down"), 3 * 4 * picture);
    assert_eq!(gl.stat("gl-bytes-up"), 3 * 8 * picture + 4 * (640 + 480));
}
