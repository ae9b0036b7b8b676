// SPDX-License-Identifier: MIT OR Apache-2.0

//! A task of a worker.

use super::File;
use crate::{
    entry::Entry,
    pool::{Failure, Worker},
    protocol::{Action, Event, Reply, Setup, Task},
};

/// How often a task is repeated after its worker has crashed.
const RETRIES: usize = 1;

/// The worker of a thread, and how it is started.
pub(super) struct Slot {
    pub worker: Option<Worker>,
    pub setup: Setup,
}

impl File<'_> {
    /// Lets a worker write the output, and gives it its final name.
    pub fn perform_and_finish(
        self,
        worker: &mut Slot,
        entry: &Entry,
        action: Action,
    ) -> Result<(), Failure> {
        entry.clear()?;
        let remove = |_: &Failure| drop(entry.clear());
        match self.perform(worker, action, &|_| {}).inspect_err(remove)? {
            Reply::Done { frames } => {
                self.finish(worker, entry, frames);
                Ok(())
            }
            other => Err(Failure::unexpected(&other)),
        }
    }

    /// Lets a worker run a task, and repeats it if the worker crashes. `on_event` receives what happens
    /// before its reply.
    pub fn perform(
        self,
        slot: &mut Slot,
        action: Action,
        on_event: &dyn Fn(&Event),
    ) -> Result<Reply, Failure> {
        let task = Task { input: self.item().input.clone().into(), action };
        let mut crashes = 0;
        loop {
            let worker = match &mut slot.worker {
                Some(worker) => worker,
                none => none.insert(Worker::start(&slot.setup)?),
            };
            let result = worker.perform(&task, &mut |event| {
                on_event(&event);
                if let Event::Notice { text } = event {
                    self.notice(text);
                }
            });
            slot.worker.take_if(|worker| worker.has_ended);
            match result {
                Err(Failure::Crash(cause)) if crashes < RETRIES => {
                    crashes += 1;
                    self.notice(format!("{cause}; trying once more"));
                }
                Err(Failure::Crash(cause)) => {
                    return Err(Failure::Crash(format!("{cause}, twice")));
                }
                other => return other,
            }
        }
    }
}
