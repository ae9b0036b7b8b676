// SPDX-License-Identifier: MIT OR Apache-2.0

//! Messages about latency, statistics, progress, dropped frames and errors.

use cyclegan_runtime::LoadError;
use gst::{ProgressType, prelude::*, subclass::prelude::*};
use gst_video::VideoInfo;

use super::CycleGanFilter;
use crate::cycleganfilter::lock;

impl CycleGanFilter {
    /// Reports the latency before the first frame, as measured during warm-up. If frames arrive
    /// faster than the generator translates them, each waits for all others in the generator.
    pub(super) fn report_first_latency(&self, info: &VideoInfo) {
        let (numer, denom) = (info.fps().numer().max(0) as u32, info.fps().denom().max(1) as u32);
        let interval = lock(&self.settings).interval;
        let has_moved = {
            let mut state = lock(&self.state);
            let Some(stream) = &state.stream else { return };
            if stream.negotiated.is_none() {
                return;
            }
            let cost = stream.cost();
            let seconds = std::time::Duration::from_secs(denom.into());
            let keeps_up = cost.inference * numer <= seconds.saturating_mul(interval);
            let ahead = if keeps_up { 0 } else { stream.queue.depth() as u32 - 1 };
            let expected = cost.processing + cost.inference * ahead;
            // The same margin as in `Stats::update_latency`.
            state.stats.set_latency(expected + expected / 20)
        };
        if has_moved {
            self.post_latency();
        }
    }

    pub(super) fn post_latency(&self) {
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        let _ = self.obj().post_message(message);
    }

    /// Posts `stats` every `stats-interval`.
    pub(super) fn post_stats(&self) {
        let interval = lock(&self.settings).stats_interval();
        let due = lock(&self.state).stats.due(interval);
        if let Some(structure) = due {
            let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
            let _ = self.obj().post_message(message);
        }
    }

    /// Posts a PROGRESS message.
    pub(super) fn post_progress(&self, progress: ProgressType, code: &str, text: &str) {
        let message = gst::message::Progress::builder(progress, code, text);
        let _ = self.obj().post_message(message.src(&*self.obj()).build());
    }

    /// Counts a dropped frame and posts a QOS message, as the base class does for frames that it
    /// drops.
    pub(super) fn drop_frame(&self, buffer: &gst::BufferRef) {
        let (done, dropped, is_live) = {
            let mut state = lock(&self.state);
            state.stats.frames_dropped += 1;
            let mut is_live = false;
            if let Some(stream) = &mut state.stream {
                stream.mark_dropped();
                is_live = stream.deadlines.is_live();
            }
            (state.stats.frames_translated, state.stats.frames_dropped, is_live)
        };
        let segment = self.time_segment();
        let frames =
            |count| gst::GenericFormattedValue::from(gst::format::Buffers::from_u64(count));
        let message = gst::message::Qos::builder(is_live)
            .running_time(
                segment.as_ref().and_then(|segment| segment.to_running_time(buffer.pts())),
            )
            .stream_time(segment.and_then(|segment| segment.to_stream_time(buffer.pts())))
            .timestamp(buffer.pts())
            .duration(buffer.duration())
            .stats(frames(done), frames(dropped))
            .src(&*self.obj())
            .build();
        let _ = self.obj().post_message(message);
    }

    /// Posts an error that says why frames of `info` cannot be translated. Only once, as upstream
    /// may offer them repeatedly.
    pub(super) fn refuse_frames(
        &self,
        info: &VideoInfo,
        domain: impl gst::MessageErrorDomain,
        reason: &str,
    ) {
        let is_new = {
            let mut state = lock(&self.state);
            state
                .stream
                .as_mut()
                .is_some_and(|stream| stream.refused.replace(info.clone()).as_ref() != Some(info))
        };
        if is_new {
            gst::element_imp_error!(self, domain, ("{reason}"));
        }
    }

    pub(super) fn post_load_error(&self, error: &LoadError) {
        match error {
            LoadError::NoName | LoadError::NotFound { .. } | LoadError::NoPair { .. } => {
                gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{error}"));
            }
            LoadError::Contract { .. } | LoadError::Session { .. } | LoadError::Run { .. } => {
                gst::element_imp_error!(self, gst::ResourceError::Read, ("{error}"));
            }
            LoadError::NoDirection { .. }
            | LoadError::NoVariant { .. }
            | LoadError::Provider { .. } => {
                gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}"));
            }
            LoadError::Runtime(_) => {
                gst::element_imp_error!(self, gst::LibraryError::Init, ("{error}"));
            }
        }
    }
}
