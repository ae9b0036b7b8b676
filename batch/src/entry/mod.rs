// SPDX-License-Identifier: MIT OR Apache-2.0

//! The state of each output between runs: a folder with records of how it was made and, until it is
//! finished, the output and its segments.
//!
//! The order of writing makes it safe to kill the program at any moment: first the complete output under
//! another name, then the record with its size, then the final name. If only the last step is missing, the next
//! run does it; without a record it translates the file again.

mod fingerprint;
mod folder;
pub mod lock;
mod paths;
mod record;
mod segments;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail};
use cyclegan_output::{rename, write_atomically};

use crate::{
    files::{create_folder, describe, ensure_writable, remove_unfinished},
    item::Item,
};
pub use fingerprint::{Fingerprint, hash_of_model};
pub use folder::{OWN_FOLDER, folder_of};
use folder::{read_json, size};
use lock::{Holder, Lock, Locked, host};
use paths::Paths;
use record::{FAILURE, Failure, RECORD, Record, THUMBNAILS};
pub use record::{OutputInfo, Recorded, State, count_states, failed_since};
pub use segments::{Claim, Finished, Segments};

/// The folder of an output. If this process may write the output, other processes are locked out while this exists.
#[derive(Debug)]
pub struct Entry {
    folder: PathBuf,
    output: PathBuf,
    paths: Paths,
    fingerprint: Fingerprint,
    /// The name of the output until it is finished.
    unfinished: String,
    access: Access,
}

/// What this process may do with an output.
#[derive(Debug)]
enum Access {
    /// In a dry run, or if another process holds it.
    Reader,
    /// There is no lock if the file system has none.
    Writer(Option<Lock>),
}

/// Whether the folder `out` has a record of the file `output`, a path below it.
pub fn is_output(out: &Path, output: &Path) -> bool {
    let record = read_json::<Record>(&folder_of(out, output).join(RECORD));
    record.is_some_and(|record| size(&out.join(output)) == Some(record.output_size))
}

/// Records the failure of an item that was never opened.
pub fn record_failure(out: &Path, item: &Item, cause: &str) -> Result<()> {
    let folder = folder_of(out, &item.output);
    fs::create_dir_all(&folder)?;
    Failure::write(&folder, Paths::of(item), cause, &[])
}

impl Entry {
    /// The entry of `item` in the output folder `out`; with `is_dry` nothing is created. If another process holds it,
    /// returns the holder, and only segments may be written.
    pub fn open(
        out: &Path,
        item: &Item,
        fingerprint: Fingerprint,
        is_dry: bool,
    ) -> Result<(Arc<Self>, Option<Holder>)> {
        let mut entry = Self {
            folder: folder_of(out, &item.output),
            output: out.join(&item.output),
            paths: Paths::of(item),
            fingerprint,
            unfinished: "unfinished".to_owned(),
            access: Access::Reader,
        };
        if is_dry {
            return Ok((Arc::new(entry), None));
        }
        let parent = entry.output.parent().unwrap_or(out);
        for folder in [&*entry.folder, parent] {
            create_folder(folder)?;
        }
        match Lock::of(&entry.folder, entry.paths.clone())? {
            Locked::Ours(lock) => entry.access = Access::Writer(Some(lock)),
            Locked::Held(holder) => return Ok((Arc::new(entry), Some(holder))),
            // A file system without locks: parallel processes at least write different files.
            Locked::Impossible => {
                entry.unfinished = format!("unfinished-{}-{}", host(), std::process::id());
                entry.access = Access::Writer(None);
            }
        }
        Ok((Arc::new(entry), None))
    }

