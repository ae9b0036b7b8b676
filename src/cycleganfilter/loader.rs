// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loads and prepares models on a background thread, so that no frame waits for it. The thread
//! lives as long as the element, and also frees models that are no longer used.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use cyclegan_contract::Direction;
use cyclegan_runtime::{Interrupt, LoadError, Pair};

use super::{
    lock,
    memory::FrameInfo,
    settings::Wanted,
    translator::{Progress, TranslateError, Translators},
};

/// A request to prepare a model.
#[derive(Clone)]
pub struct Request {
    /// Identifies the request.
    pub id: u64,
    /// What the properties ask for.
    pub wanted: Wanted,
    /// The model, if it is already loaded.
    pub pair: Option<Arc<Pair>>,
    /// The current translators, if they use the same model.
    pub base: Option<Translators>,
    /// The negotiated frames, if any.
    pub info: Option<FrameInfo>,
}

/// A model that is ready to run.
#[derive(Clone)]
pub struct Prepared {
    /// The model.
    pub pair: Arc<Pair>,
    /// What was requested.
    pub wanted: Wanted,
    /// Its translators, if frames were negotiated.
    pub translators: Option<Translators>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model fails on the negotiated frames.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// A bug: the load panicked.
    #[error("loading {0} panicked, which is a bug; please report it")]
    Panicked(String),
    /// The background thread could not be started.
    #[error("could not start a thread to load {model}: {error}")]
    NoThread {
        /// The model.
        model: String,
        /// Why.
        error: std::io::Error,
    },
}

/// The progress of a request.
pub enum Event {
    /// Work on it has started.
    Started,
    /// The generator of this direction is next.
    Step(Direction),
    /// The model is ready.
    Done(Box<Prepared>),
    /// It failed.
    Failed(PrepareError),
}

/// Reports the progress of a request.
pub type Report = Box<dyn Fn(&Request, Event) + Send + Sync>;

/// Prepares what a request asks for. Adds the model to the request once it is loaded.
type Prepare = fn(&mut Request, Progress) -> Result<Prepared, PrepareError>;

/// The background thread, started by the first request. A new request replaces one that is waiting
/// and ends the one in progress, unless its model is still loading.
/// Dropping the loader does not wait for the thread.
pub struct Loader {
    shared: Arc<Shared>,
    prepare: Prepare,
}

#[derive(Default)]
struct Shared {
    is_started: AtomicBool,
    pending: Mutex<Pending>,
    /// Signals that there is something to do.
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    request: Option<Request>,
    /// Ends the request in progress.
    interrupt: Interrupt,
    retired: Vec<Box<dyn Any + Send>>,
    is_closed: bool,
}

/// A model that is no longer used. Dropping this lets the loader free the model, which may take a
/// long time.
pub struct Retired {
    shared: Arc<Shared>,
    model: Option<Box<dyn Any + Send>>,
}

impl Default for Loader {
    fn default() -> Self {
        Self { shared: Arc::default(), prepare }
    }
}

impl Loader {
    /// Prepares `request`. All requests report to the `report` of the first call.
    pub fn request(&self, request: Request, report: impl FnOnce() -> Report) {
        self.shared.replace(Some(request));
        if !self.shared.is_started.swap(true, Relaxed) {
            let (shared, report) = (self.shared.clone(), Arc::new(report()));
            let (on_thread, prepare) = (report.clone(), self.prepare);
            let thread = thread::Builder::new().name("cyclegan-loader".to_owned());
            if let Err(error) = thread.spawn(move || run(&shared, &**on_thread, prepare)) {
                self.shared.is_started.store(false, Relaxed);
                let request = lock(&self.shared.pending).request.take();
                if let Some(request) = request {
                    let model = request.wanted.model.clone();
                    report(&request, Event::Failed(PrepareError::NoThread { model, error }));
                }
            }
        }
        self.shared.changed.notify_all();
    }

    /// Drops a waiting request and ends the one in progress, which still reports a result.
    pub fn cancel(&self) {
        self.shared.replace(None);
    }

    /// Returns a guard; when it is dropped, the thread frees `model`.
    pub fn retire(&self, model: impl Any + Send) -> Retired {
        Retired { shared: self.shared.clone(), model: Some(Box::new(model)) }
    }
}

impl Shared {
    /// Replaces the waiting request and ends the one in progress.
    fn replace(&self, request: Option<Request>) {
        let waiting = {
            let mut pending = lock(&self.pending);
            pending.interrupt.set();
            std::mem::replace(&mut pending.request, request)
        };
        drop(waiting);
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.cancel();
        lock(&self.shared.pending).is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        let Some(model) = self.model.take() else { return };
        let mut pending = lock(&self.shared.pending);
        if self.shared.is_started.load(Relaxed) && !pending.is_closed {
            pending.retired.push(model);
            self.shared.changed.notify_all();
            return;
        }
        drop(pending);
        drop(model);
    }
}

