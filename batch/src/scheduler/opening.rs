// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first step of a file: decides what there is to do.

use anyhow::{Result, anyhow};

use super::{Begun, Failure, Scheduler, Slot};
use crate::{
    entry::{Entry, Fingerprint, failed_since, lock::Holder, record_failure},
    events::FileResult,
    inputs::Item,
    kind::Kind,
    protocol::{Reply, Task},
};

/// What to do next with a file.
enum NextStep {
    Translate,
    /// Nothing.
    Done(FileResult),
    /// Translate segments of it for the process that holds it.
    Help,
}

impl NextStep {
    fn elsewhere(what: String) -> Self {
        Self::Done(FileResult::Elsewhere { what })
    }
}

/// The message for an output that another process holds.
pub(super) fn is_held(holder: &Holder) -> String {
    format!("is being translated by {holder}")
}

impl Scheduler<'_> {
    pub(super) fn begin(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
        match self.open(index) {
            Ok(NextStep::Done(result)) => {
                self.end_made(index, result, worker);
                Ok(())
            }
            Ok(NextStep::Help) => {
                self.offer_help(index);
                Ok(())
            }
            Ok(NextStep::Translate) if self.options.dry_run => self.dry_run(index, worker),
            Ok(NextStep::Translate) => match self.items[index].kind {
                Kind::Video(_) => self.plan(index, worker, self.setup.piece > 0),
                Kind::Picture(format) => {
                    let Some(entry) = self.entry(index) else { return Ok(()) };
                    entry.clear();
                    let input = self.items[index].input.clone().into();
                    let output = entry.unfinished().into();
                    let task = Task::Picture { input, output, format };
                    self.perform_and_finish(index, &entry, worker, &task)
                }
            },
            Err(error) => Err(Failure::Task(format!("{error:#}"))),
        }
    }

    /// Reports what would be done.
    fn dry_run(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
        let (mut frames, mut segments) = (Some(1), 1);
        if let Kind::Video(container) = self.items[index].kind {
            let input = self.items[index].input.clone().into();
            let (may_cut, sample) = (self.setup.piece > 0, self.items[index].sample);
            let task = Task::Probe { input, container, may_cut, sample };
            if let Reply::Plan { spans, frames: expected } =
                self.perform(index, worker, &task, &|_| {})?
            {
                (frames, segments) = (expected, spans.len());
            }
        }
        self.end(index, FileResult::Planned { frames, segments });
        Ok(())
    }

    fn open(&self, index: usize) -> Result<NextStep> {
        let item = &self.items[index];
        if let Some(problem) = &item.problem {
            return Err(anyhow!(problem.clone()));
        }
        if let Some(what) = self.failed_elsewhere(item) {
            return Ok(NextStep::elsewhere(what));
        }
        let fingerprint = Fingerprint::new(item, &self.setup.recipe, self.model)
            .inspect_err(|error| self.record_failure(item, &format!("{error:#}")))?;
        self.events.start(index, &item.input, fingerprint.size);
        let (entry, holder) = Entry::open(self.out, item, fingerprint, self.options.dry_run)?;
        if let Some(holder) = holder {
            if self.since.is_none() || !matches!(item.kind, Kind::Video(_)) {
                return Ok(NextStep::elsewhere(is_held(&holder)));
            }
            self.file(index).begun = Some(Begun::new(entry));
            return Ok(NextStep::Help);
        }
        // Since the check above, another process may have failed with it and released the lock.
        if let Some(what) = self.failed_elsewhere(item) {
            return Ok(NextStep::elsewhere(what));
        }
        let finished = entry
            .finished(self.options.overwrite)
            .inspect_err(|error| entry.fail(&format!("{error:#}"), &[]))?;
        self.file(index).begun = Some(Begun::new(entry));
        Ok(match finished {
            Some(frames) => NextStep::Done(FileResult::Skipped { frames }),
            None => NextStep::Translate,
        })
    }

    /// How `item` has failed in another process since this run began, so that not every machine tries it.
    pub(super) fn failed_elsewhere(&self, item: &Item) -> Option<String> {
        failed_since(self.out, item, self.since?)
    }

    /// Records the failure of an item that has no entry, for reports only.
    fn record_failure(&self, item: &Item, cause: &str) {
        if !self.options.dry_run {
            let _ = record_failure(self.out, item, cause);
        }
    }
}
