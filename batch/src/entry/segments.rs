// SPDX-License-Identifier: MIT OR Apache-2.0

//! The segments of a long video, which survive the end of a run.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context, Result};
use cyclegan_output::write_beside;
use serde::{Deserialize, Serialize};

use super::{Entry, Fingerprint};
use crate::{container::Container, worker::protocol::Span};

/// The segments of a long video.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    fingerprint: Fingerprint,
    spans: Vec<Span>,
}

impl Entry {
    /// The segments that an earlier run has planned for the same output; only one unless `may_cut`.
    pub fn plan(&self, may_cut: bool) -> Option<Vec<Span>> {
        let text = fs::read(self.segments().join("plan.json")).ok()?;
        let plan = serde_json::from_slice::<Plan>(&text).ok()?;
        (plan.fingerprint == self.fingerprint && (may_cut || plan.spans.len() == 1))
            .then_some(plan.spans)
    }

    /// Starts again with these segments.
    pub fn set_plan(&self, spans: &[Span]) -> Result<()> {
        self.drop_segments();
        fs::create_dir_all(self.segments())?;
        let plan = Plan { fingerprint: self.fingerprint.clone(), spans: spans.to_vec() };
        write_beside(&self.segments().join("plan.json"), &serde_json::to_vec(&plan)?)
    }

    /// Forgets all segments.
    pub fn drop_segments(&self) {
        let _ = fs::remove_dir_all(self.segments());
    }

    /// The path of the finished segment `number`.
    pub fn segment(&self, number: usize, container: Container) -> PathBuf {
        self.segments().join(format!("{number:05}.{}", container.extension()))
    }

    /// The path of segment `number` until it is finished.
    pub fn unfinished_segment(&self, number: usize, container: Container) -> PathBuf {
        let path = self.segment(number, container).with_added_extension("unfinished");
        let _ = fs::remove_file(&path);
        path
    }

    /// Timestamp of the first frame of a finished segment in nanoseconds, and its number of frames.
    pub fn segment_frames(&self, number: usize) -> Option<(u64, u64)> {
        serde_json::from_slice(&fs::read(self.segment_frames_path(number)).ok()?).ok()
    }

    fn segment_frames_path(&self, number: usize) -> PathBuf {
        self.segments().join(format!("{number:05}.json"))
    }

    /// Gives a segment its final name; its `frames` start at `first` nanoseconds.
    pub fn finish_segment(
        &self,
        number: usize,
        container: Container,
        first: u64,
        frames: u64,
    ) -> Result<()> {
        write_beside(&self.segment_frames_path(number), &serde_json::to_vec(&(first, frames))?)?;
        let to = self.segment(number, container);
        let from = to.with_added_extension("unfinished");
        File::open(&from).and_then(|file| file.sync_all()).context("cannot write a segment")?;
        fs::rename(from, to).context("cannot rename a segment")
    }

    fn segments(&self) -> PathBuf {
        self.folder.join("segments")
    }
}
