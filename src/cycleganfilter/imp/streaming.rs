// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens to each frame, and what is told of it: translation, late frames, latency, stats.

use std::time::{Duration, Instant};

use gst::{prelude::*, subclass::prelude::*};
use gst_base::prelude::*;
use gst_video::VideoFrameRef;

use super::{CAT, CycleGanFilter, State};
use crate::{
    cycleganfilter::{LateFrames, TranslateError, lock, settings::PerFrame},
    frame::copy,
};

impl CycleGanFilter {
    /// Takes a frame through the generator.
    pub(super) fn translate(
        &self,
        state: &mut State,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        settings: &PerFrame,
    ) -> Result<gst::FlowSuccess, TranslateError> {
        let start = Instant::now();
        let translator = state.translators.get(settings.direction.of_model())?;
        let inference =
            translator.translate(input, output, settings.upscale, settings.smoothing)?;
        let size = translator.size();
        let total = start.elapsed();
        gst::trace!(CAT, imp = self, "translated in {total:?}, inference {inference:?}");

        let has_moved = {
            let mut stats = lock(&self.stats);
            stats.translated(inference, total);
            stats.running.update(&state.translators.pair, settings.direction, size);
            stats.update_latency()
        };
        if has_moved {
            self.post_latency();
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Deals with a late frame as the user wishes, without the generator.
    pub(super) fn make_do(
        &self,
        state: &mut State,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        settings: &PerFrame,
    ) -> Result<gst::FlowSuccess, TranslateError> {
        gst::trace!(CAT, imp = self, "a late frame: {:?}", settings.late_frames);
        if settings.late_frames == LateFrames::Drop {
            lock(&self.stats).frames_dropped += 1;
            return Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED);
        }
        let is_held = settings.late_frames == LateFrames::Hold && {
            let translator = state.translators.get(settings.direction.of_model())?;
            lock(translator.finish()).composite(input, output, settings.upscale)?
        };
        if is_held {
            lock(&self.stats).frames_held += 1;
        } else {
            copy(input, output)?;
            lock(&self.stats).frames_passed += 1;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Whether the frame in `buffer` would come too late at the sink.
    pub(super) fn is_late(&self, buffer: &gst::BufferRef) -> bool {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        let expected = lock(&self.stats).expected();
        let expected = gst::ClockTime::try_from(expected).unwrap_or(gst::ClockTime::ZERO);
        let deadlines = *lock(&self.deadlines);
        deadlines.is_late(time, self.obj().current_running_time(), expected)
    }

    pub(super) fn latency(&self) -> gst::ClockTime {
        let latency = lock(&self.stats).latency();
        gst::ClockTime::try_from(latency).unwrap_or(gst::ClockTime::ZERO)
    }

    pub(super) fn set_latency(&self, measured: Duration) {
        let has_moved = lock(&self.stats).set_latency(measured);
        if has_moved {
            self.post_latency();
        }
    }

    pub(super) fn post_latency(&self) {
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        let _ = self.obj().post_message(message);
    }

    /// Posts `stats` if the last time was an `interval` ago.
    pub(super) fn post_stats(&self, state: &mut State, interval: Duration) {
        if interval.is_zero() || state.last_stats.elapsed() < interval {
            return;
        }
        state.last_stats = Instant::now();
        let structure = lock(&self.stats).to_structure();
        let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
        let _ = self.obj().post_message(message);
    }
}
