// SPDX-License-Identifier: MIT OR Apache-2.0

//! The last step of a file: its final name, its record and the report of its result.

use super::{Failure, Scheduler, Slot};
use crate::{
    entry::{Entry, Made},
    events::FileResult,
    inputs::Item,
    protocol::{Reply, Task},
};

impl Scheduler<'_> {
    pub(super) fn finish(&self, index: usize, entry: &Entry, frames: u64, worker: &mut Slot) {
        if entry.is_outdated(&self.items[index].input) {
            let text = "changed while it was translated; run the command again to translate it as it is now";
            self.note(index, text.to_owned());
        }
        let segments = self.segments(index);
        let start = segments.and_then(|segments| segments.spans.first().map(|span| span.start));
        let (seconds, notices) = {
            let file = self.file(index);
            let seconds = file.begun.as_ref().map(|begun| begun.since.elapsed().as_secs_f64());
            (seconds.unwrap_or_default(), file.notices.clone())
        };
        let made = Made { start: start.unwrap_or(0), frames, seconds, notices };
        match entry.finish(made) {
            Ok(()) => self.end_made(index, FileResult::Translated { frames, seconds }, worker),
            Err(error) => self.fail(index, format!("{error:#}")),
        }
    }

    pub(super) fn fail(&self, index: usize, cause: String) {
        self.end(index, FileResult::Failed { cause });
    }

    /// Ends a file that may have an output.
    pub(super) fn end_made(&self, index: usize, result: FileResult, worker: &mut Slot) {
        self.make_thumbnails(index, worker);
        self.end(index, result);
    }

    pub(super) fn end(&self, index: usize, result: FileResult) {
        let mut file = self.file(index);
        // A segment may fail after another one has failed.
        if file.result.is_some() {
            return;
        }
        file.result = Some(result.clone());
        // Dropping this releases the lock, so another process may take the file.
        let begun = file.begun.take();
        if let (FileResult::Failed { cause }, Some(begun)) = (&result, begun) {
            begun.entry.fail(cause, &file.notices);
        }
        drop(file);
        let Item { input, output, .. } = &self.items[index];
        self.events.end(index, input, &self.out.join(output), &result);
    }

    /// Makes the thumbnails for the report, unless an earlier run has made them.
    fn make_thumbnails(&self, index: usize, worker: &mut Slot) {
        let Some(entry) = self.entry(index) else { return };
        if self.options.report.is_none() || self.options.dry_run || entry.has_thumbnails() {
            return;
        }
        let Item { input, output, .. } = &self.items[index];
        let (input, output) = (input.clone().into(), self.out.join(output).into());
        let task = Task::Thumbnails { input, output, start: entry.start() };
        let made = match self.perform(index, worker, &task, &|_| {}) {
            Ok(Reply::Thumbnails { html }) => {
                entry.set_thumbnails(&html).map_err(|error| format!("{error:#}"))
            }
            Err(Failure::Crash(cause) | Failure::Task(cause) | Failure::NoWorker(cause)) => {
                Err(cause)
            }
            _ => Ok(()),
        };
        if let Err(cause) = made {
            self.note(index, format!("has no thumbnails in the report: {cause}"));
        }
    }
}
