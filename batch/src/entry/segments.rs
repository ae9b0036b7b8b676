// SPDX-License-Identifier: MIT OR Apache-2.0

//! The segments of a long video. They outlive a run, and several processes may translate them.
//!
//! The process that holds the lock of the output plans and joins them. Each segment has its own lock. The
//! process that translates a segment holds its lock until the segment has its final name, so a segment is
//! translated once, and by another process if the first one dies. The folder with the segments of a plan has the
//! hash of the plan as its name, so a late segment of an abandoned plan is never joined.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};
use cyclegan_output::write_atomically;
use serde::{Deserialize, Serialize};

use super::{
    Entry, Fingerprint,
    folder::{read_json, short_hash},
    lock::{Lock, Locked, host},
};
use crate::{container::Container, protocol::Span};

/// The file of the plan, beside the folder of its segments.
const PLAN: &str = "plan.json";

#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    fingerprint: Fingerprint,
    spans: Vec<Span>,
    notices: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Segments {
    folder: PathBuf,
    container: Container,
    /// Their spans of the input.
    pub spans: Vec<Span>,
    /// Notices for the user about the file, from its plan.
    pub notices: Vec<String>,
}

/// A translated segment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// Timestamp of its first frame.
    pub first: gst::ClockTime,
    pub frames: u64,
    pub notices: Vec<String>,
}

/// The result of claiming a segment.
pub enum Claim {
    /// It may be translated while this is held; there is no lock if the file system has none.
    Ours(Option<Lock>),
    Finished(Finished),
    /// Another process, or thread, translates it.
    Held,
}

impl Entry {
    /// The segments in `container` that were planned for the same output; without `may_cut` only a plan of one
    /// segment counts.
    pub fn segments(&self, may_cut: bool, container: Container) -> Option<Segments> {
        let text = fs::read(self.all_segments().join(PLAN)).ok()?;
        let plan = serde_json::from_slice::<Plan>(&text).ok()?;
        let is_ours = plan.fingerprint == self.fingerprint && (may_cut || plan.spans.len() == 1);
        is_ours.then(|| self.segments_of(plan, &text, container))
    }

    /// Starts over with these segments and notices about the file.
    pub fn plan_segments(
        &self,
        spans: Vec<Span>,
        notices: Vec<String>,
        container: Container,
    ) -> Result<Segments> {
        self.drop_segments();
        let plan = Plan { fingerprint: self.fingerprint.clone(), spans, notices };
        let text = serde_json::to_vec(&plan)?;
        let segments = self.segments_of(plan, &text, container);
        fs::create_dir_all(&segments.folder)?;
        // Last: other processes start when it exists.
        write_atomically(&self.all_segments().join(PLAN), &text)?;
        Ok(segments)
    }

    /// Deletes all segments.
    pub fn drop_segments(&self) {
        // First: other processes start only the segments of a plan.
        let _ = fs::remove_file(self.all_segments().join(PLAN));
        let _ = fs::remove_dir_all(self.all_segments());
    }

    fn segments_of(&self, plan: Plan, text: &[u8], container: Container) -> Segments {
        let folder = self.all_segments().join(short_hash(text));
        Segments { folder, container, spans: plan.spans, notices: plan.notices }
    }

    fn all_segments(&self) -> PathBuf {
        self.folder.join("segments")
    }
}

impl Segments {
    pub fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:05}.{}", self.container.extension()))
    }

    /// The path of segment `number` while this process translates it.
    pub fn unfinished(&self, number: usize) -> PathBuf {
        self.path(number).with_added_extension(format!("{}-{}", host(), process::id()))
    }

    pub fn finished(&self, number: usize) -> Option<Finished> {
        read_json(&self.record(number)).filter(|_| self.path(number).is_file())
    }

    pub fn claim(&self, number: usize) -> Result<Claim> {
        if let Some(finished) = self.finished(number) {
            return Ok(Claim::Finished(finished));
        }
        let lock = match Lock::of_segment(&self.folder.join(format!("{number:05}.lock")))? {
            Locked::Ours(lock) => Some(lock),
            Locked::Held(_) => return Ok(Claim::Held),
            Locked::Impossible => None,
        };
        // It may have been finished in the meantime.
        Ok(self.finished(number).map_or(Claim::Ours(lock), Claim::Finished))
    }

    /// Gives segment `number` its final name.
    pub fn finish(&self, number: usize, finished: &Finished) -> Result<()> {
        write_atomically(&self.record(number), &serde_json::to_vec(finished)?)?;
        let from = self.unfinished(number);
        File::open(&from).and_then(|file| file.sync_all()).context("cannot write a segment")?;
        fs::rename(from, self.path(number)).context("cannot rename a segment")
    }

    /// Whether the plan of these segments is still that of the output.
    pub fn are_wanted(&self) -> bool {
        let plan = self.folder.parent().unwrap_or(Path::new("")).join(PLAN);
        let id = fs::read(plan).map(|text| short_hash(&text));
        id.is_ok_and(|id| self.folder.file_name().is_some_and(|name| *name == *id))
    }

    fn record(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:05}.json"))
    }
}
