// SPDX-License-Identifier: MIT OR Apache-2.0

//! The translators of a model, one per direction.

use std::sync::Arc;

use cyclegan_contract::Direction;

use super::{Cost, Kind, TranslateError, Translator};
use crate::cycleganfilter::{memory::FrameInfo, settings::Wanted};
use cyclegan_runtime::{Interrupt, Pair};

/// The translators of a model for frames of one format and size: of the wanted direction, and of
/// directions that were wanted before. Clones share them.
#[derive(Clone)]
pub struct Translators {
    /// The model.
    pub pair: Arc<Pair>,
    /// What was requested.
    pub wanted: Wanted,
    /// The negotiated frames.
    pub info: FrameInfo,
    /// How long a frame takes, with the slower generator.
    pub cost: Cost,
    forward: Option<Arc<Translator>>,
    reverse: Option<Arc<Translator>>,
}

/// How a preparation reports its progress, and what ends it.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Called before each direction, as compiling an engine may take minutes.
    pub on_step: &'a dyn Fn(Direction),
    /// Ends the preparation with [`RunError::Interrupted`](cyclegan_runtime::RunError::Interrupted).
    pub interrupt: &'a Interrupt,
}

impl Translators {
    /// Prepares and warms up the `wanted` direction, or both if both are to be preloaded or `base`
    /// has both. Reuses the translators of `base` if they fit. If the provider fails on these frames,
    /// tries the next one that the user allows, and [`Translators::pair`] differs from `pair`.
    pub fn new(
        pair: Arc<Pair>,
        info: &FrameInfo,
        wanted: &Wanted,
        base: Option<&Self>,
        progress: Progress,
    ) -> Result<Self, TranslateError> {
        match Self::prepare_on(pair.clone(), info, wanted, base, progress) {
            Err(error) if error.is_interruption() => Err(error),
            // The provider may lack the memory for frames of this size.
            Err(TranslateError::Run(error)) => {
                Self::new(Arc::new(pair.reopen(error)?), info, wanted, None, progress)
            }
            result => result,
        }
    }

    fn prepare_on(
        pair: Arc<Pair>,
        info: &FrameInfo,
        wanted: &Wanted,
        base: Option<&Self>,
        progress: Progress,
    ) -> Result<Self, TranslateError> {
        let base = base.filter(|base| base.wanted.serial == wanted.serial);
        let fitting = base.filter(|base| base.info == *info && base.wanted.view == wanted.view);
        let mut this = Self {
            pair,
            wanted: wanted.clone(),
            info: info.clone(),
            cost: fitting.map(|base| base.cost).unwrap_or_default(),
            forward: fitting.and_then(|base| base.forward.clone()),
            reverse: fitting.and_then(|base| base.reverse.clone()),
        };
        for direction in Direction::BOTH {
            let is_in_base = base.is_some_and(|base| base.get(direction).is_some());
            if is_in_base || wanted.preload || direction == wanted.direction {
                this.prepare(direction, progress)?;
            }
        }
        Ok(this)
    }

    /// Whether every wanted direction that the model has is prepared.
    pub fn has_all(&self, wanted: &Wanted) -> bool {
        Direction::BOTH.into_iter().all(|direction| {
            let is_wanted = direction == wanted.direction || wanted.preload;
            !is_wanted || self.get(direction).is_some() || !self.pair.has(direction)
        })
    }

    /// The translator of `direction`, if it is prepared.
    pub fn get(&self, direction: Direction) -> Option<&Arc<Translator>> {
        match direction {
            Direction::AToB => self.forward.as_ref(),
            Direction::BToA => self.reverse.as_ref(),
        }
    }

    /// Prepares `direction`, unless it is prepared or the model lacks it.
    fn prepare(&mut self, direction: Direction, progress: Progress) -> Result<(), TranslateError> {
        if self.get(direction).is_some() || !self.pair.has(direction) {
            return Ok(());
        }
        (progress.on_step)(direction);
        let generator = self.pair.open(direction)?.clone();
        let kind = Kind::from(&self.wanted);
        let mut translator = Translator::new(generator, &self.info, kind)?;
        self.cost = self.cost.max(translator.warm_up(kind, progress.interrupt)?);
        let place = match direction {
            Direction::AToB => &mut self.forward,
            Direction::BToA => &mut self.reverse,
        };
        *place = Some(Arc::new(translator));
        Ok(())
    }
}
