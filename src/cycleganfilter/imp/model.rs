// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which model runs: loading it, swapping it while playing, and saying why one cannot.

use std::sync::Arc;

use gst::{ProgressType, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;
use gst_video::VideoInfo;

use super::{CAT, CycleGanFilter, State};
use crate::cycleganfilter::{
    Direction, TranslateError,
    loader::{Event, Loaded, PrepareError, Request},
    lock,
    translator::Translators,
};
use cyclegan_runtime::{LoadError, Pair};

impl CycleGanFilter {
    /// Whether the model runs otherwise than it would if it were loaded now.
    pub(super) fn is_to_be_reloaded(&self) -> bool {
        let pair = lock(&self.pair).clone();
        pair.is_some_and(|pair| *pair.options() != lock(&self.settings).load_options())
    }

    /// Loads the model that is set; NULL to READY, and READY to PAUSED if how it is to be loaded has
    /// changed.
    pub(super) fn load(&self) -> Result<(), LoadError> {
        self.loader.cancel();
        let (model, direction, options) = {
            let settings = lock(&self.settings);
            (settings.model.clone(), settings.direction, settings.load_options())
        };
        self.post_progress(ProgressType::Start, "load", &format!("Loading {model}"));
        let loaded = Pair::load(&model, &options);
        let loaded = loaded.and_then(|pair| pair.require(direction.of_model()).map(|()| pair));
        let pair = loaded.inspect_err(|error| {
            self.post_progress(ProgressType::Error, "load", &error.to_string());
        })?;
        let text = format!("{model} runs on {}", pair.provider());
        gst::info!(CAT, imp = self, "{text}");
        self.post_progress(ProgressType::Complete, "load", &text);
        self.adopt(Arc::new(pair));
        Ok(())
    }

    /// Says how far what takes long is.
    fn post_progress(&self, progress: ProgressType, code: &str, text: &str) {
        let message = gst::message::Progress::builder(progress, code, text);
        let _ = self.obj().post_message(message.src(&*self.obj()).build());
    }

    /// Takes `pair` as the model that runs, and warns of what was not as the user asked.
    pub(super) fn adopt(&self, pair: Arc<Pair>) {
        for warning in pair.take_warnings() {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{warning}"));
        }
        *lock(&self.pair) = Some(pair);
        self.notify_active();
    }

    /// Tells whoever watches that another model runs, or none.
    pub(super) fn notify_active(&self) {
        self.obj().notify("active-provider");
        self.obj().notify("active-model");
    }

    /// Prepares the model, the inference size or the regions that are set now, on a thread of its own.
    pub(super) fn load_beside_the_stream(&self, is_new_model: bool) {
        let pair = lock(&self.pair).clone();
        let Some(pair) = pair else {
            return; // READY loads it.
        };
        let caps = self.obj().sink_pad().current_caps();
        let info = caps.and_then(|caps| VideoInfo::from_caps(&caps).ok());
        let request = {
            let settings = lock(&self.settings);
            let is_loaded = !is_new_model && settings.model == pair.model();
            Request {
                model: settings.model.clone(),
                options: settings.load_options(),
                loaded: is_loaded.then_some(pair),
                direction: settings.direction.of_model(),
                info,
                view: settings.view,
                threads: settings.threads,
            }
        };
        let element = self.obj().downgrade();
        self.loader.request(request, move |model, event| {
            if let Some(element) = element.upgrade() {
                element.imp().tell(model, event);
            }
        });
    }

    /// Says what becomes of a model that is prepared beside the stream.
    fn tell(&self, model: &str, event: Event) {
        use ProgressType::{Canceled, Complete, Continue, Error, Start};
        let (progress, text) = match &event {
            Event::Started => (Start, format!("Loading {model}")),
            Event::Step(direction) => (Continue, step(model, *direction)),
            Event::Done => (Complete, format!("{model} takes over with the next frame")),
            Event::Overtaken => (Canceled, format!("{model} is not wanted any more")),
            Event::Failed(error) => (Error, error.to_string()),
        };
        self.post_progress(progress, "load", &text);
        if let Event::Failed(error) = event {
            self.put_back_view();
            self.keep_old_model(model, &error);
        }
    }

    /// Goes back to what the generators see now, which would change with the next caps.
    fn put_back_view(&self) {
        let running = lock(&self.state).as_ref().map(|state| state.translators.view);
        let Some(view) = running else { return };
        let has_changed = {
            let mut settings = lock(&self.settings);
            std::mem::replace(&mut settings.view, view) != view
        };
        if has_changed {
            self.obj().notify("inference-size");
            self.obj().notify("regions");
        }
    }

    /// Goes back to the `previous` direction, with a warning, if the model that runs lacks the one
    /// that is set now.
    pub(super) fn check_direction(&self, previous: Direction) {
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
    fn keep_old_model(&self, model: &str, error: &PrepareError) {
        let pair = lock(&self.pair).clone();
        let Some(pair) = pair else { return };
        let is_put_back = {
            let mut settings = lock(&self.settings);
            let is_set = model == settings.model && model != pair.model();
            if is_set {
                pair.model().clone_into(&mut settings.model);
            }
            is_set
        };
        if is_put_back {
            self.obj().notify("model");
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
                self.keep_old_model(loaded.pair.model(), &error.into());
                None
            }
        }
    }

    /// Takes over what has been prepared beside the stream; between two frames.
    pub(super) fn swap(&self, state: &mut State) {
        if let Some(translators) = self.loaded_translators(&state.translators.info) {
            state.translators = translators;
        }
    }

    /// What has been prepared beside the stream, for frames of `info`, if it can translate them.
    pub(super) fn loaded_translators(&self, info: &VideoInfo) -> Option<Translators> {
        let Loaded { pair, translators } = self.take_loaded()?;
        let translators = match translators.filter(|translators| translators.info == *info) {
            Some(translators) => Ok(translators),
            // The caps have changed while it was loading.
            None => self.translators(pair.clone(), info),
        };
        match translators {
            Ok(translators) => {
                gst::info!(CAT, imp = self, "{} takes over", pair.model());
                self.adopt(pair);
                Some(translators)
            }
            Err(error) => {
                self.keep_old_model(pair.model(), &error.into());
                None
            }
        }
    }

    /// Prepares `pair` for frames of `info`, on this thread.
    pub(super) fn translators(
        &self,
        pair: Arc<Pair>,
        info: &VideoInfo,
    ) -> Result<Translators, TranslateError> {
        let (view, threads) = {
            let settings = lock(&self.settings);
            (settings.view, settings.threads)
        };
        let model = pair.model().to_owned();
        let frames = format!("{model} for {}×{}", info.width(), info.height());
        self.post_progress(ProgressType::Start, "warm-up", &format!("Preparing {frames}"));
        let on_step = |direction| {
            self.post_progress(ProgressType::Continue, "warm-up", &step(&model, direction));
        };
        let translators = Translators::new(pair, info, view, threads, &on_step);
        match &translators {
            Ok(_) => {
                let text = format!("Prepared {frames}");
                self.post_progress(ProgressType::Complete, "warm-up", &text);
            }
            Err(error) => {
                self.post_progress(ProgressType::Error, "warm-up", &error.to_string());
            }
        }
        translators
    }

    pub(super) fn post_load_error(&self, error: &LoadError) {
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
}

/// What is being done, for a PROGRESS message.
fn step(model: &str, direction: cyclegan_contract::Direction) -> String {
    format!("Preparing generator {} of {model}", direction.letter())
}
