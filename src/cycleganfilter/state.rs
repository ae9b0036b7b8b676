// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's state: its model, and its stream between start and stop.

use std::{path::PathBuf, sync::Arc};

use cyclegan_contract::Direction;
use cyclegan_runtime::{Interrupt, LoadError, Pair};
use gst_video::VideoInfo;

use super::{
    frames::FrameQueue,
    lateness::Deadlines,
    loader::{Prepared, Request, Retired},
    memory::OwnPool,
    settings::Wanted,
    stats::Stats,
    to_alpha::ToAlpha,
    translator::{Continuity, Cost, Translators},
};

/// The state that threads share. Its lock is held only briefly: never while processing a frame,
/// loading or freeing a model, waiting for a pool or a queue, or calling the application.
#[derive(Default)]
pub struct State {
    pub model: Model,
    /// `Some` between start and stop, that is in PAUSED and PLAYING.
    pub stream: Option<Stream>,
    /// Counted since the last start; can still be read after stop.
    pub stats: Stats,
    /// The id of the last request.
    pub last_request: u64,
}

/// The current model, and the one that replaces it.
#[derive(Default)]
pub enum Model {
    /// Before READY, and after the load on the way to READY or PAUSED has failed.
    #[default]
    None,
    /// The model runs, and nothing else was requested.
    Loaded(Loaded),
    /// The model runs while the loader prepares the request.
    Loading(Loaded, Box<Request>),
    /// The model runs until the next frame, which the prepared one translates.
    Prepared(Loaded, Box<Prepared>),
}

/// A loaded model.
#[derive(Clone)]
pub struct Loaded {
    pub pair: Arc<Pair>,
    /// See [`Settings::model_serial`](super::settings::Settings::model_serial).
    pub serial: u64,
}

/// The state between start and stop.
pub struct Stream {
    pub queue: Arc<FrameQueue>,
    pub deadlines: Deadlines,
    /// Ends the inference of frames; each flush sets it and replaces it.
    pub flush: Interrupt,
    /// Ends the preparation for frames. Only stopping sets it: after a flush, frames go on.
    pub stop: Interrupt,
    /// Whether the generator failed on the last frame and the stream went on.
    pub is_failing: bool,
    /// The generators whose output was reported to be outside of its range.
    pub outside: Vec<PathBuf>,
    /// The frames for which an error was last posted.
    pub refused: Option<VideoInfo>,
    /// Whether downstream supports `GstVideoMeta`, and with it padded planes.
    pub takes_video_meta: bool,
    /// `Some` if downstream draws overlays, with the parameters of its allocation query.
    pub overlays: Option<Option<gst::Structure>>,
    /// Replaces the downstream pool if its buffers are too small for a frame.
    pub own_pool: Option<Arc<OwnPool>>,
    pub negotiated: Option<Negotiated>,
    /// Converts input frames if only the output has alpha.
    pub to_alpha: Option<Arc<ToAlpha>>,
}

/// The state once caps are negotiated.
pub struct Negotiated {
    pub translators: Translators,
    /// The direction of the last frame.
    pub direction: Direction,
    /// How the next frame relates to the previous ones.
    pub continuity: Continuity,
    /// How many frames ago a frame was last translated; `None` if the next frame may not use its
    /// residual.
    pub residual_age: Option<u32>,
    /// Whether a frame was dropped before the next one.
    pub has_dropped: bool,
    /// The previous model, until its last frame is finished.
    pub retired: Option<Retired>,
}

/// What to do after properties have changed.
pub enum Decision {
    /// Nothing.
    Nothing,
    /// Refuse the direction, because the model has only the other one.
    Refuse(LoadError, Direction),
    /// Send a request to the loader. The caller drops the previous state outside of the lock.
    Load(Box<Request>, Model),
    /// Cancel the current request. The caller drops the previous state outside of the lock.
    Cancel(Model),
}

impl Model {
    /// The model that runs, if any.
    pub fn running(&self) -> Option<&Loaded> {
        match self {
            Self::None => None,
            Self::Loaded(running) | Self::Loading(running, _) | Self::Prepared(running, _) => {
                Some(running)
            }
        }
    }

    /// Whether the loader is preparing request `id`.
    pub fn awaits(&self, id: u64) -> bool {
        matches!(self, Self::Loading(_, request) if request.id == id)
    }

    /// Keeps the running model and drops any request. Returns the previous state, which the caller
    /// drops outside of the lock.
    pub fn drop_request(&mut self) -> Self {
        let running = self.running().cloned();
        std::mem::replace(self, running.map_or(Self::None, Self::Loaded))
    }

