// SPDX-License-Identifier: MIT OR Apache-2.0

//! A task of a worker.

use super::Scheduler;
use crate::{
    entry::Entry,
    pool::{TaskResult, Worker},
    protocol::{Reply, Setup, Task},
    stop,
};

/// How often a task is repeated after its worker has crashed.
const RETRIES: usize = 1;

/// The worker of a thread, and how it is started.
pub(super) struct Slot {
    pub worker: Option<Worker>,
    pub setup: Setup,
}

/// Why a task failed.
pub(super) enum Failure {
    /// The program is stopping.
    Stopped,
    /// There is no worker for it.
    NoWorker(String),
    /// It failed because the file was cut into segments.
    Cut(String),
    /// Its worker crashed, even on the retry.
    Crash(String),
    /// It failed for good.
    Task(String),
}

fn not_started(error: anyhow::Error) -> Failure {
    match stop::is_requested() {
        true => Failure::Stopped,
        false => Failure::NoWorker(format!("{error:#}")),
    }
}

impl Scheduler<'_> {
    /// Lets a worker write the output, and gives it its final name.
    pub(super) fn perform_and_finish(
        &self,
        index: usize,
        entry: &Entry,
        worker: &mut Slot,
        task: &Task,
    ) -> Result<(), Failure> {
        match self.perform(index, worker, task, &|_| {}) {
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

    /// Lets a worker run a task, and repeats it if the worker crashes. `on_reply` receives every reply but the last.
    pub(super) fn perform(
        &self,
        index: usize,
        worker: &mut Slot,
        task: &Task,
        on_reply: &dyn Fn(&Reply),
    ) -> Result<Reply, Failure> {
        let mut crashes = 0;
        loop {
            let running = match &mut worker.worker {
                Some(running) => running,
                none => none.insert(Worker::start(&worker.setup).map_err(not_started)?),
            };
            let result = running.perform(task, &mut |reply| {
                on_reply(&reply);
                if let Reply::Notice { text } = reply {
                    self.note(index, text);
                }
            });
            if !matches!(result, Ok(TaskResult::Reply(_))) {
                worker.worker = None;
            }
            match result {
                Err(_) => return Err(Failure::Stopped),
                Ok(TaskResult::Crashed(cause)) if crashes < RETRIES => {
                    crashes += 1;
                    self.note(index, format!("{cause}; trying once more"));
                }
                Ok(TaskResult::Crashed(cause)) => {
                    return Err(Failure::Crash(format!("{cause}, twice")));
                }
                Ok(TaskResult::Stalled(cause)) => return Err(Failure::Task(cause)),
                Ok(TaskResult::Reply(Reply::Failed { cause, by_cutting: true })) => {
                    return Err(Failure::Cut(cause));
                }
                Ok(TaskResult::Reply(Reply::Failed { cause, .. })) => {
                    return Err(Failure::Task(cause));
                }
                Ok(TaskResult::Reply(reply)) => return Ok(reply),
            }
        }
    }
}
