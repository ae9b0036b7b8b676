// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading a model beside the stream, so that no frame waits for it.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use cyclegan_contract::Direction;
use gst_video::VideoInfo;

use super::{
    lock,
    settings::ViewSettings,
    translator::{TranslateError, Translators},
};
use cyclegan_runtime::{LoadError, LoadOptions, Pair};

/// What is to be prepared.
pub struct Request {
    /// The model.
    pub model: String,
    /// How to load it.
    pub options: LoadOptions,
    /// The model, if it is loaded already and only seen otherwise.
    pub loaded: Option<Arc<Pair>>,
    /// The direction that it must have.
    pub direction: Direction,
    /// The frames that are negotiated, if they are.
    pub info: Option<VideoInfo>,
    /// What the generators are to see of them.
    pub view: ViewSettings,
    /// Threads for conversion.
    pub threads: u32,
}

/// A request that came true.
pub struct Loaded {
    /// The model.
    pub pair: Arc<Pair>,
    /// Its translators, if the request named the frames.
    pub translators: Option<Translators>,
}

/// A request that did not.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model fails on frames of this size.
    #[error(transparent)]
    Translate(#[from] TranslateError),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Event {
    /// It is being prepared.
    Started,
    /// The generator of a direction comes next.
    Step(Direction),
    /// It waits to be taken.
    Done,
    /// A newer one has come meanwhile.
    Overtaken,
    /// It cannot be prepared.
    Failed(PrepareError),
}

/// Prepares one request after the other, and forgets those that a newer one overtakes.
#[derive(Default)]
pub struct Loader {
    shared: Arc<Mutex<Shared>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    wanted: Option<Request>,
    is_running: bool,
    /// Whether what is being prepared loads a model.
    is_loading: bool,
    loaded: Option<Loaded>,
}

impl Loader {
    /// Prepares `request` on a thread of its own. `on_event` is told of the model and of what
    /// becomes of it.
    pub fn request(&self, mut request: Request, on_event: impl Fn(&str, Event) + Send + 'static) {
        let mut shared = lock(&self.shared);
        if request.loaded.is_some() {
            // A model that is on its way must not be overtaken by the one that still runs.
            let is_awaited = shared.wanted.as_ref().is_some_and(|wanted| wanted.loaded.is_none());
            let waiting = shared.loaded.as_ref().map(|loaded| loaded.pair.clone());
            request.loaded = match is_awaited || shared.is_loading {
                true => None,
                false => waiting.or(request.loaded),
            };
        }
        shared.wanted = Some(request);
        if shared.is_running {
            return;
        }
        shared.is_running = true;
        drop(shared);
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("cyclegan-loader".to_owned());
        match thread.spawn(move || run(&shared, &on_event)) {
            Ok(handle) => *lock(&self.thread) = Some(handle),
            Err(error) => {
                lock(&self.shared).is_running = false;
                gst::error!(gst::CAT_DEFAULT, "no thread to load a model on: {error}");
            }
        }
    }

    /// What has been prepared since the last call.
    pub fn take(&self) -> Option<Loaded> {
        lock(&self.shared).loaded.take()
    }

    /// Waits for a request that is under way, and forgets it.
    pub fn cancel(&self) {
        lock(&self.shared).wanted = None;
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            gst::error!(gst::CAT_DEFAULT, "the thread that loads models has panicked");
        }
        *lock(&self.shared) = Shared::default();
    }
}

fn run(shared: &Mutex<Shared>, on_event: &dyn Fn(&str, Event)) {
    loop {
        let request = {
            let mut shared = lock(shared);
            let Some(request) = shared.wanted.take() else {
                shared.is_running = false;
                return;
            };
            shared.is_loading = request.loaded.is_none();
            request
        };
        let model = request.model.clone();
        on_event(&model, Event::Started);
        let result = prepare(request, &|direction| on_event(&model, Event::Step(direction)));
        let event = {
            let mut shared = lock(shared);
            shared.is_loading = false;
            match result {
                _ if shared.wanted.is_some() => Event::Overtaken,
                Ok(loaded) => {
                    shared.loaded = Some(loaded);
                    Event::Done
                }
                Err(error) => Event::Failed(error),
            }
        };
        on_event(&model, event);
    }
}

fn prepare(request: Request, on_step: &dyn Fn(Direction)) -> Result<Loaded, PrepareError> {
    let Request { model, options, loaded, direction, info, view, threads } = request;
    let pair = loaded.map_or_else(|| Pair::load(&model, &options).map(Arc::new), Ok)?;
    pair.require(direction)?;
    let translators = info
        .map(|info| Translators::new(pair.clone(), &info, view, threads, on_step))
        .transpose()?;
    Ok(Loaded { pair, translators })
}
