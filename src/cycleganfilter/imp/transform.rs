// SPDX-License-Identifier: MIT OR Apache-2.0

//! The virtual methods of GstBaseTransform and GstVideoFilter: caps, events, queries and frames.

use cyclegan_runtime::Interrupt;
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{base_transform::GenerateOutputSuccess, prelude::*},
};
use gst_video::{
    CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION, VideoFormat, VideoInfo, subclass::prelude::*,
};

use super::{CAT, CycleGanFilter, allocation::longest_wait, alpha};
use crate::cycleganfilter::{
    Output,
    frames::Item,
    gl,
    lateness::Deadlines,
    lock,
    memory::FrameInfo,
    state::Stream,
    stats::Stats,
    translator::{Continuity, TranslateError},
};

impl BaseTransformImpl for CycleGanFilter {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let stream = Stream {
            queue: self.new_queue()?,
            deadlines: Deadlines::default(),
            flush: Interrupt::default(),
            stop: Interrupt::default(),
            is_failing: false,
            outside: Vec::new(),
            refused: None,
            takes_video_meta: false,
            overlays: None,
            own_pool: None,
            negotiated: None,
            to_alpha: None,
        };
        let mut state = lock(&self.state);
        state.stats = Stats::default();
        state.stream = Some(stream);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = lock(&self.state).stream.take();
        // Without the lock: this waits for the queue's threads, which take it.
        drop(stream);
        self.contexts.release_context();
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let output = lock(&self.settings).output;
        let caps = peer_caps(direction, caps, output);
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        })
    }

    fn fixate_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        other: gst::Caps,
    ) -> gst::Caps {
        let is_alpha = lock(&self.settings).output == Output::Alpha;
        let is_wanted = is_alpha && direction == gst::PadDirection::Sink;
        let other = if is_wanted { alpha::choose_format(caps, other) } else { other };
        self.parent_fixate_caps(direction, caps, other)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Context(query) = query.view_mut()
            && self.contexts.answer(&*self.obj(), query)
        {
            return true;
        }
        if direction == gst::PadDirection::Sink {
            if query.is_serialized() {
                self.drain();
            }
            if let gst::QueryView::Caps(query) = query.view() {
                self.explain_refused_query(query);
            }
            return BaseTransformImplExt::parent_query(self, direction, query);
        }
        if query.type_() == gst::QueryType::Position {
            // The base class knows only the frames that it pushed itself.
            return self.obj().sink_pad().peer_query(query);
        }
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) => self.answer_latency(query),
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if let Some(stream) = &mut lock(&self.state).stream {
            match event.view() {
                gst::EventView::Latency(latency) => {
                    stream.deadlines.set_pipeline_latency(latency.latency());
                }
                gst::EventView::Qos(qos) => {
                    let (_, _, jitter, timestamp) = qos.get();
                    stream.deadlines.set_qos(timestamp, jitter);
                }
                _ => {}
            }
        }
        self.parent_src_event(event)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventType::{Caps, Eos, FlushStart, FlushStop, Gap, Segment};
        let event_type = event.type_();
        let continuity = match event_type {
            FlushStop | Segment => Continuity::Restarts,
            Gap => Continuity::Gap,
            _ => Continuity::Follows,
        };
        if continuity != Continuity::Follows
            && let Some(stream) = &mut lock(&self.state).stream
        {
            stream.mark(continuity);
            if continuity == Continuity::Restarts {
                stream.deadlines.reset();
            }
        }
        let Some(queue) = self.queue() else { return self.parent_sink_event(event) };
        match event_type {
            FlushStart => self.flush(&queue),
            FlushStop => {
                self.flush(&queue);
                if let Some(stream) = &mut lock(&self.state).stream {
                    stream.flush = Interrupt::default();
                }
                queue.resume();
            }
            // The base class handles these events and forwards them at once.
            Caps | Segment | Eos => {
                queue.drain();
                if event_type == Eos {
                    self.report_last_failure(&queue);
                }
            }
            _ if event.is_serialized() && queue.len() > 0 => {
                return queue.push_event(Item::Event(event)).is_ok();
            }
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        if query.get().0.is_some_and(gl::is_gl) {
            let proposed = self.contexts.propose_allocation(&*self.obj(), query);
            proposed.map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
        }
        self.ask_for_input_buffers(query);
        Ok(())
    }

    fn decide_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        if query.get().0.is_some_and(gl::is_gl) {
            let decided = self.contexts.decide_allocation(&*self.obj(), query);
            decided.map_err(|error| self.refuse_context(&error))?;
        }
        self.ask_for_output_buffers(query);
        self.parent_decide_allocation(query)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        {
            let mut state = lock(&self.state);
            state.stats.frames_in += 1;
            // Here already, as the base class may drop the frame.
            if buffer.flags().contains(gst::BufferFlags::DISCONT)
                && let Some(stream) = &mut state.stream
            {
                stream.mark(Continuity::Gap);
            }
        }
        if self.obj().src_pad().needs_reconfigure() {
            self.drain();
        }
        let success = self.parent_submit_input_buffer(is_discont, buffer)?;
        if success == gst_base::BASE_TRANSFORM_FLOW_DROPPED {
            gst::trace!(CAT, imp = self, "dropped a late frame");
            let mut state = lock(&self.state);
            state.stats.frames_dropped += 1;
            if let Some(stream) = &mut state.stream {
                stream.mark_dropped();
            }
        }
        Ok(success)
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        if let Some(buffer) = self.take_queued_buffer() {
            self.take_over();
            self.launch(buffer)?;
        }
        // The queue pushes the output.
        Ok(GenerateOutputSuccess::NoOutput)
    }

    fn before_transform(&self, buffer: &gst::BufferRef) {
        let segment = self.time_segment();
        let stream_time = segment.and_then(|segment| segment.to_stream_time(buffer.pts()));
        if let Some(stream_time) = stream_time
            && self.obj().sync_values(stream_time).is_err()
        {
            gst::warning!(CAT, imp = self, "no control values at {stream_time}");
        }
    }

    fn transform_meta<'a>(
        &self,
        _output: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        _input: &'a gst::BufferRef,
    ) -> bool {
        // The element changes neither the size nor the geometry of a frame, so all metadata stay
        // valid. Only a sync point belongs to one buffer.
        !gl::is_sync_meta(meta.api())
    }
}

