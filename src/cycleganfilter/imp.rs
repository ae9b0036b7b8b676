// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element as GObject and GStreamer see it.

mod in_flight;
mod model;
mod streaming;

use std::sync::{Arc, LazyLock, Mutex};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{base_transform::GenerateOutputSuccess, prelude::*},
};
use gst_video::{VideoFormat, VideoInfo, subclass::prelude::*};
use in_flight::FrameLine;

use super::{
    Direction,
    lateness::Deadlines,
    loader::Loader,
    lock,
    settings::{LateFrames, PROPERTIES, Settings},
    stats::Stats,
    translator::{Restart, Translators},
};
use cyclegan_runtime::Pair;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "cycleganfilter",
        gst::DebugColorFlags::empty(),
        Some("CycleGAN picture translation"),
    )
});

/// The element's private side. Locks are taken in the order of the fields, after the stream lock
/// of the sink pad and before those of translators. No lock is held while waiting for the line,
/// whose threads take those from `settings` on.
#[derive(Default)]
pub struct CycleGanFilter {
    /// What is negotiated and ready to run; for the streaming thread.
    state: Mutex<Option<State>>,
    /// The model, from READY on.
    pair: Mutex<Option<Arc<Pair>>>,
    settings: Mutex<Settings>,
    deadlines: Mutex<Deadlines>,
    stats: Mutex<Stats>,
    /// Whether the generator failed on the last frame, which was borne.
    is_failing: Mutex<bool>,
    /// The frames in flight, from PAUSED on, where there may be several.
    line: Mutex<Option<Arc<FrameLine>>>,
    /// The frames that an error was posted about.
    refused: Mutex<Option<VideoInfo>>,
    loader: Loader,
}

/// What exists from the first caps until the element stops.
struct State {
    translators: Translators,
    last_direction: Direction,
    /// What the next frame has to do with those before.
    restart: Restart,
    /// Whether a frame has been dropped before the next one.
    has_dropped: bool,
}

impl State {
    fn new(translators: Translators, last_direction: Direction) -> Self {
        Self { translators, last_direction, restart: Restart::Nothing, has_dropped: false }
    }

    /// Notes that the next frame has no more to do with those before than `restart` says.
    fn note(&mut self, restart: Restart) {
        self.restart = self.restart.max(restart);
    }

    /// What the next frame, for `direction`, has to do with those before.
    fn take_restart(&mut self, direction: Direction) -> Restart {
        let mut restart = std::mem::take(&mut self.restart);
        if self.last_direction != direction {
            restart = Restart::Everything;
            self.last_direction = direction;
        }
        restart
    }
}

#[glib::object_subclass]
impl ObjectSubclass for CycleGanFilter {
    const NAME: &'static str = "GstCycleGanFilter";
    type Type = super::CycleGanFilter;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for CycleGanFilter {
    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.apply_late_frames(LateFrames::default());
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        gst::debug!(CAT, imp = self, "{} = {value:?}", pspec.name());
        let (previous, late_frames) = {
            let mut settings = lock(&self.settings);
            let previous = settings.direction;
            settings.set(pspec.name(), value);
            (previous, settings.late_frames)
        };
        match pspec.name() {
            "direction" => {
                self.check_direction(previous);
                self.obj().notify("active-model");
            }
            "model" => self.load_beside_the_stream(true),
            "inference-size" | "regions" => self.load_beside_the_stream(false),
            "late-frames" => self.apply_late_frames(late_frames),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "active-model" => {
                let direction = lock(&self.settings).direction.of_model();
                let pair = lock(&self.pair);
                let generator = pair.as_ref().and_then(|pair| pair.generator(direction));
                generator.map(|generator| generator.path().to_path_buf()).to_value()
            }
            "active-provider" => {
                let pair = lock(&self.pair);
                pair.as_ref().map(|pair| pair.provider().name()).to_value()
            }
            "stats" => lock(&self.stats).to_structure().to_value(),
            name => lock(&self.settings).get(name),
        }
    }
}

impl GstObjectImpl for CycleGanFilter {}

impl ElementImpl for CycleGanFilter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "CycleGAN filter",
                "Filter/Effect/Video",
                "Translates video from one domain to another, for example horses to zebras",
                "The cycleganfilter developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // Every format whose pixels GStreamer can unpack.
            let formats = VideoFormat::iter_raw().filter(|format| {
                gst_video::VideoFormatInfo::from_format(*format).unpack_format()
                    != VideoFormat::Unknown
            });
            let caps = gst_video::VideoCapsBuilder::new().format_list(formats).build();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .filter_map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady
            || transition == gst::StateChange::ReadyToPaused && self.is_to_be_reloaded()
        {
            self.load().map_err(|error| {
                self.post_load_error(&error);
                gst::StateChangeError
            })?;
        }
        if transition == gst::StateChange::PausedToReady
            && let Some(line) = self.line()
        {
            // Downstream takes no more frames, and nobody shall wait for those in flight.
            line.discard();
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::ReadyToNull {
            self.loader.cancel();
            *lock(&self.pair) = None;
            self.notify_active();
        }
        Ok(success)
    }
}

