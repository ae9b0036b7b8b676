// SPDX-License-Identifier: MIT OR Apache-2.0

//! The work on a library of files, step by step, by several threads with a worker process each.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Result, anyhow};

use crate::{
    entry::{Entry, Origin, Standing},
    events::{Events, Verdict},
    inputs::{Item, Kind},
    options::Options,
    pool::{Ending, Worker},
    queue::{Queue, Step},
    worker::protocol::{Reply, Setup, Span, Task},
};

/// What is known of a file at the end.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How it has ended; none if the program was stopped before.
    pub verdict: Option<Verdict>,
    /// What a user should know of it.
    pub notices: Vec<String>,
    /// Frames before and after, as HTML.
    pub strip: Option<String>,
}

/// A file that is being worked on.
struct Begun {
    entry: Arc<Entry>,
    since: Instant,
    spans: Vec<Span>,
    /// Pieces that are not finished.
    left: usize,
    /// Frames of finished pieces, and of those that are being translated.
    finished: u64,
    running: Vec<(usize, u64)>,
    /// Set when the file will be translated in one piece after all.
    is_uncut: bool,
}

#[derive(Default)]
struct File {
    outcome: Outcome,
    begun: Option<Begun>,
}

/// A task that did not go well.
struct Failure {
    cause: String,
    by_cutting: bool,
}

/// All files, and what is to be done with them.
pub struct Library<'a> {
    options: &'a Options,
    setup: Setup,
    items: &'a [Item],
    model: &'a str,
    events: &'a Events,
    queue: Queue,
    files: Vec<Mutex<File>>,
}

impl<'a> Library<'a> {
    /// `items`, to be translated with the generator whose file has the hash `model`.
    pub fn new(
        options: &'a Options,
        setup: Setup,
        items: &'a [Item],
        model: &'a str,
        events: &'a Events,
    ) -> Self {
        let queue = Queue::default();
        (0..items.len()).for_each(|number| queue.push(Step::File(number)));
        let files = items.iter().map(|_| Mutex::default()).collect();
        Self { options, setup, items, model, events, queue, files }
    }

    /// More threads than this would have nothing to do.
    pub fn most_jobs(&self) -> usize {
        let is_video = |item: &&Item| matches!(item.kind, Kind::Video(_));
        let may_cut = self.setup.piece > 0 && self.items.iter().any(|item| is_video(&item));
        if may_cut { usize::MAX } else { self.items.len() }
    }

    /// What is known of the files at the end, in the order of the items.
    pub fn outcomes(&self) -> Vec<Outcome> {
        (0..self.files.len()).map(|number| self.file(number).outcome.clone()).collect()
    }

    /// Does steps until there are none left.
    pub fn work(&self, mut worker: Option<Worker>) {
        self.queue.work(|step| match step {
            Step::File(number) => self.begin(number, &mut worker),
            Step::Whole(number) => self.translate(number, &mut worker, false),
            Step::Piece(number, piece) => self.piece(number, piece, &mut worker),
            Step::Join(number) => self.join(number, &mut worker),
        });
    }

    fn begin(&self, number: usize, worker: &mut Option<Worker>) {
        match self.open(number) {
            Ok(Standing::Finished(frames)) => {
                self.end(number, Verdict::Skipped { frames }, worker);
            }
            Ok(Standing::Open) => self.translate(number, worker, self.setup.piece > 0),
            Err(error) => self.fail(number, format!("{error:#}"), worker),
        }
    }

    fn open(&self, number: usize) -> Result<Standing> {
        let item = &self.items[number];
        if let Some(problem) = &item.problem {
            return Err(anyhow!(problem.clone()));
        }
        let origin = Origin::new(item, &self.setup.recipe, self.model)?;
        self.events.start(number, &item.input, origin.size());
        let entry = Arc::new(Entry::open(&self.options.out, item, origin)?);
        let standing = entry.standing(self.options.overwrite)?;
        self.file(number).begun = Some(Begun {
            entry,
            since: Instant::now(),
            spans: Vec::new(),
            left: 0,
            finished: 0,
            running: Vec::new(),
            is_uncut: false,
        });
        Ok(standing)
    }

