// SPDX-License-Identifier: MIT OR Apache-2.0

//! Helping another process with its video: with `--shard auto`, a process that finds no free file translates the next
//! free segment.

use std::{sync::atomic::Ordering, thread, time::Duration};

use super::{File, Slot, opening::is_held};
use crate::{
    entry::{Claim, Entry},
    events::FileResult,
    pool::Failure,
    queue::Step,
    text::counted,
};

/// How often to look for the plan of a file whose segments are not planned yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

impl File<'_> {
    /// Queues help with a file, after all files that are free.
    pub fn offer_help(self) {
        self.state().help_steps += 1;
        self.run.queue.push(Step::Help(self.index));
    }

    pub fn help(self, worker: &mut Slot) -> Result<(), Failure> {
        let Some((entry, container)) = self.video() else { return Ok(()) };
        let (run, may_cut) = (self.run, self.run.setup.may_cut());
        let Some(segments) = entry.segments(may_cut, run.segment_container(container)) else {
            if may_cut && entry.holder().is_some() {
                thread::sleep(RETRY_INTERVAL);
                run.queue.push(Step::Help(self.index));
                return Ok(());
            }
            self.stop_helping(&entry);
            return Ok(());
        };
        // From the end: the process that holds the file works from the start.
        for segment in (0..segments.spans.len()).rev() {
            // The segments of a file that has failed wait for the next run.
            if !segments.are_wanted() || self.failed_elsewhere().is_some() {
                break;
            }
            let Ok(Claim::Ours(Some(lock))) = segments.claim(segment) else { continue };
            // For another thread, if there is one.
            if self.state().help_steps < run.alive.load(Ordering::SeqCst) {
                self.offer_help();
            }
            let total = segments.spans[segment].frames;
            let report = |frames, _| {
                run.events.progress(self.index, &self.item().input, frames, total);
            };
            match self.translate_segment(worker, &segments, segment, &report) {
                Ok(_) => self.state().helped += 1,
                Err(failure @ (Failure::Stopped | Failure::NoWorker(_))) => return Err(failure),
                // The process that holds the file will see the same failure and handle it.
                Err(_) => break,
            }
            drop(lock);
        }
        self.stop_helping(&entry);
        Ok(())
    }

    /// Ends a step. After the last one, leaves the file to the process that holds it, or takes it over if that process
    /// has died.
    fn stop_helping(self, entry: &Entry) {
        let segments = {
            let mut state = self.state();
            state.help_steps = state.help_steps.saturating_sub(1);
            if state.help_steps > 0 {
                return;
            }
            state.helped
        };
        match entry.holder() {
            Some(holder) => {
                let mut text = is_held(&holder);
                if segments > 0 {
                    text += &format!(", {} of it here", counted(segments, "segment"));
                }
                self.end(FileResult::Elsewhere { text });
            }
            None => {
                self.cancel_start();
                self.run.queue.push(Step::File(self.index));
            }
        }
    }
}