/// How long finished frames may wait in the queue. With one frame in flight there is no queue.
fn queue_room(stream: &Stream) -> gst::ClockTime {
    let negotiated = stream.negotiated.as_ref().filter(|_| stream.queue.depth() > 1);
    negotiated.map_or(gst::ClockTime::ZERO, |negotiated| longest_wait(&negotiated.translators.info))
}

/// The caps of the other pad if the pad of `direction` has `caps`.
fn peer_caps(direction: gst::PadDirection, caps: &gst::Caps, output: Output) -> gst::Caps {
    match output {
        Output::Video => caps.clone(),
        Output::Mask => {
            // A mask has no overlays.
            let mut caps = alpha::with_features(caps, |features| {
                !features.contains(CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION)
            });
            for structure in caps.make_mut().iter_mut() {
                // These fields depend on the format.
                structure.remove_fields(["colorimetry", "chroma-site", "texture-target"]);
                match direction {
                    gst::PadDirection::Sink => {
                        structure.set("format", VideoFormat::Gray8.to_str());
                    }
                    _ => structure.remove_field("format"),
                }
            }
            // The CPU writes masks, even for frames in GL memory.
            match direction {
                gst::PadDirection::Sink => gl::in_system_memory(caps),
                _ => gl::in_any_memory(caps),
            }
        }
        Output::Alpha => alpha::peer_caps(direction, caps),
    }
}

impl CycleGanFilter {
    /// Posts the error that there is no GL context.
    fn refuse_context(&self, error: &gl::Error) -> gst::LoggableError {
        gst::element_imp_error!(self, gst::ResourceError::OpenReadWrite, ("{error}"));
        gst::loggable_error!(CAT, "{error}")
    }

    /// Adds the filter's own latency to upstream's, and to the maximum how long finished frames may wait
    /// for the sink. Returns whether upstream answered.
    fn answer_latency(&self, query: &mut gst::query::Latency<gst::QueryRef>) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.obj().sink_pad().peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let (own, room) = {
            let mut state = lock(&self.state);
            let own =
                gst::ClockTime::try_from(state.stats.latency()).unwrap_or(gst::ClockTime::ZERO);
            let mut room = gst::ClockTime::ZERO;
            if let Some(stream) = &mut state.stream {
                room = queue_room(stream);
                // It is 0 until frames are negotiated.
                let is_known = !own.is_zero();
                stream.deadlines.set_answer(live, is_known.then_some(min + own));
            }
            (own, room)
        };
        query.set(live, min + own, max.map(|max| max + own + room));
        gst::debug!(CAT, imp = self, "adding a latency of {own} to upstream's {min}");
        true
    }
}

impl VideoFilterImpl for CycleGanFilter {
    fn set_info(
        &self,
        input_caps: &gst::Caps,
        info: &VideoInfo,
        output_caps: &gst::Caps,
        output_info: &VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        // For masks, downstream's allocation query is about system memory, and upstream may send none.
        if gl::is_gl(input_caps) && !gl::is_gl(output_caps) {
            self.contexts.find(&*self.obj()).map_err(|error| self.refuse_context(&error))?;
        }
        let is_converted = self.set_to_alpha(info, output_info).map_err(TranslateError::from);
        let negotiated = is_converted.and_then(|is_converted| match is_converted {
            true => self.negotiate(&FrameInfo::new(output_caps, output_info)),
            false => self.negotiate(&FrameInfo::new(input_caps, info)),
        });
        match negotiated {
            Ok(()) => {
                self.report_first_latency(info);
                Ok(())
            }
            // The next frame returns Flushing.
            Err(error) if error.is_interruption() => Ok(()),
            Err(error) => {
                self.refuse_frames(info, gst::LibraryError::Init, &error.to_string());
                Err(gst::loggable_error!(CAT, "{error}"))
            }
        }
    }
}
