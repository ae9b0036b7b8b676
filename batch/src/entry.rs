// SPDX-License-Identifier: MIT OR Apache-2.0

//! The state of each output between runs: a folder with a record of how it was made and, until it is
//! finished, the output and its segments.
//!
//! The order of writing makes it safe to be killed at any moment: first the complete output under
//! another name, then the record with its size, then the final name. The next run does a missing last
//! step; without a record it translates the file again.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result, anyhow, bail};
use cyclegan_output::{rename, write_beside};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    container::Container,
    inputs::{Item, OWN_FOLDER, describe},
    options::Recipe,
    worker::protocol::Span,
};

/// Everything that decides an output; if it is the same, so is the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size of the input in bytes.
    size: u64,
    /// Modification time of the input, in nanoseconds since 1970.
    modified: u64,
    /// SHA-256 of the generator's file.
    model: String,
    /// The options, without the name of the generator, which may have several names.
    recipe: Recipe,
}

/// How an output was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    fingerprint: Fingerprint,
    /// The input; `None` in a record of an early version.
    #[serde(default)]
    input: Option<PathBuf>,
    /// Size of the output in bytes.
    output_size: u64,
    /// Frames in it.
    pub frames: u64,
}

/// The segments of a long video.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    fingerprint: Fingerprint,
    spans: Vec<Span>,
}

/// The state of an output.
pub enum Status {
    /// Finished, with this many frames.
    Finished(u64),
    /// Not finished.
    Open,
}

/// The folder of an output, locked against other processes during its lifetime.
#[derive(Debug)]
pub struct Entry {
    folder: PathBuf,
    output: PathBuf,
    input: PathBuf,
    fingerprint: Fingerprint,
    /// The name of the output until it is finished.
    unfinished: String,
    _lock: Option<File>,
}

impl Fingerprint {
    /// Of an item that is translated with `recipe` and the generator whose file has the hash `model`.
    /// Fails with what is wrong with the input.
    pub fn new(item: &Item, recipe: &Recipe, model: &str) -> Result<Self> {
        let unreadable = |error: io::Error| anyhow!("cannot be read: {}", describe(&error));
        let metadata = fs::metadata(&item.input).map_err(unreadable)?;
        // Reading a pipe or a device may block forever.
        if !metadata.is_file() {
            bail!("is not a file");
        }
        if metadata.len() == 0 {
            // Files in /proc look empty and may not be, but they are not videos.
            bail!("is empty");
        }
        File::open(&item.input).map_err(unreadable)?;
        let modified = metadata.modified().map_err(unreadable)?;
        let modified = modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        Ok(Self {
            size: metadata.len(),
            modified,
            model: model.to_owned(),
            recipe: Recipe { model: None, sample: item.sample, ..recipe.clone() },
        })
    }

    /// Size of the input in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Entry {
    /// The place of `item` below the output folder `out`; with `is_dry` nothing is made there.
    pub fn open(out: &Path, item: &Item, fingerprint: Fingerprint, is_dry: bool) -> Result<Self> {
        let hash = Sha256::digest(item.output.as_os_str().as_bytes());
        // Half of the hash is unique enough for any disk.
        let name: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = out.join(OWN_FOLDER).join(name);
        let output = out.join(&item.output);
        let input = item.input.canonicalize().unwrap_or_else(|_| item.input.clone());
        let mut unfinished = "unfinished".to_owned();
        if is_dry {
            return Ok(Self { folder, output, input, fingerprint, unfinished, _lock: None });
        }
        let parent = output.parent().unwrap_or(out);
        for folder in [&folder, parent] {
            fs::create_dir_all(folder).map_err(|error| {
                anyhow!("cannot create {}: {}", folder.display(), describe(&error))
            })?;
        }
        let lock = File::create(folder.join("lock"))
            .map_err(|e| anyhow!("cannot write into {}: {}", folder.display(), describe(&e)))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("is being translated by another cyclegan-batch");
            }
            // A file system without locks: parallel processes at least write different files.
            Err(TryLockError::Error(_)) => {
                let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                unfinished = format!("unfinished-{}-{}", host.trim(), std::process::id());
            }
        }
        Ok(Self { folder, output, input, fingerprint, unfinished, _lock: Some(lock) })
    }

    /// The state of the output; first does the last step of a run that was killed before it.
    pub fn status(&self, overwrite: bool) -> Result<Status> {
        let record = self.record();
        if let Some(record) = &record {
            // The record is the last step but one: its output only lacks the name.
            if size(&self.unfinished()) == Some(record.output_size)
                && size(&self.output) != Some(record.output_size)
                && self._lock.is_some()
            {
                self.rename()?;
            }
            let is_there = size(&self.output) == Some(record.output_size);
            if is_there && record.fingerprint == self.fingerprint {
                return Ok(Status::Finished(record.frames));
            }
            let other = record.input.as_ref().filter(|other| **other != self.input && is_there);
            if let Some(other) = other.filter(|_| !overwrite) {
                bail!(
                    "would replace {}, the output of {}; use --overwrite or another --out",
                    self.output.display(),
                    other.display()
                );
            }
            if is_there || !self.output.exists() {
                return Ok(Status::Open);
            }
        }
        if self.output.exists() && !overwrite {
            bail!(
                "would replace {}, which cyclegan-batch has not written or which has changed; use \
                 --overwrite or another --out",
                self.output.display()
            );
        }
        Ok(Status::Open)
    }

    /// Where the output is written until it is finished.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join(&self.unfinished)
    }

    /// Removes the unfinished output of an earlier run. A process that still writes to the file then
    /// writes to a deleted one.
    pub fn clear(&self) {
        let unfinished = self.unfinished();
        let _ = fs::remove_file(unfinished.with_added_extension("faststart"));
        let _ = fs::remove_file(unfinished);
    }

    /// Gives the unfinished output its final name.
    pub fn finish(&self, frames: u64) -> Result<()> {
        let file = File::open(self.unfinished()).context("the output is missing")?;
        // A file with its final name must be on the disk.
        file.sync_all().context("cannot write the output")?;
        let record = Record {
            fingerprint: self.fingerprint.clone(),
            input: Some(self.input.clone()),
            output_size: file.metadata()?.len(),
            frames,
        };
        write_beside(&self.record_path(), &serde_json::to_vec_pretty(&record)?)?;
        self.rename()?;
        let _ = fs::remove_dir_all(self.segments());
        Ok(())
    }

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

    fn record_path(&self) -> PathBuf {
        self.folder.join("record.json")
    }

    fn record(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.record_path()).ok()?).ok()
    }

    fn rename(&self) -> Result<()> {
        let renamed = rename(&self.unfinished(), &self.output);
        renamed.map_err(|e| anyhow!("cannot create {}: {}", self.output.display(), describe(&e)))
    }
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(|file| file.is_file()).map(|file| file.len())
}

/// SHA-256 of a generator in hexadecimal. For a variant such as `G.int8.onnx` it is that of the float32 file,
/// so that machines with different variants share outputs.
pub fn hash_of_model(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let full = path.with_file_name(format!("{stem}.onnx"));
    hash_of(if full.is_file() { &full } else { path })
}

/// SHA-256 of a file in hexadecimal.
fn hash_of(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let hashed = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hash));
    hashed.with_context(|| format!("cannot read the generator {}", path.display()))?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
