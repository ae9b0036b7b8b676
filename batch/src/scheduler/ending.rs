// SPDX-License-Identifier: MIT OR Apache-2.0

//! The last step of a file: its name, its record, what is said of it.

use std::path::{Path, PathBuf};

use super::{Failure, Scheduler, Slot};
use crate::{
    entry::Entry,
    events::Verdict,
    worker::protocol::{Reply, Task},
};

impl Scheduler<'_> {
    pub(super) fn finish(&self, index: usize, entry: &Entry, frames: u64, worker: &mut Slot) {
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

    pub(super) fn fail(&self, index: usize, cause: String, worker: &mut Slot) {
        self.end(index, Verdict::Failed { cause }, worker);
    }

    /// Fails a file where there is no worker.
    pub(super) fn end_failed(&self, index: usize, cause: String) {
        let mut none = Slot { worker: None, setup: self.setup.clone() };
        self.fail(index, cause, &mut none);
    }

    pub(super) fn end(&self, index: usize, verdict: Verdict, worker: &mut Slot) {
        let item = &self.items[index];
        let output: PathBuf = self.out.join(&item.output);
        {
            let mut file = self.file(index);
            // A segment may fail after another one has failed.
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
        let input = self.items[index].input.clone().into();
        let task = Task::Thumbnails { input, output: output.into() };
        let made = match self.perform(index, worker, &task, &|_| {}) {
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
}
