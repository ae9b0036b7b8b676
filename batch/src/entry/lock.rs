// SPDX-License-Identifier: MIT OR Apache-2.0

//! Locks on outputs and segments. A lock file names its holder.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::Path,
    process, thread,
    time::{Duration, SystemTime},
};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::{
    folder::{OWN_FOLDER, read_json},
    paths::Paths,
};
use crate::files::describe;

const LOCK: &str = "lock";
/// How often a lock is tried: a process that reads the state of an output holds it for a moment.
const TRIES: u32 = 5;
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The process that holds a lock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    pub host: String,
    pub pid: u32,
    #[serde(flatten)]
    pub(super) paths: Paths,
}

/// The result of asking for a lock.
pub enum Locked {
    Ours(Lock),
    /// Another process holds it.
    Held(Holder),
    /// The file system has no locks.
    Impossible,
}

impl Lock {
    /// The lock of the output with this folder.
    pub fn of(folder: &Path, paths: Paths) -> Result<Locked> {
        Self::take(&folder.join(LOCK), &Holder { paths, ..Holder::this() }, TRIES)
    }

    /// The lock of a segment. Nobody holds one only for a moment, so it is tried once.
    pub fn of_segment(path: &Path) -> Result<Locked> {
        Self::take(path, &Holder::this(), 1)
    }

    fn take(path: &Path, holder: &Holder, tries: u32) -> Result<Locked> {
        // Not truncated: another process may have written into it.
        let file = File::options().create(true).truncate(false).write(true).open(path);
        let mut file = file.map_err(|e| {
            let folder = path.parent().unwrap_or(path).display();
            anyhow!("cannot write into {folder}: {}", describe(&e))
        })?;
        for attempt in 0..tries {
            if attempt > 0 {
                thread::sleep(RETRY_INTERVAL);
            }
            match file.try_lock() {
                Ok(()) => {
                    // Informs other processes; the lock does not depend on it.
                    let text = serde_json::to_vec(holder).unwrap_or_default();
                    let _ = file.set_len(0).and_then(|()| file.write_all(&text));
                    return Ok(Locked::Ours(Self { _file: file }));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(_)) => return Ok(Locked::Impossible),
            }
        }
        Ok(Locked::Held(read_json(path).unwrap_or_default()))
    }

    /// The process that holds the output with this folder now, if any.
    pub fn holder(folder: &Path) -> Option<Holder> {
        let path = folder.join(LOCK);
        let is_held =
            matches!(File::open(&path).ok()?.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held.then(|| read_json(&path).unwrap_or_default())
    }
}

impl Holder {
    fn this() -> Self {
        Self { host: host(), pid: process::id(), ..Self::default() }
    }

    /// Whether this is another process than the one that runs.
    pub(super) fn is_other(&self) -> bool {
        !self.host.is_empty() && (&*self.host, self.pid) != (&*host(), process::id())
    }

    /// The last process that held the output with this folder.
    pub(super) fn last(folder: &Path) -> Option<Self> {
        read_json(&folder.join(LOCK))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.is_empty() {
            true => f.write_str("another cyclegan-batch"),
            false => write!(f, "{}, process {}", self.host, self.pid),
        }
    }
}

/// The start of a run by the clock of the file system of the output folder `out`. Fails if the file system has no
/// locks, by which machines share the files.
pub fn start_of_run(out: &Path) -> Result<SystemTime> {
    let own = out.join(OWN_FOLDER);
    let path = own.join(format!("run-{}-{}", host(), process::id()));
    let begin = || -> io::Result<SystemTime> {
        fs::create_dir_all(&own)?;
        let file = File::create(&path)?;
        let begun = match file.try_lock() {
            Err(TryLockError::Error(error)) => Err(error),
            _ => file.metadata()?.modified(),
        };
        let _ = fs::remove_file(&path);
        begun
    };
    begin().map_err(|error| {
        anyhow!(
            "--shard auto needs a file system with locks, and {} has none ({}); use --shard I/N",
            out.display(),
            describe(&error)
        )
    })
}

/// The name of this machine.
pub fn host() -> String {
    gst::glib::host_name().into()
}
