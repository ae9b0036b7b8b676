// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of a video: its plan, its segments, the output.

use std::{cell::RefCell, fs, sync::Arc, thread, time::Duration};

use super::{Failure, Scheduler, Slot, Video};
use crate::{
    entry::{Claim, Finished, Segments},
    kind::Kind,
    protocol::{Reply, Segment, Task},
    queue::Step,
};

/// How often to check a segment that another process is translating.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Scheduler<'_> {
    /// Plans the segments of a video, more than one only if `may_cut`; keeps the plan of an earlier run.
    pub(super) fn plan(
        &self,
        index: usize,
        worker: &mut Slot,
        may_cut: bool,
    ) -> Result<(), Failure> {
        let Some((entry, container)) = self.video(index) else { return Ok(()) };
        let files = self.segment_container(container);
        if let Some(segments) = entry.segments(may_cut, files) {
            segments.notices.iter().for_each(|text| self.note(index, text.clone()));
            return self.begin_segments(index, segments, None);
        }
        let input = self.items[index].input.clone().into();
        let sample = self.items[index].sample;
        let task = Task::Probe { input, container, may_cut, sample };
        match self.perform(index, worker, &task, &|_| {})? {
            Reply::Plan { spans, frames } => {
                let notices = self.file(index).notices.clone();
                let segments = entry.plan_segments(spans, notices, files);
                let segments = segments
                    .map_err(|error| Failure::Task(format!("cannot be started: {error:#}")))?;
                self.begin_segments(index, segments, frames)
            }
            other => Err(Failure::Task(format!("unexpected {other:?}"))),
        }
    }

    fn begin_segments(
        &self,
        index: usize,
        segments: Segments,
        total: Option<u64>,
    ) -> Result<(), Failure> {
        let all = 0..segments.spans.len();
        let (finished, open): (Vec<_>, Vec<_>) =
            all.partition(|&segment| segments.finished(segment).is_some());
        let video = Video {
            total: total.or_else(|| segments.spans.iter().map(|span| span.frames).sum()),
            left: open.len(),
            finished: finished.iter().filter_map(|&segment| segments.spans[segment].frames).sum(),
            running: Vec::new(),
            is_uncut: false,
            segments: Arc::new(segments),
        };
        if let Some(begun) = &mut self.file(index).begun {
            begun.video = Some(video);
        }
        let mut steps: Vec<_> =
            open.into_iter().map(|segment| Step::Segment(index, segment)).collect();
        if steps.is_empty() {
            steps.push(Step::Mux(index));
        }
        self.queue.push_first(&steps);
        Ok(())
    }

    pub(super) fn segment(
        &self,
        index: usize,
        segment: usize,
        worker: &mut Slot,
    ) -> Result<(), Failure> {
        let Some(segments) = self.segments(index) else { return Ok(()) };
        if self.file(index).video().is_some_and(|video| video.is_uncut) {
            // It was waiting for another process when the others were dropped.
            self.segment_ended(index, segment, None);
            return Ok(());
        }
        let _lock = match segments.claim(segment) {
            Ok(Claim::Ours(lock)) => lock,
            Ok(Claim::Finished(finished)) => {
                self.segment_ended(index, segment, Some(finished.frames));
                return Ok(());
            }
            Ok(Claim::Held) => {
                thread::sleep(RETRY_INTERVAL);
                self.queue.push_later(Step::Segment(index, segment));
                return Ok(());
            }
            Err(error) => return Err(Failure::Task(format!("{error:#}"))),
        };
        let report = |frames, total| self.segment_progress(index, segment, frames, total);
        match self.translate_segment(index, &segments, segment, worker, &report) {
            Ok(frames) => {
                self.segment_ended(index, segment, Some(frames));
                Ok(())
            }
            Err(Failure::Cut(cause)) if segments.spans.len() > 1 => {
                self.note_uncut(index, &cause);
                if let Some(video) = self.file(index).video() {
                    video.is_uncut = true;
                }
                self.segment_ended(index, segment, None);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Lets a worker translate a segment that this process has claimed, and gives it its final name. Returns its number
    /// of frames.
    pub(super) fn translate_segment(
        &self,
        index: usize,
        segments: &Segments,
        segment: usize,
        worker: &mut Slot,
        report: &dyn Fn(u64, Option<u64>),
    ) -> Result<u64, Failure> {
        let item = &self.items[index];
        let Kind::Video(container) = item.kind else {
            return Err(Failure::Task("is not a video".to_owned()));
        };
        let task = Task::Segment {
            input: item.input.clone().into(),
            output: segments.unfinished(segment).into(),
            container,
            span: segments.spans[segment].clone(),
        };
        let notices = RefCell::new(Vec::new());
        let on_reply = |reply: &Reply| match reply {
            Reply::Progress { frames, total } => report(*frames, *total),
            Reply::Notice { text } => notices.borrow_mut().push(text.clone()),
            _ => {}
        };
        match self.perform(index, worker, &task, &on_reply) {
            Ok(Reply::Done { frames, first }) => {
                let finished = Finished { first, frames, notices: notices.take() };
                let named = segments.finish(segment, &finished);
                named.map_err(|error| Failure::Task(format!("{error:#}")))?;
                Ok(frames)
            }
            Ok(other) => Err(Failure::Task(format!("unexpected {other:?}"))),
            Err(failure) => {
                let _ = fs::remove_file(segments.unfinished(segment));
                Err(failure)
            }
        }
    }

    fn segment_progress(&self, index: usize, segment: usize, frames: u64, total: Option<u64>) {
        let mut file = self.file(index);
        let Some(video) = file.video() else { return };
        video.running.retain(|(other, _)| *other != segment);
        video.running.push((segment, frames));
        let done = video.finished + video.running.iter().map(|(_, frames)| frames).sum::<u64>();
        let total = video.total.or(total);
        drop(file);
        self.events.progress(index, &self.items[index].input, done, total);
    }

    fn segment_ended(&self, index: usize, segment: usize, frames: Option<u64>) {
        let mut file = self.file(index);
        let Some(video) = file.video() else { return };
        video.running.retain(|(other, _)| *other != segment);
        video.finished += frames.unwrap_or(0);
        video.left = video.left.saturating_sub(1);
        if video.is_uncut {
            video.left = video.left.saturating_sub(self.queue.forget_segments(index));
        }
        if video.left > 0 {
            return;
        }
        let is_uncut = video.is_uncut;
        drop(file);
        match is_uncut {
            true => self.begin_whole(index),
            false => self.queue.push_first(&[Step::Mux(index)]),
        }
    }

    /// Starts over with one segment.
    fn begin_whole(&self, index: usize) {
        self.entry(index).iter().for_each(|entry| entry.drop_segments());
        self.queue.push_first(&[Step::Whole(index)]);
    }

    pub(super) fn mux(&self, index: usize, worker: &mut Slot) -> Result<(), Failure> {
        let Some((entry, container)) = self.video(index) else { return Ok(()) };
        let Some(segments) = self.segments(index) else { return Ok(()) };
        let count = segments.spans.len();
        let translated = segments.spans.iter().cloned().enumerate().map(|(number, mut span)| {
            if let Some(Finished { first, frames, notices }) = segments.finished(number) {
                (span.first, span.frames) = (Some(first), Some(frames));
                // They may be from an earlier run or another machine.
                notices.into_iter().for_each(|text| self.note(index, text));
            }
            Segment { file: segments.path(number).into(), span }
        });
        let translated = translated.collect();
        entry.clear();
        let task = Task::Mux {
            input: self.items[index].input.clone().into(),
            output: entry.unfinished().into(),
            container,
            segments: translated,
        };
        match self.perform_and_finish(index, &entry, worker, &task) {
            Err(Failure::Cut(cause)) if count > 1 => {
                self.note_uncut(index, &cause);
                self.begin_whole(index);
                Ok(())
            }
            Err(failure @ (Failure::Cut(_) | Failure::Crash(_))) => {
                // The next run must not fail on the same segments. After other failures, such as a full disk, it reuses
                // them.
                entry.drop_segments();
                Err(failure)
            }
            other => other,
        }
    }
}
