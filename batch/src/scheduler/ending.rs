// SPDX-License-Identifier: MIT OR Apache-2.0

//! The last step of a file: its final name, its record and the report of its result.

use super::{File, Slot};
use crate::{
    entry::{Entry, OutputInfo},
    events::FileResult,
    item::Item,
    pool::Failure,
    protocol::{Action, Reply},
};

impl File<'_> {
    pub fn finish(self, worker: &mut Slot, entry: &Entry, frames: u64) {
        if entry.is_outdated(&self.item().input) {
            let text = "changed while it was translated; run the command again to translate it as it is now";
            self.notice(text.to_owned());
        }
        let segments = self.segments();
        let start = segments.and_then(|segments| segments.spans.first().map(|span| span.start));
        let (seconds, notices) = {
            let state = self.state();
            let seconds =
                state.in_progress.as_ref().map(|progress| progress.since.elapsed().as_secs_f64());
            (seconds.unwrap_or_default(), state.notices.clone())
        };
        let made = OutputInfo { start: start.unwrap_or_default(), frames, seconds, notices };
        match entry.finish(made) {
            Ok(()) => self.end_made(worker, FileResult::Translated { frames, seconds }),
            Err(error) => self.fail(format!("{error:#}")),
        }
    }

    /// Fails the file, and drops its waiting segments.
    pub fn fail(self, cause: String) {
        self.run.queue.forget_segments(self.index);
        self.end(FileResult::Failed { cause });
    }

    /// Ends a file that may have an output.
    pub fn end_made(self, worker: &mut Slot, result: FileResult) {
        self.make_thumbnails(worker);
        self.end(result);
    }

    pub fn end(self, result: FileResult) {
        let mut state = self.state();
        // A segment may fail after another one has failed.
        if state.result.is_some() {
            return;
        }
        state.result = Some(result.clone());
        // Dropping this releases the lock, so another process may take the file.
        let progress = state.in_progress.take();
        if let (FileResult::Failed { cause }, Some(progress)) = (&result, progress) {
            progress.entry.fail(cause, &state.notices);
        }
        drop(state);
        let Item { input, output, .. } = self.item();
        self.run.events.end(self.index, input, &self.run.out.join(output), &result);
    }

    /// Makes the thumbnails for the report, unless an earlier run has made them.
    fn make_thumbnails(self, worker: &mut Slot) {
        let Some(entry) = self.entry() else { return };
        let options = self.run.options;
        if options.report.is_none() || options.dry_run || entry.has_thumbnails() {
            return;
        }
        let output = self.run.out.join(&self.item().output).into();
        let action = Action::Thumbnails { output, start: entry.start() };
        let made = match self.perform(worker, action, &|_| {}) {
            Ok(Reply::Thumbnails { html }) => entry.set_thumbnails(&html).map_err(Failure::from),
            Ok(other) => Err(Failure::unexpected(&other)),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = made
            && !matches!(failure, Failure::Stopped)
        {
            self.notice(format!("has no thumbnails in the report: {failure}"));
        }
    }
}