fn run(shared: &Shared, report: &(dyn Fn(&Request, Event) + Send + Sync), prepare: Prepare) {
    // A model whose request was replaced by one for the same model.
    let mut spare: Option<(u64, Arc<Pair>)> = None;
    loop {
        let (request, interrupt, retired) = {
            let mut pending = lock(&shared.pending);
            while pending.request.is_none() && pending.retired.is_empty() && !pending.is_closed {
                pending = shared.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            if pending.is_closed {
                return;
            }
            pending.interrupt = Interrupt::default();
            (
                pending.request.take(),
                pending.interrupt.clone(),
                std::mem::take(&mut pending.retired),
            )
        };
        drop(retired);
        let Some(mut request) = request else { continue };
        let serial = request.wanted.serial;
        let loaded = spare.take().filter(|(loaded, _)| *loaded == serial);
        request.pair = request.pair.or(loaded.map(|(_, pair)| pair));
        report(&request, Event::Started);
        let of_report = request.clone();
        let on_step = |direction| report(&of_report, Event::Step(direction));
        let progress = Progress { on_step: &on_step, interrupt: &interrupt };
        let result = catch_unwind(AssertUnwindSafe(|| prepare(&mut request, progress)));
        let result =
            result.unwrap_or_else(|_| Err(PrepareError::Panicked(request.wanted.model.clone())));
        if lock(&shared.pending).request.is_some() {
            spare = request.pair.clone().map(|pair| (serial, pair));
        }
        report(
            &request,
            match result {
                Ok(prepared) => Event::Done(Box::new(prepared)),
                Err(error) => Event::Failed(error),
            },
        );
    }
}

/// Loads the `wanted` model, with the wanted direction or both.
pub fn load(wanted: &Wanted) -> Result<Arc<Pair>, LoadError> {
    let Wanted { model, options, direction, preload, .. } = wanted;
    let pair = match preload {
        true => Pair::load(model, options),
        false => Pair::load_direction(model, options, *direction),
    };
    let pair = pair?;
    pair.require(*direction)?;
    Ok(Arc::new(pair))
}

/// Prepares what `request` asks for.
fn prepare(request: &mut Request, progress: Progress) -> Result<Prepared, PrepareError> {
    let Request { wanted, pair, base, info, .. } = request;
    let pair = pair.clone().map_or_else(|| load(wanted), Ok)?;
    request.pair = Some(pair.clone());
    pair.open(wanted.direction)?;
    let of_frames = |info| Translators::new(pair.clone(), info, wanted, base.as_ref(), progress);
    let translators = info.as_ref().map(of_frames).transpose()?;
    // A different one if the provider fails on these frames.
    let pair = translators.as_ref().map_or(pair, |translators| translators.pair.clone());
    Ok(Prepared { pair, wanted: wanted.clone(), translators })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        thread::ThreadId,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::cycleganfilter::settings::Settings;

    fn request(id: u64, model: &str) -> Request {
        let wanted = Wanted { model: model.to_owned(), serial: id, ..Settings::default().wanted() };
        Request { id, wanted, pair: None, base: None, info: None }
    }

    /// Panics, sleeps or fails, depending on the name of the model.
    fn pretend(request: &mut Request, _: Progress) -> Result<Prepared, PrepareError> {
        let model = request.wanted.model.clone();
        match model.as_str() {
            "panic" => panic!("on purpose"),
            "slow" => thread::sleep(Duration::from_millis(200)),
            _ => {}
        }
        Err(PrepareError::Load(LoadError::NotFound { model, searched: Vec::new() }))
    }

    /// A loader whose requests send their ids and errors to a channel.
    struct Asking {
        loader: Loader,
        sender: Sender<(u64, String)>,
    }

    impl Asking {
        fn new() -> (Self, Receiver<(u64, String)>) {
            let (sender, failed) = channel();
            let loader = Loader { shared: Arc::default(), prepare: pretend };
            (Self { loader, sender }, failed)
        }

        fn ask(&self, id: u64, model: &str) {
            let sender = self.sender.clone();
            self.loader.request(request(id, model), move || {
                Box::new(move |request: &Request, event| {
                    if let Event::Failed(error) = event {
                        let _ = sender.send((request.id, error.to_string()));
                    }
                })
            });
        }
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_panic_is_reported_and_the_next_request_served() {
        let (loader, failed) = Asking::new();
        loader.ask(1, "panic");
        let (id, error) = failed.recv_timeout(PATIENCE).unwrap();
        assert!(id == 1 && error.contains("panicked"), "{id}: {error}");
        loader.ask(2, "other");
        assert_eq!(failed.recv_timeout(PATIENCE).unwrap().0, 2);
    }

    #[test]
    fn the_last_waiting_request_is_served() {
        let (loader, failed) = Asking::new();
        loader.ask(1, "slow");
        thread::sleep(Duration::from_millis(50));
        (2..6).for_each(|id| loader.ask(id, "other"));
        let ids: Vec<_> = (0..2).map(|_| failed.recv_timeout(PATIENCE).unwrap().0).collect();
        assert_eq!(ids, [1, 5]);
    }

    #[test]
    fn dropping_it_does_not_wait() {
        let (loader, failed) = Asking::new();
        loader.ask(1, "slow");
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        drop(loader);
        assert!(start.elapsed() < Duration::from_millis(100));
        assert_eq!(failed.recv_timeout(PATIENCE).unwrap().0, 1);
    }

    /// Sends the thread that it is dropped on.
    struct Model(Sender<ThreadId>);

    impl Drop for Model {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[test]
    fn models_are_freed_on_its_thread() {
        let (loader, failed) = Asking::new();
        loader.ask(1, "other");
        failed.recv_timeout(PATIENCE).unwrap();
        let (sender, dropped) = channel();
        let retired = loader.loader.retire(Model(sender));
        assert!(dropped.try_recv().is_err(), "freed while frames still use it");
        drop(retired);
        assert_ne!(dropped.recv_timeout(PATIENCE).unwrap(), thread::current().id());
    }
}
