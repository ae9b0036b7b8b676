// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element as GObject and GStreamer see it.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo, prelude::*, subclass::prelude::*};

use super::{
    Direction,
    lateness::Deadlines,
    loader::{Loaded, Loader, Model, PrepareError, Request},
    lock,
    settings::{LateFrames, PROPERTIES, PerFrame, Settings},
    stats::Stats,
    translator::Translators,
};
use crate::{
    frame::copy,
    generator::{LoadError, Pair},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "cycleganfilter",
        gst::DebugColorFlags::empty(),
        Some("CycleGAN picture translation"),
    )
});

/// The element's private side. Locks are taken in the order of the fields.
#[derive(Default)]
pub struct CycleGanFilter {
    /// What is negotiated and ready to run; held while a frame is translated.
    state: Mutex<Option<State>>,
    /// The model, from READY on.
    pair: Mutex<Option<Arc<Pair>>>,
    settings: Mutex<Settings>,
    deadlines: Mutex<Deadlines>,
    stats: Mutex<Stats>,
    /// The frames that an error was posted about.
    refused: Mutex<Option<VideoInfo>>,
    loader: Loader,
}

/// What exists from the first caps until the element stops.
struct State {
    translators: Translators,
    last_stats: Instant,
    last_direction: Direction,
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
            "direction" => self.check_direction(previous),
            "model" => self.load_beside_the_stream(true),
            "inference-size" => self.load_beside_the_stream(false),
            "late-frames" => self.apply_late_frames(late_frames),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
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
        if transition == gst::StateChange::NullToReady {
            self.load().map_err(|error| {
                self.post_load_error(&error);
                gst::StateChangeError
            })?;
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::ReadyToNull {
            self.loader.cancel();
            *lock(&self.pair) = None;
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
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if direction != gst::PadDirection::Src {
            return BaseTransformImplExt::parent_query(self, direction, query);
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
        use gst::EventType;
        if matches!(event.type_(), EventType::FlushStop | EventType::Segment | EventType::Gap) {
            lock(&self.deadlines).reset();
            if let Some(state) = lock(&self.state).as_mut() {
                state.translators.reset();
            }
        }
        self.parent_sink_event(event)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        lock(&self.stats).frames_in += 1;
        let success = self.parent_submit_input_buffer(is_discont, buffer)?;
        if success == gst_base::BASE_TRANSFORM_FLOW_DROPPED {
            gst::trace!(CAT, imp = self, "dropped a late frame");
            lock(&self.stats).frames_dropped += 1;
        }
        Ok(success)
    }

    fn before_transform(&self, buffer: &gst::BufferRef) {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
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
        if is_passthrough {
            lock(&self.stats).frames_passed += 1;
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
        if let Some(loaded) = self.take_loaded() {
            self.adopt(loaded.pair);
        }
        let pair = lock(&self.pair).clone();
        let pair = pair.ok_or_else(|| gst::loggable_error!(CAT, "no model before READY"))?;
        match self.translators(pair, info) {
            Ok(translators) => {
                let warm_up = translators.warm_up;
                let last_direction = lock(&self.settings).direction;
                *state = Some(State { translators, last_stats: Instant::now(), last_direction });
                drop(state);
                self.set_latency(warm_up);
                Ok(())
            }
            Err(error) => Err(self.refuse(info, gst::LibraryError::Init, &error.to_string())),
        }
    }

    fn transform_frame(
        &self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = lock(&self.state);
        let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        self.swap(state)?;

        let settings = lock(&self.settings).per_frame();
        let is_late = settings.late_frames != LateFrames::Translate && self.is_late(input.buffer());
        let does_follow = !input.buffer().flags().contains(gst::BufferFlags::DISCONT)
            && state.last_direction == settings.direction;
        if !does_follow {
            state.translators.reset();
        }
        state.last_direction = settings.direction;
        let result = match is_late {
            true => self.make_do(state, input, output, &settings),
            false => self.translate(state, input, output, &settings),
        };
        self.post_stats(state, settings.stats_interval);
        result.map_err(|error| self.fail(&state.translators.pair, &error))
    }
}

impl CycleGanFilter {
    /// Loads the model that is set; NULL to READY.
    fn load(&self) -> Result<(), LoadError> {
        let (model, direction, options) = {
            let settings = lock(&self.settings);
            (settings.model.clone(), settings.direction, settings.load_options())
        };
        let pair = Pair::load(&model, &options)?;
        pair.require(direction.of_model())?;
        gst::info!(CAT, imp = self, "{model} runs on {}", pair.provider());
        self.adopt(Arc::new(pair));
        Ok(())
    }

    /// Takes `pair` as the model that runs, and warns of what was not as the user asked.
    fn adopt(&self, pair: Arc<Pair>) {
        if let Some(reason) = pair.fallback() {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Settings,
                ("The CPU steps in: {reason}")
            );
        }
        *lock(&self.pair) = Some(pair);
        self.obj().notify("active-provider");
    }

    /// Prepares the model or the inference size that is set now, on a thread of its own.
    fn load_beside_the_stream(&self, is_new_model: bool) {
        let pair = lock(&self.pair).clone();
        let Some(pair) = pair else {
            return; // READY loads it.
        };
        let caps = self.obj().sink_pad().current_caps();
        let info = caps.and_then(|caps| VideoInfo::from_caps(&caps).ok());
        let request = {
            let settings = lock(&self.settings);
            let options = || Box::new(settings.load_options());
            Request {
                model: match is_new_model || settings.model != pair.model() {
                    true => Model::Load(settings.model.clone(), options()),
                    false => Model::Loaded(pair),
                },
                direction: settings.direction.of_model(),
                info,
                inference_size: settings.inference_size,
                threads: settings.threads,
            }
        };
        let element = self.obj().downgrade();
        self.loader.request(request, move |model, error| {
            if let Some(element) = element.upgrade() {
                element.imp().keep_old_model(model, &error);
            }
        });
    }

    /// Goes back to the `previous` direction, with a warning, if the model that runs lacks the one
    /// that is set now.
    fn check_direction(&self, previous: Direction) {
        let pair = lock(&self.pair).clone();
        let Some(pair) = pair else {
            return; // READY checks it.
        };
        let direction = lock(&self.settings).direction;
        if let Err(error) = pair.require(direction.of_model()) {
            lock(&self.settings).direction = previous;
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{error}"));
        }
    }

    /// Says why what was set does not take effect.
    fn keep_old_model(&self, model: Option<String>, error: &PrepareError) {
        let pair = lock(&self.pair).clone();
        let Some(pair) = pair else { return };
        {
            let mut settings = lock(&self.settings);
            if model.as_ref() == Some(&settings.model) {
                pair.model().clone_into(&mut settings.model);
            }
        }
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Settings,
            ("{error}; {} goes on", pair.model())
        );
    }

    /// What has been prepared beside the stream, if it still is what is wanted.
    fn take_loaded(&self) -> Option<Loaded> {
        let loaded = self.loader.take()?;
        let direction = lock(&self.settings).direction;
        match loaded.pair.require(direction.of_model()) {
            Ok(()) => Some(loaded),
            Err(error) => {
                self.keep_old_model(Some(loaded.pair.model().to_owned()), &error.into());
                None
            }
        }
    }

    /// Takes over what has been prepared beside the stream; between two frames.
    fn swap(&self, state: &mut State) -> Result<(), gst::FlowError> {
        let Some(loaded) = self.take_loaded() else {
            return Ok(());
        };
        gst::info!(CAT, imp = self, "{} takes over", loaded.pair.model());
        let info = state.translators.info.clone();
        let fits = |translators: &Translators| translators.info == info;
        state.translators = match loaded.translators.filter(fits) {
            Some(translators) => translators,
            // The caps have changed while it was loading.
            None => self
                .translators(loaded.pair.clone(), &info)
                .map_err(|error| self.fail(&loaded.pair, &error))?,
        };
        self.adopt(loaded.pair);
        Ok(())
    }

    /// Prepares `pair` for frames of `info`, on this thread.
    fn translators(
        &self,
        pair: Arc<Pair>,
        info: &VideoInfo,
    ) -> Result<Translators, super::TranslateError> {
        let (inference_size, threads) = {
            let settings = lock(&self.settings);
            (settings.inference_size, settings.threads)
        };
        Translators::new(pair, info, inference_size, threads)
    }

    fn apply_late_frames(&self, late_frames: LateFrames) {
        self.obj().set_qos(late_frames == LateFrames::Drop);
    }

    fn latency(&self) -> gst::ClockTime {
        let latency = lock(&self.stats).latency();
        gst::ClockTime::try_from(latency).unwrap_or(gst::ClockTime::ZERO)
    }

    fn set_latency(&self, measured: Duration) {
        let has_moved = lock(&self.stats).set_latency(measured);
        if has_moved {
            self.post_latency();
        }
    }

    /// Whether the frame in `buffer` would come too late at the sink.
    fn is_late(&self, buffer: &gst::BufferRef) -> bool {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        let expected = lock(&self.stats).expected();
        let expected = gst::ClockTime::try_from(expected).unwrap_or(gst::ClockTime::ZERO);
        let deadlines = *lock(&self.deadlines);
        deadlines.is_late(time, self.obj().current_running_time(), expected)
    }

    /// Takes a frame through the generator.
    fn translate(
        &self,
        state: &mut State,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        settings: &PerFrame,
    ) -> Result<gst::FlowSuccess, super::TranslateError> {
        let start = Instant::now();
        let translator = state.translators.get_mut(settings.direction.of_model())?;
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
    fn make_do(
        &self,
        state: &mut State,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        settings: &PerFrame,
    ) -> Result<gst::FlowSuccess, super::TranslateError> {
        gst::trace!(CAT, imp = self, "a late frame: {:?}", settings.late_frames);
        if settings.late_frames == LateFrames::Drop {
            lock(&self.stats).frames_dropped += 1;
            return Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED);
        }
        let is_held = settings.late_frames == LateFrames::Hold
            && state.translators.get_mut(settings.direction.of_model())?.hold(
                input,
                output,
                settings.upscale,
            )?;
        if is_held {
            lock(&self.stats).frames_held += 1;
        } else {
            copy(input, output)?;
            lock(&self.stats).frames_passed += 1;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Posts `stats` if the last time was an `interval` ago.
    fn post_stats(&self, state: &mut State, interval: Duration) {
        if interval.is_zero() || state.last_stats.elapsed() < interval {
            return;
        }
        state.last_stats = Instant::now();
        let structure = lock(&self.stats).to_structure();
        let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
        let _ = self.obj().post_message(message);
    }

    fn post_latency(&self) {
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        let _ = self.obj().post_message(message);
    }

    fn post_load_error(&self, error: &LoadError) {
        match error {
            LoadError::NotFound { .. } | LoadError::NoPair { .. } => {
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

    /// Posts the error that ends the stream.
    fn fail(&self, pair: &Pair, error: &super::TranslateError) -> gst::FlowError {
        gst::element_imp_error!(self, gst::LibraryError::Failed, ("{}: {error}", pair.model()));
        gst::FlowError::Error
    }
}