    /// Sets the running model and keeps any request.
    pub fn set_running(&mut self, loaded: Loaded) {
        *self = match std::mem::take(self) {
            Self::None | Self::Loaded(_) => Self::Loaded(loaded),
            Self::Loading(_, request) => Self::Loading(loaded, request),
            Self::Prepared(_, prepared) => Self::Prepared(loaded, prepared),
        };
    }
}

impl State {
    /// Decides what to do about the `wanted` model; no other code decides it. Before PAUSED it is
    /// always nothing, as the change to PAUSED loads the model that is set by then.
    pub fn decide(&mut self, wanted: &Wanted) -> Decision {
        let (Some(running), Some(stream)) = (self.model.running().cloned(), &self.stream) else {
            return Decision::Nothing;
        };
        let current = stream.negotiated.as_ref().map(|negotiated| &negotiated.translators);
        let info = current.map(|current| current.info.clone());
        match &self.model {
            Model::Loading(_, request)
                if is_for(&request.wanted, wanted) && request.info == info =>
            {
                return Decision::Nothing;
            }
            Model::Prepared(_, prepared)
                if is_for(&prepared.wanted, wanted)
                    && prepared.translators.as_ref().map(|t| &t.info) == info.as_ref() =>
            {
                return Decision::Nothing;
            }
            _ => {}
        }
        let is_new_model = wanted.serial != running.serial;
        if !is_new_model {
            if let Err(error) = running.pair.require(wanted.direction) {
                // The model has at least one direction.
                return Decision::Refuse(error, wanted.direction.other());
            }
            let is_prepared = |current: &Translators| {
                current.wanted.view == wanted.view && current.has_all(wanted)
            };
            // Without negotiated frames it is enough that the generator is open.
            let is_open = running.pair.generator(wanted.direction).is_some();
            if current.map_or(is_open, is_prepared) {
                return match self.model.drop_request() {
                    Model::None | Model::Loaded(_) => Decision::Nothing,
                    unwanted => Decision::Cancel(unwanted),
                };
            }
        }
        let pair = match &self.model {
            _ if !is_new_model => Some(running.pair.clone()),
            Model::Prepared(_, prepared) if prepared.wanted.serial == wanted.serial => {
                Some(prepared.pair.clone())
            }
            _ => None,
        };
        let base = current.filter(|_| !is_new_model).cloned();
        self.last_request += 1;
        let request = Request { id: self.last_request, wanted: wanted.clone(), pair, base, info };
        let loading = Model::Loading(running, Box::new(request.clone()));
        Decision::Load(Box::new(request), std::mem::replace(&mut self.model, loading))
    }
}

/// Whether a request for `asked` also satisfies `wanted`.
fn is_for(asked: &Wanted, wanted: &Wanted) -> bool {
    asked.serial == wanted.serial
        && asked.view == wanted.view
        && asked.direction == wanted.direction
        && asked.preload == wanted.preload
}

impl Stream {
    /// How long a frame takes, as measured before the first one.
    pub fn cost(&self) -> Cost {
        let negotiated = self.negotiated.as_ref();
        let mut cost = negotiated.map(|negotiated| negotiated.translators.cost).unwrap_or_default();
        if let Some(to_alpha) = &self.to_alpha {
            cost.processing += to_alpha.cost();
        }
        cost
    }

    /// Records a break before the next frame.
    pub fn mark(&mut self, continuity: Continuity) {
        if let Some(negotiated) = &mut self.negotiated {
            negotiated.continuity = negotiated.continuity.max(continuity);
        }
    }

    /// Counts an input frame. Returns how many frames ago the frame was translated whose residual
    /// this one may use; `None` if it may not use any.
    pub fn age_residual(&mut self, wanted: Direction) -> Option<u32> {
        let negotiated = self.negotiated.as_mut()?;
        let follows = negotiated.continuity == Continuity::Follows
            && negotiated.direction(wanted) == negotiated.direction;
        let age = negotiated.residual_age.filter(|_| follows && !self.is_failing);
        negotiated.residual_age = age.map(|age| age.saturating_add(1));
        negotiated.residual_age
    }

    /// Records that a frame was dropped before the next one.
    pub fn mark_dropped(&mut self) {
        if let Some(negotiated) = &mut self.negotiated {
            negotiated.has_dropped = true;
        }
    }
}

impl Negotiated {
    /// The state right after negotiation.
    pub fn new(translators: Translators, direction: Direction) -> Self {
        Self {
            translators,
            direction,
            continuity: Continuity::Follows,
            residual_age: None,
            has_dropped: false,
            retired: None,
        }
    }

    /// The direction of the next frame: the `wanted` one if it is prepared, otherwise that of the
    /// last frame.
    pub fn direction(&self, wanted: Direction) -> Direction {
        if self.translators.get(wanted).is_some() { wanted } else { self.direction }
    }
}
