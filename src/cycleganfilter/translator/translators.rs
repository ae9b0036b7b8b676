// SPDX-License-Identifier: MIT OR Apache-2.0

//! The translators of a model, one per direction.

use std::sync::Arc;

use cyclegan_contract::Direction;

use super::{Cost, Kind, TranslateError, Translator};
use crate::cycleganfilter::{memory::FrameInfo, settings::Wanted};
use cyclegan_runtime::Pair;

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

impl Translators {
    /// Prepares and warms up the `wanted` direction, or both if both are to be preloaded or `base`
    /// has both. Reuses the translators of `base` if they fit. Calls `on_step` before each
    /// direction, as compiling an engine may take minutes. If the provider fails on these frames,
    /// tries the next one that the user allows, and [`Translators::pair`] differs from `pair`.
    pub fn new(
        pair: Arc<Pair>,
        info: &FrameInfo,
        wanted: &Wanted,
        base: Option<&Self>,
        on_step: &dyn Fn(Direction),
    ) -> Result<Self, TranslateError> {
        match Self::on(pair.clone(), info, wanted, base, on_step) {
            // The provider may lack the memory for frames of this size.
            Err(TranslateError::Run(error)) => {
                Self::new(Arc::new(pair.reopen(error)?), info, wanted, None, on_step)
            }
            result => result,
        }
    }

    fn on(
        pair: Arc<Pair>,
        info: &FrameInfo,
        wanted: &Wanted,
        base: Option<&Self>,
        on_step: &dyn Fn(Direction),
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
                this.prepare(direction, on_step)?;
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
    fn prepare(
        &mut self,
        direction: Direction,
        on_step: &dyn Fn(Direction),
    ) -> Result<(), TranslateError> {
        if self.get(direction).is_some() || !self.pair.has(direction) {
            return Ok(());
        }
        on_step(direction);
        let generator = self.pair.open(direction)?.clone();
        let kind = Kind::from(&self.wanted);
        let translator = Translator::new(generator, &self.info, kind)?;
        self.cost = self.cost.max(translator.warm_up(kind)?);
        let place = match direction {
            Direction::AToB => &mut self.forward,
            Direction::BToA => &mut self.reverse,
        };
        *place = Some(Arc::new(translator));
        Ok(())
    }
}
