// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loads models, replaces the current one while playing, and reports why one cannot be used.

use std::cell::Cell;

use cyclegan_contract::Direction;
use cyclegan_runtime::{LoadError, Pair};
use gst::{ProgressType, glib, prelude::*, subclass::prelude::*};

use super::{CAT, CycleGanFilter};
use crate::cycleganfilter::{
    loader::{Event, PrepareError, Prepared, Report, Request, load},
    lock,
    memory::FrameInfo,
    settings,
    settings::Wanted,
    state::{Decision, Loaded, Model, Negotiated, Stream},
    translator::{Continuity, Progress, TranslateError, Translators},
};

/// How a request differs from what runs.
struct Asked {
    model: bool,
    view: bool,
    direction: bool,
}

impl CycleGanFilter {
    /// Loads the model that the properties name, unless it is already loaded with the same options.
    /// Called on the way to READY and to PAUSED.
    pub(super) fn load_what_is_set(&self) -> Result<(), LoadError> {
        let wanted = lock(&self.settings).wanted();
        let running = lock(&self.state).model.running().cloned();
        let is_loaded = |running: &Loaded| {
            running.serial == wanted.serial && *running.pair.options() == wanted.options
        };
        if let Some(running) = running.filter(is_loaded) {
            return running.pair.require(wanted.direction);
        }
        // Free the memory of the old model for the new one.
        self.unload();
        let Wanted { model, serial, .. } = &wanted;
        self.post_progress(ProgressType::Start, "load", &format!("Loading {model}"));
        let pair = load(&wanted).inspect_err(|error| {
            self.post_progress(ProgressType::Error, "load", &error.to_string());
        })?;
        let text = format!("{model} runs on {}", pair.provider());
        gst::info!(CAT, imp = self, "{text}");
        self.post_progress(ProgressType::Complete, "load", &text);
        let loaded = Loaded { pair: pair.clone(), serial: *serial };
        lock(&self.state).model = Model::Loaded(loaded);
        self.announce(&pair);
        Ok(())
    }

    /// Drops the model and any request.
    pub(super) fn unload(&self) {
        let model = std::mem::take(&mut lock(&self.state).model);
        self.loader.cancel();
        if model.running().is_some() {
            drop(model);
            self.notify_active();
        }
    }

    /// Drops any request: the next change to PAUSED loads the model that is set by then.
    pub(super) fn cancel_requests(&self) {
        let before = lock(&self.state).model.drop_request();
        self.loader.cancel();
        drop(before);
    }

    /// Acts on changed properties, see
    /// [`State::decide`](crate::cycleganfilter::state::State::decide).
    pub(super) fn decide(&self) {
        let wanted = lock(&self.settings).wanted();
        let decision = lock(&self.state).decide(&wanted);
        match decision {
            Decision::Nothing => {}
            Decision::Cancel(unwanted) => {
                self.loader.cancel();
                drop(self.loader.retire(unwanted));
            }
            Decision::Refuse(error, previous) => {
                let is_reverted = self.revert_direction(wanted.direction, previous);
                gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{error}"));
                if is_reverted {
                    self.obj().notify("direction");
                }
            }
            Decision::Load(request, before) => {
                drop(self.loader.retire(before));
                let element = self.obj().downgrade();
                self.loader.request(*request, || report_to(element));
            }
        }
    }

    /// Handles the progress of a request. Runs on the loader's thread.
    fn on_event(&self, request: &Request, event: Event) {
        use ProgressType::{Canceled, Complete, Continue, Error, Start};
        let model = &request.wanted.model;
        let is_awaited = || lock(&self.state).model.awaits(request.id);
        let (progress, text) = match &event {
            Event::Started => (Start, format!("Loading {model}")),
            Event::Step(direction) => (Continue, step(model, *direction)),
            _ if !is_awaited() => (Canceled, format!("{model} is no longer needed")),
            Event::Done(_) => (Complete, format!("{model} takes over with the next frame")),
            Event::Failed(error) => (Error, error.to_string()),
        };
        let is_wanted = !matches!(progress, Canceled);
        match event {
            Event::Done(prepared) if is_wanted => {
                let mut state = lock(&self.state);
                if state.model.awaits(request.id)
                    && let Some(running) = state.model.running().cloned()
                {
                    state.model = Model::Prepared(running, prepared);
                }
                drop(state);
                self.post_progress(progress, "load", &text);
            }
            Event::Failed(error) if is_wanted => {
                self.post_progress(progress, "load", &text);
                self.refuse(&request.wanted, &error);
            }
            _ => self.post_progress(progress, "load", &text),
        }
    }