    fn translate(&self, number: usize, worker: &mut Option<Worker>, may_cut: bool) {
        let Some(entry) = self.entry(number) else { return };
        if let Some(spans) = entry.plan().filter(|_| may_cut) {
            return self.begin_pieces(number, spans);
        }
        entry.clear();
        let input = self.items[number].input.clone().into_os_string();
        let output = entry.unfinished().into_os_string();
        let task = match self.items[number].kind {
            Kind::Video(container) => Task::Video { input, output, container, may_cut },
            Kind::Picture(format) => Task::Picture { input, output, format },
        };
        let hear = |frames, total| {
            self.events.progress(number, &self.items[number].input, frames, total);
        };
        match self.perform(number, worker, &task, &hear) {
            Ok(None) => entry.clear(),
            Ok(Some(Reply::Done { frames })) => self.finish(number, &entry, frames, worker),
            Ok(Some(Reply::Cut { spans })) => match entry.set_plan(&spans) {
                Ok(()) => self.begin_pieces(number, spans),
                Err(error) => self.fail(number, format!("cannot be cut: {error:#}"), worker),
            },
            Ok(Some(other)) => self.fail(number, format!("unexpected {other:?}"), worker),
            Err(failure) if failure.by_cutting && may_cut => {
                self.note_uncut(number, &failure.cause);
                self.begin_whole(number, &entry);
            }
            Err(failure) => {
                entry.clear();
                self.fail(number, failure.cause, worker);
            }
        }
    }

    fn begin_pieces(&self, number: usize, spans: Vec<Span>) {
        let mut file = self.file(number);
        let Some(begun) = &mut file.begun else { return };
        let is_finished = |piece: &usize| begun.entry.piece(*piece).is_file();
        let (finished, open): (Vec<_>, Vec<_>) = (0..spans.len()).partition(is_finished);
        begun.finished = finished.iter().map(|&piece| spans[piece].frames).sum();
        begun.left = open.len();
        begun.spans = spans;
        drop(file);
        if open.is_empty() {
            self.queue.push_first([Step::Join(number)].into_iter());
        } else {
            self.queue.push_first(open.into_iter().map(|piece| Step::Piece(number, piece)));
        }
    }

    fn piece(&self, number: usize, piece: usize, worker: &mut Option<Worker>) {
        let Kind::Video(container) = self.items[number].kind else { return };
        let Some((entry, span)) = self
            .file(number)
            .begun
            .as_ref()
            .and_then(|begun| Some((begun.entry.clone(), begun.spans.get(piece)?.clone())))
        else {
            return;
        };
        let task = Task::Piece {
            input: self.items[number].input.clone().into_os_string(),
            output: entry.unfinished_piece(piece).into_os_string(),
            container,
            span: span.clone(),
        };
        let hear = |frames, _| self.piece_progress(number, piece, frames);
        let ended = self.perform(number, worker, &task, &hear).map(|reply| reply.is_some());
        let ended = match ended {
            Ok(true) => entry
                .finish_piece(piece)
                .map(|()| true)
                .map_err(|error| Failure { cause: format!("{error:#}"), by_cutting: false }),
            other => other,
        };
        match ended {
            Ok(false) => {}
            Ok(true) => self.piece_ended(number, piece, Some(span.frames)),
            Err(failure) if failure.by_cutting => {
                self.note_uncut(number, &failure.cause);
                if let Some(begun) = &mut self.file(number).begun {
                    begun.is_uncut = true;
                }
                self.piece_ended(number, piece, None);
            }
            Err(failure) => {
                self.queue.forget_pieces(number);
                self.fail(number, failure.cause, worker);
            }
        }
    }

    fn piece_progress(&self, number: usize, piece: usize, frames: u64) {
        let mut file = self.file(number);
        let Some(begun) = &mut file.begun else { return };
        begun.running.retain(|(other, _)| *other != piece);
        begun.running.push((piece, frames));
        let done = begun.finished + begun.running.iter().map(|(_, frames)| frames).sum::<u64>();
        let total = begun.spans.iter().map(|span| span.frames).sum();
        drop(file);
        self.events.progress(number, &self.items[number].input, done, Some(total));
    }

    fn piece_ended(&self, number: usize, piece: usize, frames: Option<u64>) {
        let mut file = self.file(number);
        let Some(begun) = &mut file.begun else { return };
        begun.running.retain(|(other, _)| *other != piece);
        begun.finished += frames.unwrap_or(0);
        begun.left -= 1;
        if begun.is_uncut {
            begun.left -= self.queue.forget_pieces(number);
        }
        if begun.left > 0 {
            return;
        }
        let (entry, is_uncut) = (begun.entry.clone(), begun.is_uncut);
        drop(file);
        match is_uncut {
            true => self.begin_whole(number, &entry),
            false => self.queue.push_first([Step::Join(number)].into_iter()),
        }
    }

    /// Goes back to one piece.
    fn begin_whole(&self, number: usize, entry: &Entry) {
        entry.drop_pieces();
        self.queue.push_first([Step::Whole(number)].into_iter());
    }

