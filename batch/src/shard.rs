// SPDX-License-Identifier: MIT OR Apache-2.0

//! The share of the files that this machine translates.
//!
//! With locks, each machine takes the next file that no other has. With fixed shares, a hash of the path below the
//! input folder decides the share of a file, so adding files does not change it, and the machines need not
//! communicate.

use std::{ffi::OsStr, fmt, path::Path, str::FromStr};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// How machines share the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharding {
    /// Each takes the next free file.
    Auto,
    Fixed(Shard),
}

impl FromStr for Sharding {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Fixed),
        }
    }
}

/// One of several shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: u64,
    count: u64,
}

/// The number of tasks of a Kubernetes job, which Kubernetes does not pass to its pods.
pub const COUNT_VARIABLE: &str = "CYCLEGAN_BATCH_SHARDS";

impl Shard {
    /// The share that a scheduler assigns through environment variables, read by `variable`; `None` without one.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let number = |name: &str| -> Result<Option<u64>> {
            let value = variable(name);
            let parse = |text: String| {
                text.trim()
                    .parse()
                    .ok()
                    .with_context(|| format!("{name} is '{text}', expected a number"))
            };
            value.map(parse).transpose()
        };
        if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
            let count = number("SLURM_ARRAY_TASK_COUNT")?.unwrap_or(1);
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            return Self::new(id.saturating_sub(first) / step, count)
                .map(Some)
                .context("the indices of the Slurm array are not consecutive; use --shard I/N");
        }
        if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            let count = number(COUNT_VARIABLE)?.with_context(|| {
                format!(
                    "JOB_COMPLETION_INDEX says that this is a Kubernetes indexed job, but not how \
                     many tasks it has; set {COUNT_VARIABLE} to its completions, or give --shard I/N"
                )
            })?;
            ensure!(count > 0, "{COUNT_VARIABLE} is 0, expected the job's completions");
            return Self::new(index, count).map(Some);
        }
        Ok(None)
    }

    fn new(index: u64, count: u64) -> Result<Self> {
        ensure!(index < count, "share {} of {count}: expected 1 to {count}", index + 1);
        Ok(Self { index, count })
    }

    /// Whether the file at `relative`, its path below the input folder, is in this share.
    pub fn holds(self, relative: &Path) -> bool {
        let parts: Vec<_> = relative.iter().map(OsStr::as_encoded_bytes).collect();
        // The same separator on all systems, so that Windows machines can take part in the same job.
        let hash = Sha256::digest(parts.join(&b'/'));
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(first) % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.trim().parse::<u64>().ok()?, count.trim().parse::<u64>().ok()?))
        });
        let (index, count) = numbers.context("expected auto, or I/N, such as 1/4")?;
        ensure!(index > 0, "share 0, expected shares counted from 1");
        Self::new(index - 1, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &'static [(&str, &str)]) -> Result<Option<Shard>> {
        let find = |name: &str| entries.iter().find(|(key, _)| *key == name);
        Shard::of_environment(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn schedulers_set_the_share() {
        assert_eq!(environment(&[]).unwrap(), None);
        let slurm = environment(&[
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ]);
        assert_eq!(slurm.unwrap().unwrap().to_string(), "4/4");
        let kubernetes = environment(&[("JOB_COMPLETION_INDEX", "0"), (COUNT_VARIABLE, "3")]);
        assert_eq!(kubernetes.unwrap().unwrap().to_string(), "1/3");
        let error = environment(&[("JOB_COMPLETION_INDEX", "0")]).unwrap_err().to_string();
        assert!(error.contains(COUNT_VARIABLE), "{error}");
        // --array=1,2,9: three tasks, the last of which has the index 8.
        let gaps = environment(&[("SLURM_ARRAY_TASK_ID", "9"), ("SLURM_ARRAY_TASK_COUNT", "3")]);
        assert!(gaps.is_err());
    }

    #[test]
    fn every_file_is_in_one_share_that_does_not_change() {
        let shares: Vec<Shard> = (1..=4).map(|i| format!("{i}/4").parse().unwrap()).collect();
        let mut sizes = [0; 4];
        for number in 0..400 {
            let path = format!("clips/{number}.mp4");
            let holding: Vec<_> = (0..4).filter(|&i| shares[i].holds(path.as_ref())).collect();
            assert_eq!(holding.len(), 1, "{path}");
            sizes[holding[0]] += 1;
        }
        assert!(sizes.iter().all(|size| (70..130).contains(size)), "{sizes:?}");
        // Written down once: a share that moves would translate files twice or never.
        let first =
            ["a.mp4", "b.mp4", "c/d.mkv", "e.png"].map(|path| shares[0].holds(path.as_ref()));
        assert_eq!(first, [true, true, false, false]);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "a/b", "-1/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
