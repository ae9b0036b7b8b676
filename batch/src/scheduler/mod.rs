// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates many files in steps, with several threads that each have a worker process.

mod opening;
mod segments;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use crate::{
    container::Container,
    encoding::segment_container,
    entry::Entry,
    events::{Events, Verdict},
    inputs::{Item, Kind},
    options::Options,
    pool::{Ending, Worker},
    queue::{Queue, Step},
    worker::protocol::{Reply, Setup, Span, Task},
};

/// How often a task is repeated after its worker has crashed.
const RETRIES: usize = 1;

/// The outcome of a file.
#[derive(Default)]
struct Outcome {
    /// Its result; `None` if the program was stopped before.
    verdict: Option<Verdict>,
    /// Notes for the user.
    notices: Vec<String>,
}

/// A file in progress.
struct Begun {
    entry: Arc<Entry>,
    since: Instant,
    spans: Vec<Span>,
    /// Total number of frames, if known.
    total: Option<u64>,
    /// Unfinished segments.
    left: usize,
    /// Frames of finished segments and of those in progress.
    finished: u64,
    running: Vec<(usize, u64)>,
    /// Set if the file must be translated in one segment.
    is_uncut: bool,
}

#[derive(Default)]
struct File {
    outcome: Outcome,
    begun: Option<Begun>,
}

/// The worker of a thread, and how it is started.
struct Slot {
    worker: Option<Worker>,
    setup: Setup,
}

/// Why a task failed.
enum Failure {
    /// The program is stopping.
    Stopped,
    /// There is no worker for it.
    NoWorker(String),
    /// It may succeed in one segment.
    Cut(String),
    /// It cannot succeed.
    Task(String),
}

/// All files and their state.
pub struct Scheduler<'a> {
    options: &'a Options,
    /// The folder of the outputs.
    out: &'a Path,
    setup: Setup,
    items: &'a [Item],
    model: &'a str,
    events: &'a Events,
    queue: Queue,
    files: Vec<Mutex<File>>,
    /// The start of the run by the clock of the file system, if machines share the files by their locks.
    since: Option<SystemTime>,
    /// Threads that have a worker or may get one.
    alive: AtomicUsize,
}

impl<'a> Scheduler<'a> {
    /// For `items` and the generator whose files have the hash `model`.
    pub fn new(
        options: &'a Options,
        out: &'a Path,
        setup: Setup,
        items: &'a [Item],
        model: &'a str,
        events: &'a Events,
    ) -> Self {
        let queue = Queue::default();
        (0..items.len()).for_each(|index| queue.push(Step::File(index)));
        let files = items.iter().map(|_| Mutex::default()).collect();
        let alive = AtomicUsize::new(0);
        Self { options, out, setup, items, model, events, queue, files, since: None, alive }
    }

    /// Shares the files with other machines by their locks, in a run that began at `since`.
    pub fn share_since(&mut self, since: SystemTime) {
        self.since = Some(since);
    }

    /// The most threads that have work.
    pub fn most_jobs(&self) -> usize {
        let is_video = |item: &&Item| matches!(item.kind, Kind::Video(_));
        let may_cut = self.setup.piece > 0 && self.items.iter().any(|item| is_video(&item));
        if may_cut { usize::MAX } else { self.items.len() }
    }

    /// Counts the threads that will [`work`](Self::work).
    pub fn expect(&self, threads: usize) {
        self.alive.store(threads, Ordering::SeqCst);
    }

    /// Runs steps until there are none left, or until no worker can be started. The number `thread`
    /// decides the device.
    pub fn work(&self, worker: Option<Worker>, thread: usize) {
        let devices = &self.options.device;
        let device = (!devices.is_empty()).then(|| devices[thread % devices.len()]);
        let mut worker = Slot { worker, setup: Setup { device, ..self.setup.clone() } };
        self.queue.work(|step| {
            let result = match step {
                Step::File(index) => self.begin(index, &mut worker),
                Step::Whole(index) => self.plan(index, &mut worker, false),
                Step::Segment(index, segment) => self.segment(index, segment, &mut worker),
                Step::Mux(index) => self.mux(index, &mut worker),
            };
            let (Step::File(index)
            | Step::Whole(index)
            | Step::Segment(index, _)
            | Step::Mux(index)) = step;
            match result {
                Ok(()) | Err(Failure::Stopped) => {}
                Err(Failure::NoWorker(cause)) => return self.give_up(step, index, cause),
                Err(Failure::Cut(cause) | Failure::Task(cause)) => {
                    self.queue.forget_segments(index);
                    self.fail(index, cause, &mut worker);
                }
            }
            ControlFlow::Continue(())
        });
    }

    /// A thread without a worker leaves its step to the others; the last thread fails the file.
    fn give_up(&self, step: Step, index: usize, cause: String) -> ControlFlow<()> {
        let others = self.alive.fetch_sub(1, Ordering::SeqCst).saturating_sub(1);
        if others == 0 {
            self.alive.store(1, Ordering::SeqCst);
            self.queue.forget_segments(index);
            self.end_failed(index, format!("cannot start a worker: {cause}"));
            return ControlFlow::Continue(());
        }
        // Another process, or thread, may begin the file anew.
        if let Step::File(_) = step {
            self.file(index).begun = None;
            self.events.forget(index);
        }
        self.events.warn(&format!("cannot start a worker, {others} continue: {cause}"));
        self.queue.push_first([step].into_iter());
        ControlFlow::Break(())
    }

    /// Has a worker write the output, and gives it its final name.
    fn perform_and_finish(
        &self,
        index: usize,
        entry: &Entry,
        worker: &mut Slot,
        task: &Task,
    ) -> Result<(), Failure> {
        match self.perform(index, worker, task, &|_, _| {}) {
            Ok(Reply::Done { frames, .. }) => {
                self.finish(index, entry, frames, worker);
                Ok(())
            }
            Ok(other) => Err(Failure::Task(format!("unexpected {other:?}"))),
            Err(failure) => {
                entry.clear();
                Err(failure)
            }
        }
    }