    /// The number of frames of the output, if it is finished. First completes the last step of a run that was killed
    /// before it. Fails if the output would replace a file of another origin, or cannot be created.
    pub fn finished(&self, overwrite: bool) -> Result<Option<u64>> {
        let mut is_ours = false;
        if let Some(record) = read_json::<Record>(&self.folder.join(RECORD)) {
            // Only the last step is missing: the final name.
            if size(&self.unfinished()) == Some(record.output_size)
                && size(&self.output) != Some(record.output_size)
                && self.has_lock()
            {
                self.rename()?;
            }
            is_ours = size(&self.output) == Some(record.output_size);
            if is_ours && record.fingerprint == self.fingerprint {
                let frames = record.made.frames;
                self.clean_up(record)?;
                return Ok(Some(frames));
            }
            let is_other = record.paths.input != self.paths.input;
            if let Some(other) = record.paths.input.filter(|_| is_ours && is_other && !overwrite) {
                bail!(
                    "would replace {}, the output of {}; use --overwrite or another --out",
                    self.output.display(),
                    other.display()
                );
            }
        }
        if self.output.exists() && !is_ours && !overwrite {
            bail!(
                "would replace {}, which cyclegan-batch did not write, or which has changed; use \
                 --overwrite or another --out",
                self.output.display()
            );
        }
        if self.is_writer() {
            ensure_writable(self.output.parent().unwrap_or(Path::new("")))?;
            // An earlier failure no longer applies.
            let _ = fs::remove_file(self.folder.join(FAILURE));
        }
        Ok(None)
    }

    /// Removes what earlier runs have left beside the finished output of `record`, and records where its input is now:
    /// reports look for it there.
    fn clean_up(&self, record: Record) -> Result<()> {
        if !self.is_writer() {
            return Ok(());
        }
        let _ = fs::remove_file(self.folder.join(FAILURE));
        self.drop_segments();
        if record.paths.input != self.paths.input {
            let record = Record { paths: self.paths.clone(), ..record };
            self.write(RECORD, &serde_json::to_vec_pretty(&record)?)?;
        }
        Ok(())
    }

    /// Records the failure, unless the existing record belongs to another input.
    pub fn refuse(&self, cause: &str) {
        let record = read_json::<Record>(&self.folder.join(RECORD));
        if record.is_none_or(|record| record.paths.input == self.paths.input) {
            self.fail(cause, &[]);
        }
    }

    fn is_writer(&self) -> bool {
        matches!(self.access, Access::Writer(_))
    }

    fn has_lock(&self) -> bool {
        matches!(self.access, Access::Writer(Some(_)))
    }

    pub fn holder(&self) -> Option<Holder> {
        Lock::holder(&self.folder)
    }

    /// Whether `input` has changed since this was opened.
    pub fn is_outdated(&self, input: &Path) -> bool {
        self.fingerprint.is_outdated(input)
    }

