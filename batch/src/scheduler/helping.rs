// SPDX-License-Identifier: MIT OR Apache-2.0

//! Helping another process with its video: with `--shard auto`, a process that finds no free file translates the next
//! free segment.

use std::{sync::atomic::Ordering, thread, time::Duration};

use super::{Failure, Scheduler, Slot, opening::is_held};
use crate::{
    entry::{Claim, Entry, Segments},
    events::FileResult,
    queue::Step,
    text::counted,
};

/// How often to look for the plan of a file whose segments are not planned yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

impl Scheduler<'_> {
    /// Queues help with a file, after all files that are free.
    pub(super) fn offer_help(&self, index: usize) {
        self.file(index).help_steps += 1;
        self.queue.push(Step::Help(index));
    }

    pub(super) fn help(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
        let Some((entry, container)) = self.video(index) else { return Ok(()) };
        let may_cut = self.setup.piece > 0;
        let Some(segments) = entry.segments(may_cut, self.segment_container(container)) else {
            if may_cut && entry.holder().is_some() {
                thread::sleep(RETRY_INTERVAL);
                self.queue.push(Step::Help(index));
                return Ok(());
            }
            self.stop_helping(index, &entry);
            return Ok(());
        };
        // From the end: the process that holds the file works from the start.
        for segment in (0..segments.spans.len()).rev() {
            // The segments of a file that has failed wait for the next run.
            let has_failed = || self.failed_elsewhere(&self.items[index]).is_some();
            if !segments.are_wanted() || has_failed() {
                break;
            }
            let Ok(Claim::Ours(Some(lock))) = segments.claim(segment) else { continue };
            // For another thread, if there is one.
            if self.file(index).help_steps < self.alive.load(Ordering::SeqCst) {
                self.offer_help(index);
            }
            match self.help_with(index, &segments, segment, worker) {
                Ok(()) => {}
                // The process that holds the file will see the same failure and handle it.
                Err(Failure::Cut(_) | Failure::Crash(_) | Failure::Task(_)) => break,
                Err(failure) => return Err(failure),
            }
            drop(lock);
        }
        self.stop_helping(index, &entry);
        Ok(())
    }

    fn help_with(
        &self,
        index: usize,
        segments: &Segments,
        segment: usize,
        worker: &mut Slot,
    ) -> Result<(), Failure> {
        let total = segments.spans[segment].frames;
        let report = |frames, _| {
            self.events.progress(index, &self.items[index].input, frames, total);
        };
        self.translate_segment(index, segments, segment, worker, &report)?;
        self.file(index).helped += 1;
        Ok(())
    }

    /// Ends a step. After the last one, leaves the file to the process that holds it, or takes it over if that process
    /// has died.
    fn stop_helping(&self, index: usize, entry: &Entry) {
        let segments = {
            let mut file = self.file(index);
            file.help_steps = file.help_steps.saturating_sub(1);
            if file.help_steps > 0 {
                return;
            }
            file.helped
        };
        match entry.holder() {
            Some(holder) => {
                let mut what = is_held(&holder);
                if segments > 0 {
                    what += &format!(", {} of it here", counted(segments, "segment"));
                }
                self.end(index, FileResult::Elsewhere { what });
            }
            None => {
                self.events.forget(index);
                self.file(index).begun = None;
                self.queue.push(Step::File(index));
            }
        }
    }
}
