// SPDX-License-Identifier: MIT OR Apache-2.0

//! Unchanged frames are passed in memory that downstream accepts.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// The element with the inverting generator, for frames of `info`.
fn rig_in_flight(max_in_flight: usize, info: &VideoInfo) -> (Models, Rig) {
    let models = Models::new();
    let filter = rig::new_filter();
    let model = models.add("invert.onnx", &generators::invert());
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("max-in-flight", max_in_flight as u32);
    let mut rig = Rig::with_filter(filter);
    rig.set_info(info);
    (models, rig)
}

fn rig() -> (Models, Rig, VideoInfo) {
    let models = Models::new();
    let mut rig = Rig::new(&models.add("invert.onnx", &generators::invert()));
    let info = video::info(VideoFormat::I420, 66, 34);
    rig.set_info(&info);
    (models, rig, info)
}

/// Whether `buffer` has the default layout of `info`.
fn is_default_layout(buffer: &gst::BufferRef, info: &VideoInfo) -> bool {
    let is_promised = |meta: gst::MetaRef<VideoMeta>| {
        meta.stride() == info.stride() && meta.offset() == info.offset()
    };
    buffer.size() == info.size() && buffer.meta::<VideoMeta>().is_none_or(is_promised)
}

#[test]
fn padded_frames_are_copied_if_downstream_has_no_video_meta() {
    for max_in_flight in [1, 3] {
        let info = video::info(VideoFormat::I420, 66, 34);
        let (_models, mut rig) = rig_in_flight(max_in_flight, &info);
        // Strength goes through 0 in the middle of the stream.
        for (seed, strength) in [1.0, 0.0, 0.0, 1.0, 0.0].into_iter().enumerate() {
            rig.filter.set_property("strength", strength);
            let plain = video::random(&info, seed as u64);
            let padded = video::padded(&plain, &info, 7).unwrap();
            assert!(!is_default_layout(&padded, &info), "the test pads nothing");
            let output = rig.translate(padded);
            assert!(is_default_layout(&output, &info), "{strength}: {output:?}");
            if strength == 0.0 {
                let distance =
                    |buffer| video::samples(&plain, &info).distance(&video::samples(buffer, &info));
                assert_eq!(distance(&output), 0);
            }
        }
    }
}

#[test]
fn padded_frames_pass_if_downstream_supports_video_meta() {
    let models = Models::new();
    let mut rig = Rig::new(&models.add("invert.onnx", &generators::invert()));
    let info = video::info(VideoFormat::I420, 66, 34);
    rig.harness.add_propose_allocation_meta(VideoMeta::meta_api(), None);
    rig.set_info(&info);
    rig.filter.set_property("strength", 0.0);
    let padded = video::padded(&video::random(&info, 1), &info, 7).unwrap();
    let address = padded.as_ptr();
    assert_eq!(rig.translate(padded).as_ptr(), address);
}

/// Memory after the end of the frame does not belong to it.
#[test]
fn memory_after_the_frame_is_not_passed() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property("strength", 0.0);
    let frame = video::random(&info, 1);
    let bytes = frame.map_readable().unwrap().to_vec();
    let long = gst::Buffer::from_mut_slice([bytes.as_slice(), &[9; 100]].concat());
    let output = rig.translate(long);
    assert_eq!(output.size(), info.size());
    assert_eq!(video::samples(&frame, &info).distance(&video::samples(&output, &info)), 0);
}

/// Decoders pad planes for elements that offer GstVideoMeta.
#[test]
fn padded_decoder_frames_reach_filesink_without_padding() {
    rig::init();
    for element in ["x264enc", "avdec_h264"] {
        if gst::ElementFactory::find(element).is_none() {
            rig::say_skipped(&format!("SKIP: no {element} here"));
            return;
        }
    }
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    let file = models.folder().join("frames.yuv");
    for strength in [0, 1] {
        let pipeline = rig::pipeline(
            &format!(
                "videotestsrc num-buffers=4 ! video/x-raw,format=I420,width=322,height=242 \
                 ! x264enc ! avdec_h264 ! cycleganfilter inference-size=32 strength={strength} \
                 {{model}} ! filesink location=\"{}\"",
                file.display()
            ),
            &model,
        );
        rig::assert_ended(&rig::run_to_end(&pipeline));
        let written = std::fs::metadata(&file).unwrap().len() as usize;
        let info = VideoInfo::builder(VideoFormat::I420, 322, 242).build().unwrap();
        assert_eq!(written, 4 * info.size(), "strength={strength}");
    }
}