    /// Has a worker run a task, and repeats it if the worker crashes.
    fn perform(
        &self,
        index: usize,
        worker: &mut Slot,
        task: &Task,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Reply, Failure> {
        let mut crashes = 0;
        loop {
            let running = match &mut worker.worker {
                Some(running) => running,
                none => none.insert(
                    Worker::start(&worker.setup)
                        .map_err(|error| Failure::NoWorker(format!("{error:#}")))?,
                ),
            };
            let ending = running.perform(task, &mut |reply| match reply {
                Reply::Progress { frames, total } => progress(frames, total),
                Reply::Notice { text } => self.note(index, text),
                _ => {}
            });
            match ending {
                Err(_) => {
                    worker.worker = None;
                    return Err(Failure::Stopped);
                }
                Ok(Ending::Crashed(cause)) => {
                    worker.worker = None;
                    if crashes >= RETRIES {
                        return Err(Failure::Task(format!("{cause}, twice")));
                    }
                    crashes += 1;
                    self.note(index, format!("{cause}; trying once more"));
                }
                Ok(Ending::Stalled(cause)) => {
                    worker.worker = None;
                    return Err(Failure::Task(cause));
                }
                Ok(Ending::Reply(Reply::Failed { cause, by_cutting: true })) => {
                    return Err(Failure::Cut(cause));
                }
                Ok(Ending::Reply(Reply::Failed { cause, .. })) => return Err(Failure::Task(cause)),
                Ok(Ending::Reply(reply)) => return Ok(reply),
            }
        }
    }

    /// The entry of a video in progress, and its container.
    fn video(&self, index: usize) -> Option<(Arc<Entry>, Container)> {
        let Kind::Video(container) = self.items[index].kind else { return None };
        Some((self.entry(index)?, container))
    }

    /// The container of the segments of a video.
    fn of_segments(&self, container: Container) -> Container {
        segment_container(&self.setup.recipe, container)
    }

    fn segments(&self, index: usize) -> usize {
        self.file(index).begun.as_ref().map_or(0, |begun| begun.spans.len())
    }

    fn note_uncut(&self, index: usize, cause: &str) {
        self.note(
            index,
            format!("cannot be cut into segments and is translated as a whole ({cause})"),
        );
    }

    fn note(&self, index: usize, text: String) {
        let notices = &mut self.file(index).outcome.notices;
        if !notices.contains(&text) {
            self.events.notice(&self.items[index].input, &text);
            notices.push(text);
        }
    }

    fn finish(&self, index: usize, entry: &Entry, frames: u64, worker: &mut Slot) {
        let (seconds, notices) = {
            let file = self.file(index);
            let seconds = file.begun.as_ref().map(|begun| begun.since.elapsed().as_secs_f64());
            (seconds.unwrap_or_default(), file.outcome.notices.clone())
        };
        match entry.finish(frames, seconds, &notices) {
            Ok(()) => self.end(index, Verdict::Translated { frames, seconds }, worker),
            Err(error) => self.fail(index, format!("{error:#}"), worker),
        }
    }

    fn fail(&self, index: usize, cause: String, worker: &mut Slot) {
        self.end(index, Verdict::Failed { cause }, worker);
    }

    /// Fails a file where there is no worker.
    fn end_failed(&self, index: usize, cause: String) {
        let mut none = Slot { worker: None, setup: self.setup.clone() };
        self.fail(index, cause, &mut none);
    }

    fn end(&self, index: usize, verdict: Verdict, worker: &mut Slot) {
        let item = &self.items[index];
        let output: PathBuf = self.out.join(&item.output);
        {
            let mut file = self.file(index);
            // A piece may fail after another one has failed.
            if file.outcome.verdict.is_some() {
                return;
            }
            file.outcome.verdict = Some(verdict.clone());
        }
        if let Some(entry) = self.entry(index) {
            match &verdict {
                Verdict::Failed { cause } => {
                    let notices = self.file(index).outcome.notices.clone();
                    entry.fail(cause, &notices);
                }
                Verdict::Translated { .. } | Verdict::Skipped { .. } => {
                    self.make_thumbnails(index, &entry, &output, worker);
                }
                Verdict::Planned { .. } | Verdict::Elsewhere { .. } => {}
            }
        }
        // Another process may have it now.
        self.file(index).begun = None;
        self.events.end(index, &item.input, &output, &verdict);
    }

    /// Makes the thumbnails of the report, unless an earlier run has made them.
    fn make_thumbnails(&self, index: usize, entry: &Entry, output: &Path, worker: &mut Slot) {
        if self.options.report.is_none() || self.options.dry_run || entry.has_thumbnails() {
            return;
        }
        let task = Task::Thumbnails {
            input: self.items[index].input.clone().into_os_string(),
            output: output.to_owned().into_os_string(),
        };
        let made = match self.perform(index, worker, &task, &|_, _| {}) {
            Ok(Reply::Thumbnails { html }) => {
                entry.set_thumbnails(&html).map_err(|error| format!("{error:#}"))
            }
            Err(Failure::Task(cause) | Failure::NoWorker(cause)) => Err(cause),
            _ => Ok(()),
        };
        if let Err(cause) = made {
            self.note(index, format!("has no thumbnails in the report: {cause}"));
        }
    }

    fn entry(&self, index: usize) -> Option<Arc<Entry>> {
        self.file(index).begun.as_ref().map(|begun| begun.entry.clone())
    }

    fn file(&self, index: usize) -> MutexGuard<'_, File> {
        self.files[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
