// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first step of a file: whether there is something to do, and what.

use anyhow::{Result, anyhow};

use super::{Begun, Failure, Scheduler, Slot};
use crate::{
    entry::{Entry, Fingerprint, failed_since, lock::Holder, record_failure},
    events::Verdict,
    inputs::Item,
    kind::Kind,
    protocol::{Reply, Task},
};

/// What there is to do for a file.
enum Opening {
    Open,
    /// Nothing.
    Ended(Verdict),
    /// Translate segments of it for the process that has it.
    Shared,
}

impl Opening {
    fn elsewhere(what: String) -> Self {
        Self::Ended(Verdict::Elsewhere { what })
    }
}

/// What is said of an output that another process has.
pub(super) fn is_held(holder: &Holder) -> String {
    format!("is being translated by {holder}")
}

impl Scheduler<'_> {
    pub(super) fn begin(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
        match self.open(index) {
            Ok(Opening::Ended(verdict)) => {
                self.end_made(index, verdict, worker);
                Ok(())
            }
            Ok(Opening::Shared) => {
                self.offer_help(index);
                Ok(())
            }
            Ok(Opening::Open) if self.options.dry_run => self.foresee(index, worker),
            Ok(Opening::Open) => match self.items[index].kind {
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
    fn foresee(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
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
        self.end(index, Verdict::Planned { frames, segments });
        Ok(())
    }

    fn open(&self, index: usize) -> Result<Opening> {
        let item = &self.items[index];
        if let Some(problem) = &item.problem {
            return Err(anyhow!(problem.clone()));
        }
        if let Some(what) = self.failed_elsewhere(item) {
            return Ok(Opening::elsewhere(what));
        }
        let fingerprint = Fingerprint::new(item, &self.setup.recipe, self.model)
            .inspect_err(|error| self.record_failure(item, &format!("{error:#}")))?;
        self.events.start(index, &item.input, fingerprint.size);
        let (entry, holder) = Entry::open(self.out, item, fingerprint, self.options.dry_run)?;
        if let Some(holder) = holder {
            if self.since.is_none() || !matches!(item.kind, Kind::Video(_)) {
                return Ok(Opening::elsewhere(is_held(&holder)));
            }
            self.file(index).begun = Some(Begun::new(entry));
            return Ok(Opening::Shared);
        }
        // Another process may have failed with it, and left the lock, since the look above.
        if let Some(what) = self.failed_elsewhere(item) {
            return Ok(Opening::elsewhere(what));
        }
        let finished = entry
            .finished(self.options.overwrite)
            .inspect_err(|error| entry.fail(&format!("{error:#}"), &[]))?;
        self.file(index).begun = Some(Begun::new(entry));
        Ok(match finished {
            Some(frames) => Opening::Ended(Verdict::Skipped { frames }),
            None => Opening::Open,
        })
    }

    /// How `item` has failed in another process since this run began: it is not tried by every machine.
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
