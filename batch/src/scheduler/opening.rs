// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first step of a file: decides what there is to do.

use std::ffi::OsString;

use anyhow::{Result, anyhow};

use super::{File, InProgress, Slot};
use crate::{
    entry::{Entry, Fingerprint, failed_since, lock::Holder, record_failure},
    events::FileResult,
    kind::Kind,
    pool::Failure,
    protocol::Action,
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
    fn elsewhere(text: String) -> Self {
        Self::Done(FileResult::Elsewhere { text })
    }
}

/// The message for an output that another process holds.
pub(super) fn is_held(holder: &Holder) -> String {
    format!("is being translated by {holder}")
}

impl File<'_> {
    pub fn begin(self, worker: &mut Slot) -> Result<(), Failure> {
        match self.open()? {
            NextStep::Done(result) => self.end_made(worker, result),
            NextStep::Help => self.offer_help(),
            NextStep::Translate if self.run.options.dry_run => self.dry_run(worker)?,
            NextStep::Translate => match self.item().kind {
                Kind::Video(_) => self.plan(worker, self.run.setup.may_cut())?,
                Kind::Picture(format) => {
                    let Some(entry) = self.entry() else { return Ok(()) };
                    let action = Action::Picture { output: entry.unfinished().into(), format };
                    self.perform_and_finish(worker, &entry, action)?;
                }
            },
        }
        Ok(())
    }

    /// Reports what would be done.
    fn dry_run(self, worker: &mut Slot) -> Result<(), Failure> {
        let (frames, segments) = match self.item().kind {
            Kind::Video(container) => {
                let (spans, frames) = self.probe(worker, container, self.run.setup.may_cut())?;
                (frames, spans.len())
            }
            Kind::Picture(format) => {
                let action = Action::Picture { output: OsString::new(), format };
                self.perform(worker, action, &|_| {})?;
                (Some(1), 1)
            }
        };
        self.end(FileResult::Planned { frames, segments });
        Ok(())
    }

    fn open(self) -> Result<NextStep> {
        let (run, item) = (self.run, self.item());
        if let Some(problem) = &item.problem {
            return Err(anyhow!(problem.clone()));
        }
        if let Some(what) = self.failed_elsewhere() {
            return Ok(NextStep::elsewhere(what));
        }
        let fingerprint = Fingerprint::new(item, &run.setup.recipe, run.model);
        let fingerprint = fingerprint.inspect_err(|error| {
            // For reports only.
            if !run.options.dry_run {
                let _ = record_failure(run.out, item, &format!("{error:#}"));
            }
        })?;
        run.events.start(self.index, &item.input, fingerprint.size);
        let (entry, holder) = Entry::open(run.out, item, fingerprint, run.options.dry_run)?;
        if let Some(holder) = holder {
            if run.since.is_none() || !matches!(item.kind, Kind::Video(_)) {
                return Ok(NextStep::elsewhere(is_held(&holder)));
            }
            self.state().in_progress = Some(InProgress::new(entry));
            return Ok(NextStep::Help);
        }
        // Since the check above, another process may have failed with it and released the lock.
        if let Some(what) = self.failed_elsewhere() {
            return Ok(NextStep::elsewhere(what));
        }
        let finished = entry
            .finished(run.options.overwrite)
            .inspect_err(|error| entry.refuse(&format!("{error:#}")))?;
        self.state().in_progress = Some(InProgress::new(entry));
        Ok(match finished {
            Some(frames) => NextStep::Done(FileResult::Skipped { frames }),
            None => NextStep::Translate,
        })
    }

    /// How it has failed in another process since this run began, so that not every machine tries it.
    pub fn failed_elsewhere(self) -> Option<String> {
        failed_since(self.run.out, self.item(), self.run.since?)
    }
}
