// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's state: its model, and its stream from start to stop.

use std::sync::Arc;

use cyclegan_contract::Direction;
use cyclegan_runtime::{LoadError, Pair};
use gst_video::VideoInfo;

use super::{
    frames::FrameQueue,
    lateness::Deadlines,
    loader::{Prepared, Request, Retired},
    settings::Wanted,
    stats::Stats,
    translator::{Continuity, Translators},
};

/// Everything that threads share. Its lock is held for moments only: never while a frame is worked
/// on, a model loaded or freed, a pool or a queue waited for, or the application called.
#[derive(Default)]
pub struct State {
    pub model: Model,
    /// From start to stop: PAUSED and PLAYING.
    pub stream: Option<Stream>,
    /// Since the last start, and still there to be read after the stop.
    pub stats: Stats,
    /// The number of the last request.
    pub last_request: u64,
}

/// Which model runs, and what becomes of another one.
#[derive(Default)]
pub enum Model {
    /// Before READY, and after a load has failed that READY or PAUSED needed.
    #[default]
    None,
    /// It runs, and nothing else is asked for.
    Loaded(Loaded),
    /// It runs while the loader prepares something else.
    Loading(Loaded, Box<Request>),
    /// It runs until the next frame, which something else translates.
    Prepared(Loaded, Box<Prepared>),
}

/// A model that runs.
#[derive(Clone)]
pub struct Loaded {
    pub pair: Arc<Pair>,
    /// Which setting of `model` it is.
    pub serial: u64,
}

/// What exists while frames may flow.
pub struct Stream {
    pub queue: Arc<FrameQueue>,
    pub deadlines: Deadlines,
    /// Whether the generator failed on the last frame and that was tolerated.
    pub is_failing: bool,
    /// The frames that an error was posted about.
    pub refused: Option<VideoInfo>,
    /// Whether downstream takes `GstVideoMeta`, and with it planes that are padded.
    pub takes_video_meta: bool,
    /// Whether downstream draws overlays, and if so what it says of its window.
    pub overlays: Option<Option<gst::Structure>>,
    pub negotiated: Option<Negotiated>,
}

/// What exists once frames are negotiated.
pub struct Negotiated {
    pub translators: Translators,
    /// The direction of the last frame.
    pub direction: Direction,
    /// What the next frame has to do with those before.
    pub continuity: Continuity,
    /// How many frames ago the last one was translated; `None` if its residual is not for the next
    /// frame.
    pub residual_age: Option<u32>,
    /// Whether a frame is missing before the next one.
    pub has_dropped: bool,
    /// The model before, until its last frame is done.
    pub retired: Option<Retired>,
}

/// What follows from a change of the properties.
pub enum Decision {
    /// Nothing, or nothing yet.
    Nothing,
    /// The model lacks the direction, and has the other one.
    Refuse(LoadError, Direction),
    /// The loader has to prepare something. What was before is to be dropped outside of the lock.
    Load(Box<Request>, Model),
    /// What was being prepared is not wanted any more; it is to be dropped outside of the lock.
    Cancel(Model),
}

impl Model {
    /// The model that runs.
    pub fn running(&self) -> Option<&Loaded> {
        match self {
            Self::None => None,
            Self::Loaded(running) | Self::Loading(running, _) | Self::Prepared(running, _) => {
                Some(running)
            }
        }
    }

    /// Whether the request number `id` is being prepared.
    pub fn awaits(&self, id: u64) -> bool {
        matches!(self, Self::Loading(_, request) if request.id == id)
    }

    /// Drops any request. Returns the state before, which the caller frees outside of the lock.
    pub fn settle(&mut self) -> Self {
        let running = self.running().cloned();
        std::mem::replace(self, running.map_or(Self::None, Self::Loaded))
    }

    /// Makes `loaded` the model that runs, and keeps any request.
    pub fn set_running(&mut self, loaded: Loaded) {
        *self = match std::mem::take(self) {
            Self::None | Self::Loaded(_) => Self::Loaded(loaded),
            Self::Loading(_, request) => Self::Loading(loaded, request),
            Self::Prepared(_, prepared) => Self::Prepared(loaded, prepared),
        };
    }
}

impl State {
    /// The one place where it is decided what becomes of what the properties ask for. Before PAUSED
    /// nothing does: the way there loads the model that is set by then.
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
                // Never one that the model lacks: putting that back would be refused again.
                let previous = match wanted.direction {
                    Direction::AToB => Direction::BToA,
                    Direction::BToA => Direction::AToB,
                };
                return Decision::Refuse(error, previous);
            }
            let is_there = |current: &Translators| {
                current.wanted.view == wanted.view && current.has_all(wanted)
            };
            // Without frames it is enough that the generator is open.
            let is_open = running.pair.generator(wanted.direction).is_some();
            if current.map_or(is_open, is_there) {
                return match self.model.settle() {
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

/// Whether what was asked for serves for what is wanted now.
fn is_for(asked: &Wanted, wanted: &Wanted) -> bool {
    asked.serial == wanted.serial
        && asked.view == wanted.view
        && asked.direction == wanted.direction
        && asked.preload == wanted.preload
}

impl Stream {
    /// Notes what the next frame has to do with those before.
    pub fn mark(&mut self, continuity: Continuity) {
        if let Some(negotiated) = &mut self.negotiated {
            negotiated.continuity = negotiated.continuity.max(continuity);
        }
    }

    /// Counts a frame that comes in, to be translated in the direction that is `wanted`. Returns how
    /// many frames ago the one was translated whose residual it may take, if there is one.
    pub fn age_residual(&mut self, wanted: Direction) -> Option<u32> {
        let negotiated = self.negotiated.as_mut()?;
        let follows = negotiated.continuity == Continuity::Follows
            && negotiated.direction(wanted) == negotiated.direction;
        let age = negotiated.residual_age.filter(|_| follows && !self.is_failing);
        negotiated.residual_age = age.map(|age| age.saturating_add(1));
        negotiated.residual_age
    }

    /// Notes that a frame is missing before the next one.
    pub fn mark_dropped(&mut self) {
        if let Some(negotiated) = &mut self.negotiated {
            negotiated.has_dropped = true;
        }
    }
}

impl Negotiated {
    /// For the first frames of their kind.
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

    /// The direction of the next frame: the `wanted` one as soon as it is prepared.
    pub fn direction(&self, wanted: Direction) -> Direction {
        if self.translators.get(wanted).is_some() { wanted } else { self.direction }
    }
}
