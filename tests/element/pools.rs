// SPDX-License-Identifier: MIT OR Apache-2.0

//! Downstream pools whose buffers are too small or not of the negotiated format.

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta, VideoRegionOfInterestMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// A pool that ignores its configuration, as one of `pipewiresink` did.
mod stubborn {
    use std::sync::OnceLock;

    use super::*;

    #[derive(Default)]
    pub struct Pool(pub OnceLock<gst::Buffer>);

    #[glib::object_subclass]
    impl ObjectSubclass for Pool {
        const NAME: &'static str = "CycleGanTestStubbornPool";
        type Type = super::Pool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for Pool {}
    impl GstObjectImpl for Pool {}

    impl BufferPoolImpl for Pool {
        fn alloc_buffer(
            &self,
            _: Option<&gst::BufferPoolAcquireParams>,
        ) -> Result<gst::Buffer, gst::FlowError> {
            let buffer = self.0.get().unwrap().copy_deep().unwrap();
            Ok(buffer)
        }
    }
}

glib::wrapper! {
    pub struct Pool(ObjectSubclass<stubborn::Pool>) @extends gst::BufferPool, gst::Object;
}

/// A pool of copies of `buffer`.
fn pool_of(buffer: gst::Buffer) -> gst::BufferPool {
    let pool: Pool = glib::Object::new();
    pool.imp().0.set(buffer).unwrap();
    pool.upcast()
}

/// Answers the ALLOCATION query of `filter` with `pool` and buffers of `size` bytes.
fn offer(
    filter: &gst::Element,
    size: usize,
    pool: impl Fn() -> gst::BufferPool + Send + Sync + 'static,
) {
    let answer = move |_: &gst::Pad, probe: &mut gst::PadProbeInfo| {
        let Some(gst::QueryViewMut::Allocation(query)) = probe.query_mut().map(|q| q.view_mut())
        else {
            return gst::PadProbeReturn::Ok;
        };
        query.add_allocation_pool(Some(&pool()), size as u32, 2, 0);
        query.add_allocation_meta::<VideoMeta>(None);
        gst::PadProbeReturn::Handled
    };
    let pad = filter.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, answer).unwrap();
}

fn rig(models: &Models, max_in_flight: u32) -> Rig {
    let filter = rig::new_filter();
    let model = models.add("invert.onnx", &generators::invert());
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property("max-in-flight", max_in_flight);
    Rig::with_filter(filter)
}

fn frame(info: &VideoInfo, seed: u64) -> gst::Buffer {
    let mut frame = video::random(info, seed);
    let inner = frame.get_mut().unwrap();
    inner.set_pts(gst::ClockTime::from_mseconds(40 * seed));
    VideoRegionOfInterestMeta::add(inner, "horse", (4, 8, 16, 12));
    frame
}

/// Asserts that the output is the same as without a pool; returns the warnings.
fn assert_translated(rig: &mut Rig, info: &VideoInfo) -> Vec<String> {
    let models = Models::new();
    let mut plain = self::rig(&models, 1);
    plain.set_info(info);
    rig.set_info(info);
    for seed in 1..5 {
        let expected = plain.translate(frame(info, seed));
        let found = rig.translate(frame(info, seed));
        let distance = video::samples(&expected, info).distance(&video::samples(&found, info));
        assert_eq!(distance, 0, "frame {seed} of {:?}", info.format());
        assert_eq!(found.pts(), expected.pts());
        assert_eq!(found.meta::<VideoRegionOfInterestMeta>().unwrap().rect(), (4, 8, 16, 12));
    }
    let said = rig.said();
    assert!(rig::errors_in(&said).is_empty(), "{:?}", rig::errors_in(&said));
    rig::warnings_in(&said)
}

/// `pipewiresink` leaves the size to the element that uses the pool.
#[test]
fn a_pool_without_a_size_gets_the_frame_size() {
    for max_in_flight in [1, 3] {
        let models = Models::new();
        let info = video::info(VideoFormat::I420, 66, 34);
        let mut rig = rig(&models, max_in_flight);
        let pool = gst::BufferPool::new();
        let offered = pool.clone();
        offer(&rig.filter, 0, move || offered.clone());
        assert_eq!(assert_translated(&mut rig, &info), [""; 0]);
        assert_eq!(pool.config().params().unwrap().1 as usize, info.size());
    }
}

#[test]
fn buffers_that_are_too_small_are_replaced_with_one_warning() {
    let models = Models::new();
    for format in [VideoFormat::I420, VideoFormat::Rgb, VideoFormat::V210] {
        let info = video::info(format, 66, 34);
        for (size, max_in_flight) in [(0, 1), (16, 3), (info.size() - 1, 1)] {
            let mut rig = rig(&models, max_in_flight);
            let small = gst::Buffer::with_size(size).unwrap();
            offer(&rig.filter, info.size(), move || pool_of(small.copy()));
            let warnings = assert_translated(&mut rig, &info);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            let (found, expected) = (format!("({size} bytes"), info.size().to_string());
            assert!(
                warnings[0].contains(&found) && warnings[0].contains(&expected),
                "{warnings:?}"
            );
        }
    }
}

/// The VideoMeta may have planes beyond the buffer, or describe another format.
#[test]
fn buffers_with_a_wrong_video_meta_are_replaced_with_one_warning() {
    let models = Models::new();
    for format in [VideoFormat::Rgb, VideoFormat::I420] {
        let info = video::info(format, 66, 34);
        let other = video::info(format, 64, 32);
        for (meta, size) in [(&info, info.size() - 4), (&other, info.size())] {
            let mut buffer = gst::Buffer::with_size(size).unwrap();
            VideoMeta::add_full(
                buffer.get_mut().unwrap(),
                VideoFrameFlags::empty(),
                format,
                meta.width(),
                meta.height(),
                meta.offset(),
                meta.stride(),
            )
            .unwrap();
            let mut rig = rig(&models, 1);
            offer(&rig.filter, info.size(), move || pool_of(buffer.copy()));
            let warnings = assert_translated(&mut rig, &info);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
        }
    }
}

/// After new caps, downstream may offer a correct pool.
#[test]
fn the_next_pool_is_tried_again() {
    let models = Models::new();
    let info = video::info(VideoFormat::I420, 66, 34);
    let mut rig = rig(&models, 1);
    let size = info.size();
    offer(&rig.filter, size, move || pool_of(gst::Buffer::with_size(size).unwrap()));
    assert_eq!(assert_translated(&mut rig, &info).len(), 0);
    let larger = video::info(VideoFormat::I420, 96, 64);
    assert_eq!(assert_translated(&mut rig, &larger).len(), 1);
    assert_eq!(assert_translated(&mut rig, &info).len(), 0);
}

/// The VideoMeta of upstream's buffers is checked before the buffer is read.
#[test]
fn an_input_buffer_shorter_than_its_planes_is_dropped() {
    let models = Models::new();
    let info = video::info(VideoFormat::Rgb, 66, 34);
    let mut rig = rig(&models, 1);
    rig.set_info(&info);
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let inner = buffer.get_mut().unwrap();
    let (flags, format) = (VideoFrameFlags::empty(), info.format());
    VideoMeta::add(inner, flags, format, info.width(), info.height()).unwrap();
    inner.set_size(info.size() / 2);
    assert_eq!(rig.harness.push(buffer), Ok(gst::FlowSuccess::Ok));
    let warnings = rig::warnings_in(&rig.said());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(&format!("{} bytes", info.size() / 2)), "{warnings:?}");
    assert_eq!(rig.stat::<u64>("frames-dropped"), 1);
}
