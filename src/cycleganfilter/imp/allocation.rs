// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocation queries: how many buffers are needed at once, and what neighbours support.

use gst_video::{VideoInfo, VideoMeta, VideoOverlayCompositionMeta};

use super::CycleGanFilter;
use crate::cycleganfilter::lock;

/// Maximum memory for finished frames of a live pipeline that wait for the sink, in bytes.
const LIVE_BYTES: usize = 256 << 20;
/// Minimum and maximum number of such frames.
const LIVE_FRAMES: std::ops::RangeInclusive<usize> = 4..=240;

impl CycleGanFilter {
    /// Asks upstream for enough buffers for the frames in flight, which hold their input, and tells
    /// it whether downstream draws overlays.
    pub(super) fn ask_for_input_buffers(&self, query: &mut gst::query::Allocation) {
        let held = self.queue().map_or(1, |queue| most_held(queue.depth())) as u32;
        if query.allocation_pools().next().is_none()
            && let Some(caps) = query.get().0
            && let Ok(info) = VideoInfo::from_caps(caps)
        {
            query.add_allocation_pool(gst::BufferPool::NONE, info.size() as u32, held, 0);
        }
        change_pools(query, |size, min, max| {
            let min = min.max(held);
            (size, min, if max == 0 { 0 } else { max.max(min) })
        });
        let overlays = lock(&self.state).stream.as_ref().and_then(|stream| stream.overlays.clone());
        if let Some(window) = overlays
            && query.find_allocation_meta::<VideoOverlayCompositionMeta>().is_none()
        {
            query.add_allocation_meta::<VideoOverlayCompositionMeta>(window.as_deref());
        }
    }

    /// Asks downstream's pool for enough buffers for the frames in flight, up to its maximum, with room
    /// for a frame: `pipewiresink` offers a pool without a size. Records whether downstream supports
    /// padded planes and overlays.
    pub(super) fn ask_for_output_buffers(&self, query: &mut gst::query::Allocation) {
        let takes_video_meta = query.find_allocation_meta::<VideoMeta>().is_some();
        let overlays = query.find_allocation_meta::<VideoOverlayCompositionMeta>();
        let window = |index| query.allocation_metas().nth(index as usize)?.1.map(ToOwned::to_owned);
        let overlays = overlays.map(window);
        let (depth, own_pool) = {
            let mut state = lock(&self.state);
            let Some(stream) = &mut state.stream else { return };
            stream.takes_video_meta = takes_video_meta;
            stream.overlays = overlays;
            (stream.queue.depth(), stream.own_pool.take())
        };
        drop(own_pool);
        let info = query.get().0.and_then(|caps| VideoInfo::from_caps(caps).ok());
        let frame = info.map_or(0, |info| info.size() as u32);
        let needed = if depth == 1 { 0 } else { depth as u32 + 1 };
        change_pools(query, |size, min, max| {
            let most = if max == 0 { u32::MAX } else { max };
            (size.max(frame), min.max(needed.min(most)), max)
        });
    }
}

/// Replaces the size, minimum and maximum of each pool in `query`.
fn change_pools(
    query: &mut gst::query::Allocation,
    change: impl Fn(u32, u32, u32) -> (u32, u32, u32),
) {
    let pools: Vec<_> = query.allocation_pools().map(|pool| pool.to_owned()).collect();
    for (index, (pool, size, min, max)) in (0..).zip(pools) {
        let (size, min, max) = change(size, min, max);
        query.set_nth_allocation_pool(index, pool.as_ref(), size, min, max);
    }
}

/// How many input buffers the queue may hold if up to `depth` frames are in the generator.
pub fn most_held(depth: usize) -> usize {
    if depth == 1 { 1 } else { 2 * depth }
}

/// How many more frames may be queued in a live pipeline of the given latency: all frames that
/// arrive during the latency, plus one second, within [`LIVE_BYTES`].
pub fn live_room(info: &VideoInfo, latency: Option<gst::ClockTime>) -> usize {
    let latency = latency.unwrap_or(gst::ClockTime::ZERO) + gst::ClockTime::SECOND;
    let in_time = (latency.seconds_f64() * frame_rate(info)).ceil() as usize;
    in_time.clamp(*LIVE_FRAMES.start(), most_live(info))
}

/// How long the frames of a live pipeline may wait in the queue, at any latency.
pub fn longest_wait(info: &VideoInfo) -> gst::ClockTime {
    /// Rates can be so low that the time would overflow.
    const HOUR: f64 = 3600.0;
    gst::ClockTime::from_seconds_f64((most_live(info) as f64 / frame_rate(info)).min(HOUR))
}

/// How many more frames may be queued in a live pipeline at any latency.
fn most_live(info: &VideoInfo) -> usize {
    (LIVE_BYTES / info.size().max(1)).clamp(*LIVE_FRAMES.start(), *LIVE_FRAMES.end())
}

/// Frames per second; a usual rate if it is not known.
fn frame_rate(info: &VideoInfo) -> f64 {
    match (info.fps().numer(), info.fps().denom()) {
        (numer @ 1.., denom @ 1..) => f64::from(numer) / f64::from(denom),
        _ => 30.0,
    }
}

/// Whether `buffer` has the default layout of `info`, which elements without support for
/// `GstVideoMeta` expect.
pub fn is_default_layout(buffer: &gst::BufferRef, info: &VideoInfo) -> bool {
    let is_promised = |meta: gst::MetaRef<VideoMeta>| {
        meta.stride() == info.stride() && meta.offset() == info.offset()
    };
    buffer.size() == info.size() && buffer.meta::<VideoMeta>().is_none_or(is_promised)
}

#[cfg(test)]
mod tests {
    use gst_video::VideoFormat;

    use super::*;

    #[test]
    fn live_frames_wait_for_their_time_within_bounds_of_memory() {
        gst::init().unwrap();
        let room = |format, width, height, fps, latency| {
            let info = VideoInfo::builder(format, width, height).fps((fps, 1)).build().unwrap();
            live_room(&info, Some(gst::ClockTime::from_mseconds(latency)))
        };
        assert_eq!(room(VideoFormat::I420, 320, 240, 60, 600), 96);
        assert_eq!(room(VideoFormat::Rgba, 3840, 2160, 60, 600), 8);
        assert_eq!(room(VideoFormat::Rgba64Le, 7680, 4320, 60, 600), 4);
        assert_eq!(room(VideoFormat::I420, 16, 16, 1000, 600), 240);
    }

    #[test]
    fn the_longest_wait_is_finite_at_any_rate() {
        gst::init().unwrap();
        let wait = |rate| {
            let info = VideoInfo::builder(VideoFormat::I420, 16, 16).fps(rate).build().unwrap();
            longest_wait(&info).seconds()
        };
        assert_eq!([(60, 1), (0, 1), (1, i32::MAX)].map(wait), [4, 8, 3600]);
    }
}