/// As in GstVideoFilter, this is a warning and the stream continues.
#[test]
fn a_short_buffer_is_a_warning() {
    for (late_frames, max_in_flight) in [("translate", 1), ("pass", 1), ("translate", 3)] {
        let models = Models::new();
        let filter = rig::new_filter();
        let model = models.add("invert.onnx", &generators::invert());
        filter.set_property("model", model.to_str().unwrap());
        filter.set_property_from_str("late-frames", late_frames);
        filter.set_property("max-in-flight", max_in_flight as u32);
        let mut rig = Rig::with_filter(filter);
        let info = video::info(VideoFormat::I420, 66, 34);
        rig.set_info(&info);
        rig.translate(video::random(&info, 1));
        for strength in [1.0, 0.0] {
            rig.filter.set_property("strength", strength);
            let short = gst::Buffer::with_size(info.size() / 2).unwrap();
            assert_eq!(rig.harness.push(short), Ok(gst::FlowSuccess::Ok));
        }
        rig.filter.set_property("strength", 1.0);
        let next = rig.translate(video::random(&info, 2));
        assert!(next.flags().contains(gst::BufferFlags::DISCONT));
        let said = rig.said();
        assert!(rig::errors_in(&said).is_empty());
        let warnings = rig::warnings_in(&said);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let (found, expected) = ((info.size() / 2).to_string(), info.size().to_string());
        assert!(warnings[0].contains(&found) && warnings[0].contains(&expected), "{warnings:?}");
        assert_eq!(rig.stat::<u64>("frames-dropped"), 2);
    }
}

/// Upstream's pool would run empty if it were too small for the frames in flight.
#[test]
fn the_allocation_query_asks_for_buffers_for_all_frames_in_flight() {
    for (max_in_flight, held) in [(1, 1), (4, 8)] {
        let info = video::info(VideoFormat::I420, 64, 48);
        let (_models, rig) = rig_in_flight(max_in_flight, &info);
        let caps = info.to_caps().unwrap();
        let mut query = gst::query::Allocation::new(Some(&caps), true);
        assert!(rig.filter.static_pad("sink").unwrap().query(&mut query));
        let pools = query.allocation_pools();
        let (_, size, min, max) = pools.into_iter().next().expect("no pool is proposed");
        assert!(min >= held && (max == 0 || max >= min), "{min} to {max} for {max_in_flight}");
        assert!(size as usize >= info.size());
    }
}

/// Downstream's pool may be empty while a sink shows frames. Only frames wait for it.
#[test]
fn an_exhausted_downstream_pool_does_not_block_properties() {
    let models = Models::new();
    let filter = rig::new_filter();
    let model = models.add("invert.onnx", &generators::invert());
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("max-in-flight", 4u32);
    let mut rig = Rig::with_filter(filter.clone());
    let info = video::info(VideoFormat::I420, 64, 48);
    let pool = gst_video::VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&info.to_caps().unwrap()), info.size() as u32, 2, 2);
    pool.set_config(config).unwrap();
    let (answer, size) = (pool.clone(), info.size() as u32);
    let pad = filter.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, probe| {
        match probe.query_mut().map(|query| query.view_mut()) {
            Some(gst::QueryViewMut::Allocation(query)) => {
                query.add_allocation_pool(Some(&answer), size, 2, 2);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
    rig.set_info(&info);
    // Two frames that downstream keeps.
    let kept = [1, 2].map(|seed| rig.translate(video::random(&info, seed)));
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| rig.harness.push(video::random(&info, 3)));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!blocked.is_finished(), "the pool is not used");
        let start = std::time::Instant::now();
        filter.property::<gst::Structure>("stats");
        filter.set_property("inference-size", 32);
        filter.set_property("strength", 0.5);
        assert!(start.elapsed() < std::time::Duration::from_millis(500));
        drop(kept);
        assert_eq!(blocked.join().unwrap(), Ok(gst::FlowSuccess::Ok));
    });
}

/// Video that cannot be translated is not in the pad templates.
#[test]
fn the_pad_templates_offer_progressive_video_only() {
    let (_models, rig, _) = rig();
    let caps = |mode: &str| {
        format!("video/x-raw,format=I420,width=66,height=34,framerate=25/1,interlace-mode={mode}")
            .parse::<gst::Caps>()
            .unwrap()
    };
    for pad in ["sink", "src"] {
        let pad = rig.filter.static_pad(pad).unwrap();
        assert!(pad.query_caps(None).can_intersect(&caps("progressive")));
        for mode in ["interleaved", "mixed", "fields"] {
            assert!(!pad.query_caps(None).can_intersect(&caps(mode)), "{mode}");
            assert!(!pad.query_accept_caps(&caps(mode)), "{mode}");
        }
    }
}
