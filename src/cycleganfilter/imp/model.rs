// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which model runs: loading it, swapping it while playing, and saying why one cannot.

use std::sync::Arc;

use gst::{prelude::*, subclass::prelude::*};
use gst_base::prelude::*;
use gst_video::VideoInfo;

use super::{CAT, CycleGanFilter, State};
use crate::{
    cycleganfilter::{
        Direction, TranslateError,
        loader::{Loaded, Model, PrepareError, Request},
        lock,
        translator::Translators,
    },
    generator::{LoadError, Pair},
};

impl CycleGanFilter {
    /// Loads the model that is set; NULL to READY.
    pub(super) fn load(&self) -> Result<(), LoadError> {
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
    pub(super) fn adopt(&self, pair: Arc<Pair>) {
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
    pub(super) fn load_beside_the_stream(&self, is_new_model: bool) {
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
    pub(super) fn keep_old_model(&self, model: Option<String>, error: &PrepareError) {
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
    pub(super) fn take_loaded(&self) -> Option<Loaded> {
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
    pub(super) fn swap(&self, state: &mut State) -> Result<(), gst::FlowError> {
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
    pub(super) fn translators(
        &self,
        pair: Arc<Pair>,
        info: &VideoInfo,
    ) -> Result<Translators, TranslateError> {
        let (inference_size, threads) = {
            let settings = lock(&self.settings);
            (settings.inference_size, settings.threads)
        };
        Translators::new(pair, info, inference_size, threads)
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
