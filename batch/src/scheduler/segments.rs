// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of a video: its plan, its segments, the output.

use super::{Failure, Scheduler, Slot};
use crate::{
    container::Container,
    entry::Entry,
    queue::Step,
    worker::protocol::{Reply, Span, Task},
};

impl Scheduler<'_> {
    /// Plans the segments of a video, several only if `may_cut`; keeps those of an earlier run.
    pub(super) fn plan(
        &self,
        index: usize,
        worker: &mut Slot,
        may_cut: bool,
    ) -> Result<(), Failure> {
        let Some((entry, container)) = self.video(index) else { return Ok(()) };
        if let Some(spans) = entry.plan(may_cut) {
            return self.begin_segments(index, spans, None, container);
        }
        let input = self.items[index].input.clone().into_os_string();
        let sample = self.items[index].sample;
        let task = Task::Probe { input, container, may_cut, sample };
        match self.perform(index, worker, &task, &|_, _| {})? {
            Reply::Plan { spans, frames } => {
                let planned = entry.set_plan(&spans);
                planned.map_err(|error| Failure::Task(format!("cannot be started: {error:#}")))?;
                self.begin_segments(index, spans, frames, container)
            }
            other => Err(Failure::Task(format!("unexpected {other:?}"))),
        }
    }

    fn begin_segments(
        &self,
        index: usize,
        spans: Vec<Span>,
        total: Option<u64>,
        container: Container,
    ) -> Result<(), Failure> {
        let mut file = self.file(index);
        let Some(begun) = &mut file.begun else { return Ok(()) };
        let is_finished =
            |segment: &usize| begun.entry.segment(*segment, self.of_segments(container)).is_file();
        let (finished, open): (Vec<_>, Vec<_>) = (0..spans.len()).partition(is_finished);
        begun.finished = finished.iter().filter_map(|&segment| spans[segment].frames).sum();
        begun.left = open.len();
        begun.total = total.or_else(|| spans.iter().map(|span| span.frames).sum());
        begun.spans = spans;
        begun.is_uncut = false;
        drop(file);
        if open.is_empty() {
            self.queue.push_first([Step::Mux(index)].into_iter());
        } else {
            self.queue.push_first(open.into_iter().map(|segment| Step::Segment(index, segment)));
        }
        Ok(())
    }

    pub(super) fn segment(
        &self,
        index: usize,
        segment: usize,
        worker: &mut Slot,
    ) -> Result<(), Failure> {
        let Some((entry, container)) = self.video(index) else { return Ok(()) };
        let span = self.file(index).begun.as_ref().and_then(|b| b.spans.get(segment).cloned());
        let Some(span) = span else { return Ok(()) };
        let task = Task::Segment {
            input: self.items[index].input.clone().into_os_string(),
            output: entry.unfinished_segment(segment, self.of_segments(container)).into_os_string(),
            container,
            span,
        };
        let report = |frames, total| self.segment_progress(index, segment, frames, total);
        match self.perform(index, worker, &task, &report) {
            Ok(Reply::Done { frames, first }) => {
                let finished =
                    entry.finish_segment(segment, self.of_segments(container), first, frames);
                finished.map_err(|error| Failure::Task(format!("{error:#}")))?;
                self.segment_ended(index, segment, Some(frames));
                Ok(())
            }
            Ok(other) => Err(Failure::Task(format!("unexpected {other:?}"))),
            Err(Failure::Cut(cause)) if self.segments(index) > 1 => {
                self.note_uncut(index, &cause);
                if let Some(begun) = &mut self.file(index).begun {
                    begun.is_uncut = true;
                }
                self.segment_ended(index, segment, None);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn segment_progress(&self, index: usize, segment: usize, frames: u64, total: Option<u64>) {
        let mut file = self.file(index);
        let Some(begun) = &mut file.begun else { return };
        begun.running.retain(|(other, _)| *other != segment);
        begun.running.push((segment, frames));
        let done = begun.finished + begun.running.iter().map(|(_, frames)| frames).sum::<u64>();
        let total = begun.total.or(total);
        drop(file);
        self.events.progress(index, &self.items[index].input, done, total);
    }

    fn segment_ended(&self, index: usize, segment: usize, frames: Option<u64>) {
        let mut file = self.file(index);
        let Some(begun) = &mut file.begun else { return };
        begun.running.retain(|(other, _)| *other != segment);
        begun.finished += frames.unwrap_or(0);
        begun.left = begun.left.saturating_sub(1);
        if begun.is_uncut {
            begun.left = begun.left.saturating_sub(self.queue.forget_segments(index));
        }
        if begun.left > 0 {
            return;
        }
        let (entry, is_uncut) = (begun.entry.clone(), begun.is_uncut);
        drop(file);
        match is_uncut {
            true => self.begin_whole(index, &entry),
            false => self.queue.push_first([Step::Mux(index)].into_iter()),
        }
    }

    /// Goes back to one segment.
    fn begin_whole(&self, index: usize, entry: &Entry) {
        entry.drop_segments();
        self.queue.push_first([Step::Whole(index)].into_iter());
    }

    pub(super) fn mux(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
        let Some((entry, container)) = self.video(index) else { return Ok(()) };
        let spans = self.file(index).begun.as_ref().map(|b| b.spans.clone()).unwrap_or_default();
        let shown = |(segment, span)| match entry.segment_frames(segment) {
            Some((first, frames)) => Span { first: Some(first), frames: Some(frames), ..span },
            None => span,
        };
        let spans: Vec<Span> = spans.into_iter().enumerate().map(shown).collect();
        let count = spans.len();
        let segment =
            |segment| entry.segment(segment, self.of_segments(container)).into_os_string();
        entry.clear();
        let task = Task::Mux {
            input: self.items[index].input.clone().into_os_string(),
            output: entry.unfinished().into_os_string(),
            container,
            segments: (0..count).map(segment).collect(),
            spans,
        };
        match self.perform_and_finish(index, &entry, worker, &task) {
            Err(Failure::Cut(cause)) if count > 1 => {
                self.note_uncut(index, &cause);
                self.begin_whole(index, &entry);
                Ok(())
            }
            Err(Failure::Cut(cause) | Failure::Task(cause)) => {
                // The next run must not fail on the same segments.
                entry.drop_segments();
                Err(Failure::Task(cause))
            }
            other => other,
        }
    }
}
