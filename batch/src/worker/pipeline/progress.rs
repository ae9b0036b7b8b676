// SPDX-License-Identifier: MIT OR Apache-2.0

//! The progress of a pipeline, to notice that it stalls.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::fault::OutsideFault;
use crate::{
    protocol::{Event, Say},
    worker::pads::tally::Tally,
};

/// How long a pipeline may go without progress.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The same before the first frame is translated: a GPU's engine may have to be built.
pub const FIRST_PATIENCE: Duration = Duration::from_secs(570);
/// Time between two progress replies.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(300);

/// Reports that the task goes on, at intervals, each time that it is called.
pub fn heartbeat(say: Say<'_>) -> impl FnMut() + '_ {
    let mut reported = Instant::now();
    move || {
        if reported.elapsed() >= PROGRESS_INTERVAL {
            say(Event::Progress { frames: 0, total: None });
            reported = Instant::now();
        }
    }
}

#[derive(Default)]
pub struct Progress {
    /// Counts at points of the pipeline.
    points: RefCell<Vec<(&'static str, Tally)>>,
    /// The files being written: their growth counts as progress.
    files: RefCell<Vec<PathBuf>>,
    /// Whether the pipeline reads from or writes to a pipe.
    is_piped: Cell<bool>,
}

/// The last progress.
pub struct Moved {
    pub at: Instant,
    position: (u64, u64),
}

impl Progress {
    /// Adds a count at a point. Call it in the order in which data pass the points.
    pub fn tally(&self, what: &'static str) -> Tally {
        let tally = Tally::default();
        self.points.borrow_mut().push((what, tally.clone()));
        tally
    }

    pub fn add_file(&self, file: &Path) {
        self.files.borrow_mut().push(file.to_owned());
    }

    /// Turns off the check for stalls: the program at the other end of a pipe may pause.
    pub fn wait_for_pipes(&self) {
        self.is_piped.set(true);
    }

    /// The state before a wait.
    pub fn start(&self) -> Moved {
        Moved { at: Instant::now(), position: self.position() }
    }

    /// Fails if there was no progress for longer than `patience`, unless a pipe may pause. `moved` is the last progress.
    pub fn check(&self, moved: &mut Moved, patience: Duration) -> Result<()> {
        let position = self.position();
        if position != moved.position {
            *moved = Moved { at: Instant::now(), position };
        }
        let is_stalled = !self.is_piped.get() && moved.at.elapsed() > patience;
        ensure!(!is_stalled, OutsideFault(self.stall()));
        Ok(())
    }

    /// A value that changes with any progress.
    fn position(&self) -> (u64, u64) {
        let packets = self.points.borrow().iter().map(|(_, tally)| tally.get().packets).sum();
        let size = |file: &PathBuf| fs::metadata(file).map_or(0, |file| file.len());
        (packets, self.files.borrow().iter().map(size).sum())
    }

    fn stall(&self) -> String {
        let points = self.points.borrow();
        let point = |(what, tally): &(&str, Tally)| {
            let passed = tally.get();
            format!("{} {what}, up to {:.1} s", passed.packets, passed.end.seconds_f64())
        };
        let points: Vec<_> = points.iter().map(point).collect();
        format!("stalls: {}", points.join("; "))
    }
}

/// How long a pipeline that counts translated frames may go without progress.
pub fn patience(translated: Option<&Tally>) -> Duration {
    match translated.is_some_and(|tally| tally.get().packets == 0) {
        true => FIRST_PATIENCE,
        false => PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pipes_may_pause() {
        assert_eq!(patience(None), PATIENCE);
        assert_eq!(patience(Some(&Tally::default())), FIRST_PATIENCE);
        let progress = Progress::default();
        let check = || progress.check(&mut progress.start(), Duration::ZERO);
        assert!(check().is_err());
        progress.wait_for_pipes();
        check().unwrap();
    }
}