    /// Where the output is written until it is finished.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join(&self.unfinished)
    }

    /// Removes the unfinished output of an earlier run. A process that is still writing it then writes to a deleted
    /// file.
    pub fn clear(&self) -> Result<()> {
        self.check_lock()?;
        remove_unfinished(&self.unfinished());
        Ok(())
    }

    /// Fails if a network file system has lost the lock: the unfinished output is then that of another process.
    fn check_lock(&self) -> Result<()> {
        let last = Holder::last(&self.folder).filter(|_| self.has_lock());
        last.filter(Holder::is_other)
            .map_or(Ok(()), |other| bail!("its lock was lost, and {other} translates it now"))
    }

    /// Gives the unfinished output its final name.
    pub fn finish(&self, made: OutputInfo) -> Result<()> {
        self.check_lock()?;
        let file = File::open(self.unfinished()).context("the output is missing")?;
        // Once it has its final name, the file must be on the disk.
        file.sync_all().context("cannot write the output")?;
        let record = Record {
            fingerprint: self.fingerprint.clone(),
            paths: self.paths.clone(),
            output_size: file.metadata()?.len(),
            made,
            host: host(),
        };
        let _ = fs::remove_file(self.folder.join(THUMBNAILS));
        self.write(RECORD, &serde_json::to_vec_pretty(&record)?)?;
        self.rename()?;
        let _ = fs::remove_file(self.folder.join(FAILURE));
        self.drop_segments();
        Ok(())
    }

    /// Records that the file failed. If that cannot be written, it is only missing from reports.
    pub fn fail(&self, cause: &str, notices: &[String]) {
        if self.is_writer() {
            let _ = Failure::write(&self.folder, self.paths.clone(), cause, notices);
        }
    }

    /// How long after the input the finished output starts.
    pub fn start(&self) -> gst::ClockTime {
        let record = read_json::<Record>(&self.folder.join(RECORD));
        record.map(|record| record.made.start).unwrap_or_default()
    }

    pub fn has_thumbnails(&self) -> bool {
        self.folder.join(THUMBNAILS).is_file()
    }

    pub fn set_thumbnails(&self, html: &str) -> Result<()> {
        self.write(THUMBNAILS, html.as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.folder.join(name), bytes)
    }

    fn rename(&self) -> Result<()> {
        let renamed = rename(&self.unfinished(), &self.output);
        renamed.map_err(|e| anyhow!("cannot create {}: {}", self.output.display(), describe(&e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use clap::Parser;

    const MADE: OutputInfo =
        OutputInfo { start: gst::ClockTime::ZERO, frames: 1, seconds: 0.1, notices: Vec::new() };

    /// A file in `folder` as an input, and its fingerprint.
    fn image(folder: &Path, name: &str) -> (Item, Fingerprint) {
        let input = folder.join(name);
        fs::write(&input, "an image").unwrap();
        let item = Item::png(input);
        let recipe = Options::parse_from(["cyclegan-batch", "in", "--out", "out"]).recipe;
        let fingerprint = Fingerprint::new(&item, &recipe, "").unwrap();
        (item, fingerprint)
    }

    #[test]
    fn a_finished_output_is_not_failed_and_its_input_may_move() {
        let folder = tempfile::tempdir().unwrap();
        let (old, fingerprint) = image(folder.path(), "old.png");
        let (new, _) = image(folder.path(), "new.png");
        let out = folder.path().join("out");
        let open = |item| Entry::open(&out, item, fingerprint.clone(), false).unwrap().0;
        let entry = open(&old);
        fs::write(entry.unfinished(), "translated").unwrap();
        entry.finish(MADE).unwrap();
        drop(entry);
        record_failure(&out, &old, "cannot be read").unwrap();
        let is_done = |item| {
            let recorded = Recorded::of(&out, item);
            recorded.is_some_and(|recorded| matches!(recorded.state, State::Done { .. }))
        };
        assert!(!is_done(&old) && !is_done(&new));
        assert_eq!(open(&old).finished(false).unwrap(), Some(1));
        assert!(is_done(&old));
        assert_eq!(open(&new).finished(false).unwrap(), Some(1));
        assert!(is_done(&new));
    }

    #[test]
    fn a_process_that_lost_its_lock_leaves_the_output_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (item, fingerprint) = image(folder.path(), "a.png");
        let (entry, _) = Entry::open(folder.path(), &item, fingerprint, false).unwrap();
        fs::write(entry.unfinished(), "of another process").unwrap();
        fs::write(entry.folder.join("lock"), r#"{"host": "other", "pid": 7}"#).unwrap();
        let error = entry.finish(MADE).unwrap_err().to_string();
        assert!(error.contains("other, process 7"), "{error}");
        assert!(entry.clear().is_err());
        assert!(entry.unfinished().is_file());
    }

    /// As on a file system without locks.
    #[test]
    fn a_failure_is_recorded_without_locks() {
        let folder = tempfile::tempdir().unwrap();
        let (item, fingerprint) = image(folder.path(), "a.png");
        let open =
            |is_dry| Entry::open(folder.path(), &item, fingerprint.clone(), is_dry).unwrap().0;
        let state = || Recorded::of(folder.path(), &item).map(|recorded| recorded.state);
        open(true).fail("is damaged", &[]);
        assert!(state().is_none());
        let entry = Entry { access: Access::Writer(None), ..Arc::into_inner(open(false)).unwrap() };
        entry.fail("is damaged", &[]);
        assert!(matches!(state(), Some(State::Failed { .. })));
    }
}
