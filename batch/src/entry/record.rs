// SPDX-License-Identifier: MIT OR Apache-2.0

//! The records of outputs, which machines that share a folder read from each other.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, anyhow};
use cyclegan_output::write_atomically;
use serde::{Deserialize, Serialize};

use super::{
    Fingerprint,
    folder::{OWN_FOLDER, folder_of, read_json, size},
    lock::{Holder, Lock, host},
    paths::Paths,
};
use crate::{files::unreadable, item::Item, text::shown};

pub(super) const RECORD: &str = "record.json";
pub(super) const FAILURE: &str = "failure.json";
pub(super) const THUMBNAILS: &str = "thumbnails.html";

/// How an output was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub fingerprint: Fingerprint,
    #[serde(flatten)]
    pub paths: Paths,
    pub output_size: u64,
    #[serde(flatten)]
    pub made: OutputInfo,
    pub host: String,
}

/// A finished output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputInfo {
    /// How long after the input it starts.
    pub start: gst::ClockTime,
    pub frames: u64,
    /// How long the translation took.
    pub seconds: f64,
    /// Notices for the user.
    pub notices: Vec<String>,
}

/// Why there is no output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    #[serde(flatten)]
    pub paths: Paths,
    pub cause: String,
    pub host: String,
    pub notices: Vec<String>,
}

/// The recorded state of an output.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub folder: PathBuf,
    pub paths: Paths,
    pub state: State,
    pub notices: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It was translated on `host` in `seconds`.
    Done { frames: u64, seconds: f64, host: String },
    /// It has failed on `host`.
    Failed { cause: String, host: String },
    /// A process is translating it.
    Translating(Holder),
    /// It was started and is not finished, or the finished file is gone.
    Unfinished,
}

/// How many of `states` are done, failed, being translated and unfinished.
pub fn count_states<'a>(states: impl Iterator<Item = &'a State>) -> [u64; 4] {
    let mut counts = [0; 4];
    for state in states {
        counts[match state {
            State::Done { .. } => 0,
            State::Failed { .. } => 1,
            State::Translating(_) => 2,
            State::Unfinished => 3,
        }] += 1;
    }
    counts
}

impl Failure {
    /// Records a failure in the folder of an output.
    pub fn write(folder: &Path, paths: Paths, cause: &str, notices: &[String]) -> Result<()> {
        let (cause, notices) = (cause.to_owned(), notices.to_vec());
        let failure = Self { paths, cause, host: host(), notices };
        write_atomically(&folder.join(FAILURE), &serde_json::to_vec_pretty(&failure)?)
    }
}

/// How `item` failed at the time `since` or later, by the clock of the file system; it may be held again by now.
pub fn failed_since(out: &Path, item: &Item, since: SystemTime) -> Option<String> {
    let file = folder_of(out, &item.output).join(FAILURE);
    let at = fs::metadata(&file).ok()?.modified().ok()?;
    let Failure { paths, host, cause, .. } = read_json(&file).filter(|_| at >= since)?;
    paths.may_be_of(item).then(|| format!("has failed on {host}: {cause}"))
}

impl Recorded {
    /// All records of the output folder `out`, sorted by output.
    pub fn all(out: &Path) -> Result<Vec<Self>> {
        let own = out.join(OWN_FOLDER);
        let folders = fs::read_dir(&own).map_err(|error| anyhow!(unreadable(&own, &error)));
        let folders = folders.with_context(|| own.display().to_string())?.flatten();
        let mut all: Vec<Self> =
            folders.filter_map(|folder| Self::read(folder.path(), out)).collect();
        all.sort_by_key(|record| (record.paths.output.clone(), record.paths.input.clone()));
        Ok(all)
    }

    pub fn of(out: &Path, item: &Item) -> Option<Self> {
        let recorded = Self::read(folder_of(out, &item.output), out)?;
        recorded.paths.may_be_of(item).then_some(recorded)
    }

    fn read(folder: PathBuf, out: &Path) -> Option<Self> {
        if let Some(holder) = Lock::holder(&folder) {
            let (paths, notices) = (holder.paths.clone(), Vec::new());
            return Some(Self { folder, paths, state: State::Translating(holder), notices });
        }
        if let Some(failure) = read_json(&folder.join(FAILURE)) {
            let Failure { paths, cause, host, notices } = failure;
            return Some(Self { folder, paths, state: State::Failed { cause, host }, notices });
        }
        if let Some(record) = read_json(&folder.join(RECORD)) {
            let Record { paths, output_size, made, host, .. } = record;
            let OutputInfo { frames, seconds, notices, .. } = made;
            let size = paths.output.as_ref().map(|output| size(&out.join(output)));
            let is_complete = size.is_none_or(|size| size == Some(output_size));
            let done = State::Done { frames, seconds, host };
            let state = if is_complete { done } else { State::Unfinished };
            return Some(Self { folder, paths, state, notices });
        }
        let Holder { paths, .. } = Holder::last(&folder)?;
        Some(Self { folder, paths, state: State::Unfinished, notices: Vec::new() })
    }

    /// The output if it is known, else the input, for a line or a heading.
    pub fn name(&self) -> String {
        let path = self.paths.output.as_ref().or(self.paths.input.as_ref());
        path.map_or_else(|| "?".to_owned(), |path| shown(path))
    }

    pub fn has_thumbnails(&self) -> bool {
        matches!(self.state, State::Done { .. }) && self.folder.join(THUMBNAILS).is_file()
    }

    pub fn thumbnails(&self) -> Option<String> {
        let read = || fs::read_to_string(self.folder.join(THUMBNAILS)).ok();
        self.has_thumbnails().then(read).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::entry::{lock::Locked, record_failure};

    #[test]
    fn a_failure_is_seen_by_the_process_that_has_the_file_next() {
        let out = tempfile::tempdir().unwrap();
        let item = Item::png("in/a.png".into());
        let begin = SystemTime::now() - Duration::from_secs(1);
        assert_eq!(failed_since(out.path(), &item, begin), None);
        record_failure(out.path(), &item, "is empty").unwrap();
        let folder = folder_of(out.path(), &item.output);
        let lock = Lock::of(&folder, Paths::of(&item)).unwrap();
        assert!(matches!(lock, Locked::Ours(_)));
        let failed = failed_since(out.path(), &item, begin).unwrap();
        assert!(failed.ends_with(": is empty"), "{failed}");
        let later = SystemTime::now() + Duration::from_secs(1);
        assert_eq!(failed_since(out.path(), &item, later), None);
    }
}