impl BaseTransformImpl for CycleGanFilter {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.stats) = Stats::default();
        *lock(&self.refused) = None;
        *lock(&self.is_failing) = false;
        *lock(&self.line) = self.new_line()?;
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let line = lock(&self.line).take();
        // Waits for its threads.
        drop(line);
        *lock(&self.state) = None;
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if direction == gst::PadDirection::Sink {
            if query.is_serialized() {
                self.drain();
            }
            return BaseTransformImplExt::parent_query(self, direction, query);
        }
        if query.type_() == gst::QueryType::Position && self.line().is_some() {
            // The base class knows only of frames that it pushed itself.
            return self.obj().sink_pad().peer_query(query);
        }
        let gst::QueryViewMut::Latency(query) = query.view_mut() else {
            return BaseTransformImplExt::parent_query(self, direction, query);
        };
        let mut upstream = gst::query::Latency::new();
        if !self.obj().sink_pad().peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        lock(&self.deadlines).set_live(live);
        let own = self.latency();
        query.set(live, min + own, max.map(|max| max + own));
        gst::debug!(CAT, imp = self, "latency {own} of our own on top of {min}");
        true
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Latency(latency) => {
                lock(&self.deadlines).set_pipeline_latency(latency.latency());
            }
            gst::EventView::Qos(qos) => {
                let (_, _, jitter, timestamp) = qos.get();
                lock(&self.deadlines).set_qos(timestamp, jitter);
            }
            _ => {}
        }
        self.parent_src_event(event)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventType::{Eos, FlushStart, FlushStop, Gap, Segment};
        let event_type = event.type_();
        match (event_type, self.line()) {
            (FlushStart, Some(line)) => line.discard(),
            (FlushStop, Some(line)) => {
                line.discard();
                line.resume();
            }
            (_, Some(line)) if event.is_serialized() => {
                line.drain();
                if event_type == Eos {
                    self.tell_failure(&line);
                }
            }
            _ => {}
        }
        let restart = match event_type {
            FlushStop | Segment => Restart::Everything,
            Gap => Restart::Smoothing,
            _ => Restart::Nothing,
        };
        if restart != Restart::Nothing
            && let Some(state) = lock(&self.state).as_mut()
        {
            state.note(restart);
        }
        if restart == Restart::Everything {
            lock(&self.deadlines).reset();
        }
        self.parent_sink_event(event)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        lock(&self.stats).frames_in += 1;
        // Noted here, since the frame itself may be dropped.
        if buffer.flags().contains(gst::BufferFlags::DISCONT)
            && let Some(state) = lock(&self.state).as_mut()
        {
            state.note(Restart::Smoothing);
        }
        if self.obj().src_pad().needs_reconfigure() {
            self.drain();
        }
        let success = self.parent_submit_input_buffer(is_discont, buffer)?;
        if success == gst_base::BASE_TRANSFORM_FLOW_DROPPED {
            gst::trace!(CAT, imp = self, "dropped a late frame");
            lock(&self.stats).frames_dropped += 1;
            self.note_drop();
        }
        Ok(success)
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let Some(buffer) = self.take_queued_buffer() else {
            return Ok(GenerateOutputSuccess::NoOutput);
        };
        match self.line() {
            Some(line) => self.launch(&line, buffer),
            None => self.translate(buffer),
        }
    }

    fn before_transform(&self, buffer: &gst::BufferRef) {
        let segment = self.time_segment();
        let stream_time = segment.and_then(|segment| segment.to_stream_time(buffer.pts()));
        if let Some(stream_time) = stream_time
            && self.obj().sync_values(stream_time).is_err()
        {
            gst::warning!(CAT, imp = self, "no control values at {stream_time}");
        }
        let is_passthrough = lock(&self.settings).strength == 0.0;
        if is_passthrough != self.obj().is_passthrough() {
            gst::debug!(CAT, imp = self, "passthrough: {is_passthrough}");
            self.obj().set_passthrough(is_passthrough);
            // Passing on needs no buffers of our own, translating does.
            self.obj().reconfigure_src();
        }
    }

    fn transform_meta<'a>(
        &self,
        _output: &mut gst::BufferRef,
        _meta: gst::MetaRef<'a, gst::Meta>,
        _input: &'a gst::BufferRef,
    ) -> bool {
        // Size, colours and place of everything in the frame are as they were.
        true
    }
}

impl VideoFilterImpl for CycleGanFilter {
    fn set_info(
        &self,
        _input_caps: &gst::Caps,
        info: &VideoInfo,
        _output_caps: &gst::Caps,
        _output_info: &VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        if info.is_interlaced() {
            let reason = format!(
                "Interlaced video ({}) cannot be translated, expected progressive; put \
                 `deinterlace` before cycleganfilter",
                info.interlace_mode().to_str()
            );
            return Err(self.refuse(info, gst::CoreError::Negotiation, &reason));
        }
        let mut state = lock(&self.state);
        let translators = match self.loaded_translators(info) {
            Some(translators) => Ok(translators),
            None => {
                let pair = lock(&self.pair).clone();
                let pair =
                    pair.ok_or_else(|| gst::loggable_error!(CAT, "no model before READY"))?;
                self.translators(pair, info)
            }
        };
        match translators {
            Ok(translators) => {
                let warm_up = translators.warm_up;
                let last_direction = lock(&self.settings).direction;
                *state = Some(State::new(translators, last_direction));
                drop(state);
                self.set_latency(self.first_latency(warm_up, info));
                Ok(())
            }
            Err(error) => Err(self.refuse(info, gst::LibraryError::Init, &error.to_string())),
        }
    }
}

impl CycleGanFilter {
    fn apply_late_frames(&self, late_frames: LateFrames) {
        self.obj().set_qos(late_frames == LateFrames::Drop);
    }

    /// Posts why frames of `info` cannot be translated; once, as upstream offers them again and
    /// again.
    fn refuse(
        &self,
        info: &VideoInfo,
        domain: impl gst::MessageErrorDomain,
        reason: &str,
    ) -> gst::LoggableError {
        let before = lock(&self.refused).replace(info.clone());
        if before.as_ref() != Some(info) {
            gst::element_imp_error!(self, domain, ("{reason}"));
        }
        gst::loggable_error!(CAT, "{reason}")
    }
}