    fn join(&self, number: usize, worker: &mut Option<Worker>) {
        let Kind::Video(container) = self.items[number].kind else { return };
        let Some(entry) = self.entry(number) else { return };
        let spans = self.file(number).begun.as_ref().map(|b| b.spans.clone()).unwrap_or_default();
        entry.clear();
        let task = Task::Join {
            input: self.items[number].input.clone().into_os_string(),
            output: entry.unfinished().into_os_string(),
            container,
            pieces: (0..spans.len()).map(|piece| entry.piece(piece).into_os_string()).collect(),
        };
        match self.perform(number, worker, &task, &|_, _| {}) {
            Ok(None) => entry.clear(),
            Ok(Some(_)) => {
                let frames = spans.iter().map(|span| span.frames).sum();
                self.finish(number, &entry, frames, worker);
            }
            Err(failure) if failure.by_cutting => {
                self.note_uncut(number, &failure.cause);
                self.begin_whole(number, &entry);
            }
            Err(failure) => {
                entry.clear();
                self.fail(number, failure.cause, worker);
            }
        }
    }

    /// Has a worker do a task; none if the program is to stop.
    fn perform(
        &self,
        number: usize,
        worker: &mut Option<Worker>,
        task: &Task,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Option<Reply>, Failure> {
        let fault = |cause: String| Failure { cause, by_cutting: false };
        if worker.is_none() {
            *worker =
                Some(Worker::start(&self.setup).map_err(|error| fault(format!("{error:#}")))?);
        }
        let Some(running) = worker else { return Ok(None) };
        let ending = running.perform(task, &mut |reply| match reply {
            Reply::Progress { frames, total } => progress(frames, total),
            Reply::Notice { text } => self.note(number, text),
            _ => {}
        });
        match ending {
            // The program stops.
            Err(_) => {
                *worker = None;
                Ok(None)
            }
            Ok(Ending::Lost(cause)) => {
                *worker = None;
                Err(fault(cause))
            }
            Ok(Ending::Reply(Reply::Failed { cause, by_cutting })) => {
                Err(Failure { cause, by_cutting })
            }
            Ok(Ending::Reply(reply)) => Ok(Some(reply)),
        }
    }

    fn note_uncut(&self, number: usize, cause: &str) {
        self.note(number, format!("cannot be cut into pieces, and is translated in one ({cause})"));
    }

    fn note(&self, number: usize, text: String) {
        let notices = &mut self.file(number).outcome.notices;
        if !notices.contains(&text) {
            self.events.notice(&self.items[number].input, &text);
            notices.push(text);
        }
    }

    fn finish(&self, number: usize, entry: &Entry, frames: u64, worker: &mut Option<Worker>) {
        let seconds = self.file(number).begun.as_ref().map(|b| b.since.elapsed().as_secs_f64());
        match entry.finish(frames) {
            Ok(()) => {
                let seconds = seconds.unwrap_or_default();
                self.end(number, Verdict::Translated { frames, seconds }, worker);
            }
            Err(error) => self.fail(number, format!("{error:#}"), worker),
        }
    }

    fn fail(&self, number: usize, cause: String, worker: &mut Option<Worker>) {
        self.end(number, Verdict::Failed { cause }, worker);
    }

    fn end(&self, number: usize, verdict: Verdict, worker: &mut Option<Worker>) {
        let item = &self.items[number];
        let output: PathBuf = self.options.out.join(&item.output);
        {
            let mut file = self.file(number);
            // A piece may fail when another one has failed already.
            if file.outcome.verdict.is_some() {
                return;
            }
            file.outcome.verdict = Some(verdict.clone());
        }
        let is_there = !matches!(verdict, Verdict::Failed { .. });
        if is_there && self.options.report.is_some() {
            let task = Task::Strip {
                input: item.input.clone().into_os_string(),
                output: output.clone().into_os_string(),
            };
            match self.perform(number, worker, &task, &|_, _| {}) {
                Ok(Some(Reply::Strip { html })) => self.file(number).outcome.strip = Some(html),
                Err(failure) => {
                    self.note(number, format!("has no strip in the report: {}", failure.cause))
                }
                Ok(_) => {}
            }
        }
        // Another process may have it now.
        self.file(number).begun = None;
        self.events.end(number, &item.input, &output, &verdict);
    }

    fn entry(&self, number: usize) -> Option<Arc<Entry>> {
        self.file(number).begun.as_ref().map(|begun| begun.entry.clone())
    }

    fn file(&self, number: usize) -> MutexGuard<'_, File> {
        self.files[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
