// SPDX-License-Identifier: MIT OR Apache-2.0

//! Timestamps, flags, metas and memory of buffers.

use gst::prelude::*;
use gst_controller::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta, prelude::*};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

fn rig() -> (Models, Rig, VideoInfo) {
    let models = Models::new();
    let mut rig = Rig::new(&models.add("invert.onnx", &generators::invert()));
    let info = video::info(VideoFormat::I420, 64, 48);
    rig.set_info(&info);
    (models, rig, info)
}

/// A frame with timestamps, offsets, flags and metas.
fn laden(info: &VideoInfo) -> gst::Buffer {
    let mut buffer = video::random(info, 1);
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(gst::ClockTime::from_mseconds(120));
    inner.set_dts(gst::ClockTime::from_mseconds(80));
    inner.set_duration(gst::ClockTime::from_mseconds(40));
    inner.set_offset(3);
    inner.set_offset_end(4);
    inner.set_flags(gst::BufferFlags::MARKER | gst::BufferFlags::DISCONT);
    let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
    let taken = gst::ClockTime::from_seconds(1_700_000_000);
    gst::ReferenceTimestampMeta::add(inner, &unix, taken, gst::ClockTime::NONE);
    VideoRegionOfInterestMeta::add(inner, "horse", (4, 8, 16, 12));
    buffer
}

#[test]
fn times_offsets_and_flags_are_kept() {
    let (_models, mut rig, info) = rig();
    let input = laden(&info);
    let output = rig.translate(input.clone());
    assert_eq!((output.pts(), output.dts()), (input.pts(), input.dts()));
    assert_eq!(output.duration(), input.duration());
    assert_eq!((output.offset(), output.offset_end()), (input.offset(), input.offset_end()));
    let flags = gst::BufferFlags::MARKER | gst::BufferFlags::DISCONT;
    assert!(output.flags().contains(flags), "{:?}", output.flags());
}

#[test]
fn metas_are_kept() {
    let (_models, mut rig, info) = rig();
    let output = rig.translate(laden(&info));
    let time = output.meta::<gst::ReferenceTimestampMeta>().expect("no reference timestamp");
    assert_eq!(time.timestamp(), gst::ClockTime::from_seconds(1_700_000_000));
    let region = output.meta::<VideoRegionOfInterestMeta>().expect("no region of interest");
    assert_eq!(region.rect(), (4, 8, 16, 12));
    assert_eq!(region.roi_type(), "horse");
}

#[test]
fn frames_without_times_are_translated() {
    let (_models, mut rig, info) = rig();
    let output = rig.translate(video::random(&info, 2));
    assert_eq!((output.pts(), output.duration()), (None, None));
    assert_eq!(rig.stat::<u64>("frames-translated"), 1);
}

/// The same buffer comes out, without a copy or an allocation.
#[test]
fn strength_0_passes_the_buffer_itself() {
    let (_models, mut rig, info) = rig();
    rig.filter.set_property("strength", 0.0);
    for _ in 0..3 {
        let input = laden(&info);
        let (address, bytes) = (input.as_ptr(), input.map_readable().unwrap().to_vec());
        let output = rig.translate(input);
        assert_eq!(output.as_ptr(), address);
        assert_eq!(output.map_readable().unwrap().as_slice(), bytes);
    }
    assert_eq!(rig.stat::<u64>("frames-passed"), 3);
    assert_eq!(rig.stat::<u64>("frames-translated"), 0);
}

#[test]
fn strength_takes_effect_on_the_next_frame() {
    let (_models, mut rig, info) = rig();
    let dark = || video::flat(&info, [0; 3]);
    let luma = |buffer: &gst::Buffer| buffer.map_readable().unwrap()[0];
    for (strength, expected) in [(1.0, 235), (0.0, 16), (0.5, 126), (0.0, 16), (1.0, 235)] {
        rig.filter.set_property("strength", strength);
        let found = luma(&rig.translate(dark()));
        assert!(found.abs_diff(expected) <= 2, "{strength}: {found} instead of {expected}");
    }
}

/// A ramp from 0 to 1 over a second of stream time, as a video editor binds it.
#[test]
fn strength_follows_a_control_binding() {
    let (_models, mut rig, info) = rig();
    let ramp = gst_controller::InterpolationControlSource::new();
    ramp.set_mode(gst_controller::InterpolationMode::Linear);
    assert!(ramp.set(gst::ClockTime::ZERO, 0.0) && ramp.set(gst::ClockTime::SECOND, 1.0));
    let binding = gst_controller::DirectControlBinding::new(&rig.filter, "strength", &ramp);
    rig.filter.add_control_binding(&binding).unwrap();
    for tenths in 0..=10 {
        let mut dark = video::flat(&info, [0; 3]);
        let time = gst::ClockTime::from_mseconds(tenths * 100);
        dark.get_mut().unwrap().set_pts(time);
        let luma = rig.translate(dark).map_readable().unwrap()[0];
        let expected = 16 + (235 - 16) * tenths / 10;
        assert!(u64::from(luma).abs_diff(expected) <= 2, "{time}: {luma}, expected {expected}");
    }
}

/// Output rows with a larger stride than needed, as hardware asks for.
#[test]
fn frames_are_written_into_padded_memory() {
    rig::init();
    for format in [VideoFormat::I420, VideoFormat::Rgb, VideoFormat::Nv12, VideoFormat::V210] {
        let models = Models::new();
        let path = models.add("invert.onnx", &generators::invert());
        let info = video::info(format, 34, 18);
        let input = video::random(&info, 3);
        let mut plain = Rig::new(&path);
        plain.set_info(&info);
        let expected = plain.translate(input.clone());

        let mut rig = Rig::new(&path);
        offer_padded_memory(&rig.filter.static_pad("src").unwrap(), &info);
        rig.set_info(&info);
        let output = rig.translate(input);
        let meta = output.meta::<gst_video::VideoMeta>().expect("no VideoMeta on padded memory");
        assert!(meta.stride()[0] > info.stride()[0], "the memory offered was not taken");
        let (expected, found) = (video::samples(&expected, &info), video::samples(&output, &info));
        assert_eq!(expected.distance(&found), 0, "{format:?}");
    }
}

/// Answers the ALLOCATION query in place of the harness.
fn offer_padded_memory(pad: &gst::Pad, info: &VideoInfo) {
    let info = info.clone();
    let answer = move |_: &gst::Pad, probe: &mut gst::PadProbeInfo| {
        let Some(gst::QueryViewMut::Allocation(query)) = probe.query_mut().map(|q| q.view_mut())
        else {
            return gst::PadProbeReturn::Ok;
        };
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        let caps = info.to_caps().unwrap();
        config.set_params(Some(&caps), info.size() as u32, 2, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
        let alignment = gst_video::VideoAlignment::new(0, 8, 0, 70, &[0; 4]);
        config.set_video_alignment(&alignment);
        pool.set_config(config).unwrap();
        let size = pool.config().params().unwrap().1;
        query.add_allocation_pool(Some(&pool), size, 2, 0);
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        gst::PadProbeReturn::Handled
    };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, answer).unwrap();
}
