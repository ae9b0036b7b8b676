// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of a video: its plan, its segments, the output.

use std::{cell::RefCell, fs, sync::Arc, thread, time::Duration};

use anyhow::Context;

use super::{File, Slot, Video};
use crate::{
    container::Container,
    entry::{Claim, Finished, Segments},
    kind::Kind,
    pool::Failure,
    protocol::{Action, Event, Reply, Segment, Span},
    queue::Step,
};

/// How often to check a segment that another process is translating.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl File<'_> {
    /// Plans the segments of a video, more than one only if `may_cut`; keeps the plan of an earlier run.
    pub fn plan(self, worker: &mut Slot, may_cut: bool) -> Result<(), Failure> {
        let Some((entry, container)) = self.video() else { return Ok(()) };
        let files = self.run.segment_container(container);
        if let Some(segments) = entry.segments(may_cut, files) {
            segments.notices.iter().for_each(|text| self.notice(text.clone()));
            self.begin_segments(segments, None);
            return Ok(());
        }
        let (spans, frames) = self.probe(worker, container, may_cut)?;
        let notices = self.state().notices.clone();
        let segments = entry.plan_segments(spans, notices, files);
        self.begin_segments(segments.context("cannot be started")?, frames);
        Ok(())
    }

    /// The segments of a video, and its number of frames if that is known.
    pub fn probe(
        self,
        worker: &mut Slot,
        container: Container,
        may_cut: bool,
    ) -> Result<(Vec<Span>, Option<u64>), Failure> {
        let action = Action::Probe { container, may_cut, sample: self.item().sample };
        let reply = self.perform(worker, action, &|_| {});
        // For example, the demuxers of FFmpeg in GStreamer crash if a file ends in its header.
        let reply = reply.map_err(|failure| match failure {
            Failure::Crash(cause) => Failure::Crash(format!(
                "cannot be read: {cause}, when it opened the file; remux it first: \
                 ffmpeg -i INPUT -c copy OUTPUT.mkv"
            )),
            other => other,
        });
        match reply? {
            Reply::Plan { spans, frames } => Ok((spans, frames)),
            other => Err(Failure::unexpected(&other)),
        }
    }

    fn begin_segments(self, segments: Segments, total: Option<u64>) {
        let mut frames = vec![0; segments.spans.len()];
        let mut open = Vec::new();
        for (segment, span) in segments.spans.iter().enumerate() {
            match segments.finished(segment) {
                Some(_) => frames[segment] = span.frames.unwrap_or(0),
                None => open.push(segment),
            }
        }
        let video = Video {
            total: total.or_else(|| segments.spans.iter().map(|span| span.frames).sum()),
            left: open.len(),
            frames,
            is_uncut: false,
            segments: Arc::new(segments),
        };
        if let Some(progress) = &mut self.state().in_progress {
            progress.video = Some(video);
        }
        let mut steps: Vec<_> =
            open.into_iter().map(|segment| Step::Segment(self.index, segment)).collect();
        if steps.is_empty() {
            steps.push(Step::Mux(self.index));
        }
        self.run.queue.push_first(&steps);
    }

    pub fn segment(self, worker: &mut Slot, segment: usize) -> Result<(), Failure> {
        let Some(segments) = self.segments() else { return Ok(()) };
        if self.state().video().is_some_and(|video| video.is_uncut) {
            // Another process held this segment when the others were removed from the queue.
            self.segment_ended(segment, None);
            return Ok(());
        }
        let _lock = match segments.claim(segment)? {
            Claim::Ours(lock) => lock,
            Claim::Finished(finished) => {
                self.segment_ended(segment, Some(finished.frames));
                return Ok(());
            }
            Claim::Held => {
                thread::sleep(RETRY_INTERVAL);
                self.run.queue.push_later(Step::Segment(self.index, segment));
                return Ok(());
            }
        };
        let report = |frames, total| self.segment_progress(segment, frames, total);
        match self.translate_segment(worker, &segments, segment, &report) {
            Ok(frames) => self.segment_ended(segment, Some(frames)),
            Err(Failure::Cut(cause)) if segments.spans.len() > 1 => {
                self.notice_uncut(&cause);
                if let Some(video) = self.state().video() {
                    video.is_uncut = true;
                }
                self.segment_ended(segment, None);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Lets a worker translate a segment that this process has claimed, and gives it its final name. Returns its number
    /// of frames.
    pub fn translate_segment(
        self,
        worker: &mut Slot,
        segments: &Segments,
        segment: usize,
        report: &dyn Fn(u64, Option<u64>),
    ) -> Result<u64, Failure> {
        let Kind::Video(container) = self.item().kind else {
            return Err(Failure::Task("is not a video".to_owned()));
        };
        let unfinished = segments.unfinished(segment);
        let output = unfinished.clone().into();
        let action = Action::Segment { output, container, span: segments.spans[segment].clone() };
        let notices = RefCell::new(Vec::new());
        let on_event = |event: &Event| match event {
            Event::Progress { frames, total } => report(*frames, *total),
            Event::Notice { text } => notices.borrow_mut().push(text.clone()),
        };
        let reply = self.perform(worker, action, &on_event);
        match reply.inspect_err(|_| drop(fs::remove_file(unfinished)))? {
            Reply::Segment { frames, first } => {
                segments.finish(segment, &Finished { first, frames, notices: notices.take() })?;
                Ok(frames)
            }
            other => Err(Failure::unexpected(&other)),
        }
    }

    fn segment_progress(self, segment: usize, frames: u64, total: Option<u64>) {
        let mut state = self.state();
        let Some(video) = state.video() else { return };
        video.frames[segment] = frames;
        let done = video.frames.iter().sum();
        let total = video.total.or(total);
        drop(state);
        self.run.events.progress(self.index, &self.item().input, done, total);
    }

    fn segment_ended(self, segment: usize, frames: Option<u64>) {
        let mut state = self.state();
        let Some(video) = state.video() else { return };
        video.frames[segment] = frames.unwrap_or(0);
        video.left = video.left.saturating_sub(1);
        if video.is_uncut {
            video.left = video.left.saturating_sub(self.run.queue.forget_segments(self.index));
        }
        if video.left > 0 {
            return;
        }
        let is_uncut = video.is_uncut;
        drop(state);
        match is_uncut {
            true => self.begin_uncut(),
            false => self.run.queue.push_first(&[Step::Mux(self.index)]),
        }
    }

    /// Starts over with one segment.
    fn begin_uncut(self) {
        self.entry().iter().for_each(|entry| entry.drop_segments());
        self.run.queue.push_first(&[Step::Whole(self.index)]);
    }

    pub fn mux(self, worker: &mut Slot) -> Result<(), Failure> {
        let Some((entry, container)) = self.video() else { return Ok(()) };
        let Some(planned) = self.segments() else { return Ok(()) };
        let segments = planned.spans.iter().cloned().enumerate().map(|(number, span)| {
            let Finished { first, frames, notices } =
                planned.finished(number).context("a segment is missing")?;
            // They may be from an earlier run or another machine.
            notices.into_iter().for_each(|text| self.notice(text));
            Ok(Segment { file: planned.path(number).into(), span, frames, first })
        });
        let segments = segments.collect::<anyhow::Result<_>>()?;
        let action = Action::Mux { output: entry.unfinished().into(), container, segments };
        match self.perform_and_finish(worker, &entry, action) {
            Err(Failure::Cut(cause)) if planned.spans.len() > 1 => {
                self.notice_uncut(&cause);
                self.begin_uncut();
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