    /// Resets the property that caused a request to fail, posts a warning, and acts on the other
    /// properties: resets the model if it differs, otherwise the view, otherwise the direction,
    /// otherwise `preload`.
    pub(super) fn refuse(&self, wanted: &Wanted, error: &PrepareError) {
        let (before, running, asked, view, direction) = {
            let mut state = lock(&self.state);
            let before = state.model.drop_request();
            let Some(running) = before.running().cloned() else { return };
            let negotiated = state.stream.as_ref().and_then(|stream| stream.negotiated.as_ref());
            let view = negotiated.map(|negotiated| negotiated.translators.wanted.view);
            let direction = negotiated.map(|negotiated| negotiated.direction);
            let direction = direction.filter(|direction| running.pair.require(*direction).is_ok());
            let asked = Asked {
                model: wanted.serial != running.serial,
                view: view.is_some_and(|view| view != wanted.view),
                direction: direction.is_some_and(|direction| direction != wanted.direction),
            };
            (before, running, asked, view, direction)
        };
        drop(self.loader.retire(before));
        let mut notify = Vec::new();
        if asked.model {
            let mut settings = lock(&self.settings);
            if settings.model_serial == wanted.serial {
                settings.model = Some(running.pair.model().to_owned());
                settings.model_serial = running.serial;
                notify.push("model");
            }
        } else if asked.view {
            let mut settings = lock(&self.settings);
            if let Some(view) = view
                && settings.wanted().view == wanted.view
            {
                settings.inference_size = view.inference_size;
                settings.regions = view.regions;
                notify.extend(["inference-size", "regions"]);
            }
        } else if let Some(direction) = direction
            && asked.direction
            && self.revert_direction(wanted.direction, direction)
        {
            notify.push("direction");
        } else if wanted.preload {
            lock(&self.settings).preload = false;
            notify.push("preload");
        }
        let running = running.pair.model();
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Settings,
            ("{error}; continuing with {running}")
        );
        // Each notification acts on the properties as they are now.
        for property in &notify {
            self.obj().notify(property);
        }
        if notify.is_empty() && lock(&self.settings).wanted() != *wanted {
            self.decide();
        }
    }

    fn revert_direction(&self, refused: Direction, previous: Direction) -> bool {
        let mut settings = lock(&self.settings);
        let is_set = settings.direction.to_contract() == refused;
        if is_set {
            settings.direction = settings::Direction::from_contract(previous);
        }
        is_set
    }

    /// Switches to what was prepared in the background. Called between two frames.
    pub(super) fn take_over(&self) {
        let mut next_model = None;
        let mut is_outdated = false;
        {
            let mut state = lock(&self.state);
            if !matches!(state.model, Model::Prepared(..)) {
                return;
            }
            let state = &mut *state;
            let before = state.model.drop_request();
            let negotiated = state.stream.as_mut().and_then(|stream| stream.negotiated.as_mut());
            // Without negotiated frames, the first caps event switches.
            let (Some(negotiated), Model::Prepared(running, prepared)) = (negotiated, before)
            else {
                return;
            };
            let Prepared { pair, wanted, translators } = *prepared;
            match translators.filter(|next| next.info == negotiated.translators.info) {
                Some(translators) => {
                    let before = std::mem::replace(&mut negotiated.translators, translators);
                    negotiated.residual_age = None;
                    if negotiated.translators.get(negotiated.direction).is_none() {
                        negotiated.direction = wanted.direction;
                    }
                    state.model =
                        Model::Loaded(Loaded { pair: pair.clone(), serial: wanted.serial });
                    next_model = Some((pair, wanted.serial != running.serial));
                    // The next frame keeps this until all earlier frames are finished.
                    negotiated.retired = Some(self.loader.retire((before, running.pair)));
                    let cost = state.stream.as_ref().map(Stream::cost).unwrap_or_default();
                    state.stats.set_cost(cost);
                }
                // The caps have changed in the meantime.
                None => is_outdated = true,
            }
        }
        if is_outdated {
            self.decide();
        }
        if let Some((pair, is_new)) = next_model {
            if is_new {
                gst::info!(CAT, imp = self, "switched to {}", pair.model());
            }
            self.announce(&pair);
        }
    }

    /// Prepares for frames of `info`. Runs on the streaming thread, as no frame can be translated
    /// before.
    pub(super) fn negotiate(&self, info: &FrameInfo) -> Result<(), TranslateError> {
        let wanted = lock(&self.settings).wanted();
        let (running, next, last, before) = {
            let mut state = lock(&self.state);
            let last = state.stream.as_ref().and_then(|stream| stream.negotiated.as_ref());
            let last = last.map(|last| last.translators.clone());
            let Some(running) = state.model.running().cloned() else { return Ok(()) };
            let (next, before) = match &state.model {
                Model::Prepared(_, prepared) => {
                    let (pair, serial) = (prepared.pair.clone(), prepared.wanted.serial);
                    (Some(Loaded { pair, serial }), Some(state.model.drop_request()))
                }
                _ => (None, None),
            };
            (running, next, last, before)
        };
        drop(before.map(|before| self.loader.retire(before)));
        // Switch to a prepared model now, so that the old one need not be warmed up.
        if let Some(next) = next.filter(|next| next.serial != running.serial) {
            match self.prepare(&next, &wanted, last.as_ref(), info) {
                Ok(negotiated) => {
                    self.adopt(next.serial, negotiated);
                    return Ok(());
                }
                Err(error) if error.is_interruption() => return Err(error),
                Err(error) => self.refuse(&wanted, &error.into()),
            }
        }
        let wanted = lock(&self.settings).wanted();
        let negotiated = self.prepare(&running, &wanted, last.as_ref(), info)?;
        self.adopt(running.serial, negotiated);
        // The current request may be for other frames.
        self.decide();
        Ok(())
    }

    fn adopt(&self, serial: u64, mut negotiated: Negotiated) {
        let pair = negotiated.translators.pair.clone();
        let before = {
            let mut state = lock(&self.state);
            let state = &mut *state;
            let Some(stream) = &mut state.stream else { return };
            state.model.set_running(Loaded { pair: pair.clone(), serial });
            let is_missing = |before: &Negotiated| before.has_dropped;
            negotiated.has_dropped = stream.negotiated.as_ref().is_some_and(is_missing);
            let before = stream.negotiated.replace(negotiated);
            state.stats.set_cost(stream.cost());
            before
        };
        drop(before.map(|before| self.loader.retire(before)));
        self.announce(&pair);
    }

    /// Prepares `loaded` for frames of `info`, in the `wanted` direction if the model has it, with
    /// what fits of `base`.
    fn prepare(
        &self,
        loaded: &Loaded,
        wanted: &Wanted,
        base: Option<&Translators>,
        info: &FrameInfo,
    ) -> Result<Negotiated, TranslateError> {
        let pair = &loaded.pair;
        let mut wanted = Wanted { serial: loaded.serial, ..wanted.clone() };
        if pair.require(wanted.direction).is_err() {
            // The model has at least one direction. `decide` will refuse this one.
            wanted.direction = wanted.direction.other();
        }
        let model = pair.model();
        let frames = format!("{model} for {}×{}", info.width(), info.height());
        let has_started = Cell::new(false);
        let on_step = |direction| {
            // Not if all of `base` fits: caps may change with each frame.
            if !has_started.replace(true) {
                self.post_progress(ProgressType::Start, "warm-up", &format!("Preparing {frames}"));
            }
            self.post_progress(ProgressType::Continue, "warm-up", &step(model, direction));
        };
        let interrupt = lock(&self.state).stream.as_ref().map(|stream| stream.stop.clone());
        let interrupt = &interrupt.unwrap_or_default();
        let progress = Progress { on_step: &on_step, interrupt };
        let translators = Translators::new(pair.clone(), info, &wanted, base, progress);
        let (progress, text) = match &translators {
            Ok(_) => (ProgressType::Complete, format!("Prepared {frames}")),
            Err(error) if error.is_interruption() => {
                (ProgressType::Canceled, format!("{frames} is no longer needed"))
            }
            Err(error) => (ProgressType::Error, error.to_string()),
        };
        if has_started.get() {
            self.post_progress(progress, "warm-up", &text);
        }
        let mut negotiated = Negotiated::new(translators?, wanted.direction);
        negotiated.continuity = Continuity::Restarts;
        Ok(negotiated)
    }

    /// Notifies the application of the current model and posts its warnings.
    fn announce(&self, pair: &Pair) {
        for warning in pair.take_warnings() {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{warning}"));
        }
        self.notify_active();
    }

    fn notify_active(&self) {
        self.obj().notify("active-provider");
        self.obj().notify("active-model");
    }
}

/// Reports progress to `element` for as long as it exists.
fn report_to(element: glib::WeakRef<crate::cycleganfilter::CycleGanFilter>) -> Report {
    Box::new(move |request, event| {
        if let Some(element) = element.upgrade() {
            element.imp().on_event(request, event);
        }
    })
}

/// The text of a PROGRESS message about one generator.
fn step(model: &str, direction: Direction) -> String {
    format!("Preparing generator {} of {model}", direction.letter())
}
