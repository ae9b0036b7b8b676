// SPDX-License-Identifier: MIT OR Apache-2.0

//! Locks of outputs, which also say who has them.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, SystemTime},
};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::record;
use crate::inputs::{OWN_FOLDER, describe};

/// The name of the file.
const LOCK: &str = "lock";
/// How often a lock is tried: a process that asks for the state of an output holds it for a moment.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(20);

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who has a lock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    pub(super) input: Option<PathBuf>,
    pub(super) output: Option<PathBuf>,
}

/// What asking for a lock gives.
pub enum Locked {
    /// The lock.
    Ours(Lock),
    /// Another process has it.
    Held(Holder),
    /// The file system has no locks.
    Impossible,
}

impl Lock {
    /// The lock of the output with this folder.
    pub fn of(folder: &Path, input: &Path, output: &Path) -> Result<Locked> {
        let path = folder.join(LOCK);
        // Not truncated: another process may have written into it.
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let mut file =
            file.map_err(|e| anyhow!("cannot write into {}: {}", folder.display(), describe(&e)))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    let holder = Holder {
                        host: host(),
                        pid: process::id(),
                        input: record::text(input),
                        output: record::text(output),
                    };
                    // Only for those who ask.
                    let text = serde_json::to_vec(&holder).unwrap_or_default();
                    let _ = file.set_len(0).and_then(|()| file.write_all(&text));
                    return Ok(Locked::Ours(Self { _file: file }));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN),
                Err(TryLockError::Error(_)) => return Ok(Locked::Impossible),
            }
        }
        Ok(Locked::Held(Holder::read(folder).unwrap_or_default()))
    }

    /// Who has the output with this folder now, if anyone.
    pub fn holder(folder: &Path) -> Option<Holder> {
        let file = File::open(folder.join(LOCK)).ok()?;
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held.then(|| Holder::read(folder).unwrap_or_default())
    }
}

impl Holder {
    /// Who has the lock in this folder, or had it last.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(LOCK)).ok()?).ok()
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

/// The start of a run by the clock of the file system of the output folder `out`, whose locks share the files
/// among machines. Fails if it has none.
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
            "--shard auto needs a file system with locks, and {} gives none ({}); use --shard I/N",
            out.display(),
            describe(&error)
        )
    })
}

/// The name of this machine.
pub fn host() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    host.trim().to_owned()
}
