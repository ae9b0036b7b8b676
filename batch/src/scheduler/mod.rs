// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates many files in steps, on several threads that each have a worker process.

mod ending;
mod helping;
mod opening;
mod segments;
mod task;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Instant, SystemTime},
};

use crate::{
    container::Container,
    encoding::segment_container,
    entry::{Entry, Segments},
    events::{Events, FileResult},
    item::Item,
    kind::Kind,
    lock::lock,
    options::Options,
    pool::{Failure, Worker},
    protocol::Setup,
    queue::{Queue, Step},
    text::counted,
};
use task::Slot;

/// What is known about a file.
#[derive(Default)]
struct State {
    /// Its result; `None` while it has none, or if the program was stopped.
    result: Option<FileResult>,
    notices: Vec<String>,
    in_progress: Option<InProgress>,
    /// Waiting and active steps that help the process that holds it.
    help_steps: usize,
    /// Segments that this process has translated for that one.
    helped: u64,
}

/// A file in progress.
struct InProgress {
    entry: Arc<Entry>,
    since: Instant,
    /// `None` until the segments are planned.
    video: Option<Video>,
}

/// A video in progress.
struct Video {
    segments: Arc<Segments>,
    /// Total number of frames, if known.
    total: Option<u64>,
    /// Unfinished segments.
    left: usize,
    /// Frames of each segment that are translated.
    frames: Vec<u64>,
    /// Set if the file must be translated in one segment.
    is_uncut: bool,
}

impl InProgress {
    fn new(entry: Arc<Entry>) -> Self {
        Self { entry, since: Instant::now(), video: None }
    }
}

impl State {
    fn video(&mut self) -> Option<&mut Video> {
        self.in_progress.as_mut()?.video.as_mut()
    }
}

pub struct Scheduler<'a> {
    options: &'a Options,
    out: &'a Path,
    setup: Setup,
    items: &'a [Item],
    model: &'a str,
    events: &'a Events,
    queue: Queue,
    files: Vec<Mutex<State>>,
    /// The start of the run by the clock of the file system, if machines share the files by locks.
    since: Option<SystemTime>,
    /// Threads that have a worker or may get one.
    alive: AtomicUsize,
}

impl<'a> Scheduler<'a> {
    /// For `items` and the generator with the hash `model`; `since` is the start of the run if machines share the files
    /// by locks.
    pub fn new(
        options: &'a Options,
        out: &'a Path,
        setup: Setup,
        items: &'a [Item],
        model: &'a str,
        events: &'a Events,
        since: Option<SystemTime>,
    ) -> Self {
        let queue = Queue::default();
        (0..items.len()).for_each(|index| queue.push(Step::File(index)));
        let files = items.iter().map(|_| Mutex::default()).collect();
        let alive = AtomicUsize::new(0);
        Self { options, out, setup, items, model, events, queue, files, since, alive }
    }

    /// Runs all steps, up to `jobs` at a time; `worker` is one that is already running.
    pub fn run(&self, mut worker: Option<Worker>, jobs: u32) {
        let is_video = |item: &Item| matches!(item.kind, Kind::Video(_));
        let may_cut = self.setup.may_cut() && self.items.iter().any(is_video);
        let most = if may_cut { usize::MAX } else { self.items.len() };
        let jobs = (jobs as usize).min(most).max(1);
        self.alive.store(jobs, Ordering::SeqCst);
        thread::scope(|scope| {
            for thread in 0..jobs {
                let worker = worker.take();
                scope.spawn(move || self.work(worker, thread));
            }
        });
    }

    /// Runs steps until none are left or no worker can be started. The number `thread` selects the device.
    fn work(&self, worker: Option<Worker>, thread: usize) {
        let devices = &self.options.device;
        let device = (!devices.is_empty()).then(|| devices[thread % devices.len()]);
        let mut worker = Slot { worker, setup: Setup { device, ..self.setup.clone() } };
        self.queue.work(|step| {
            let file = File { run: self, index: step.file() };
            let result = match step {
                Step::File(_) => file.begin(&mut worker),
                Step::Whole(_) => file.plan(&mut worker, false),
                Step::Segment(_, segment) => file.segment(&mut worker, segment),
                Step::Mux(_) => file.mux(&mut worker),
                Step::Help(_) => file.help(&mut worker),
            };
            match result {
                Ok(()) | Err(Failure::Stopped) => {}
                Err(Failure::NoWorker(cause)) => return self.give_up(step, &cause),
                Err(failure) => file.fail(failure.to_string()),
            }
            ControlFlow::Continue(())
        });
    }

    fn segment_container(&self, container: Container) -> Container {
        segment_container(&self.setup.recipe, container)
    }

    /// Leaves the step of a thread without a worker to the other threads; the last thread fails the file.
    fn give_up(&self, step: Step, cause: &str) -> ControlFlow<()> {
        let file = File { run: self, index: step.file() };
        let others = self.alive.fetch_sub(1, Ordering::SeqCst).saturating_sub(1);
        if others == 0 {
            self.alive.store(1, Ordering::SeqCst);
            file.fail(format!("cannot start a worker: {cause}"));
            return ControlFlow::Continue(());
        }
        // Another process or thread may start the file again.
        if let Step::File(_) = step {
            file.cancel_start();
        }
        let others = counted(others as u64, "worker");
        self.events.warn(&format!("cannot start a worker, {others} left: {cause}"));
        self.queue.push_first(&[step]);
        ControlFlow::Break(())
    }
}

/// A file of a run.
#[derive(Clone, Copy)]
struct File<'a> {
    run: &'a Scheduler<'a>,
    index: usize,
}

impl<'a> File<'a> {
    fn item(self) -> &'a Item {
        &self.run.items[self.index]
    }

    fn state(self) -> MutexGuard<'a, State> {
        lock(&self.run.files[self.index])
    }

    fn entry(self) -> Option<Arc<Entry>> {
        self.state().in_progress.as_ref().map(|progress| progress.entry.clone())
    }

    /// The entry of a video in progress, and its container.
    fn video(self) -> Option<(Arc<Entry>, Container)> {
        let Kind::Video(container) = self.item().kind else { return None };
        Some((self.entry()?, container))
    }

    fn segments(self) -> Option<Arc<Segments>> {
        self.state().video().map(|video| video.segments.clone())
    }

    /// Undoes the start, so that the file can start again.
    fn cancel_start(self) {
        self.run.events.cancel_start(self.index);
        self.state().in_progress = None;
    }

    fn notice_uncut(self, cause: &str) {
        self.notice(format!("cannot be cut into segments and is translated as a whole ({cause})"));
    }

    fn notice(self, text: String) {
        let notices = &mut self.state().notices;
        if !notices.contains(&text) {
            self.run.events.notice(&self.item().input, &text);
            notices.push(text);
        }
    }
}
