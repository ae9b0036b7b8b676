// SPDX-License-Identifier: MIT OR Apache-2.0

//! Worker processes: started when needed, and again after a crash.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    protocol::{ARGUMENT, Event, Line, Reply, Setup, Task},
    stop::{self, POLL},
};

/// How long a task may go without progress. Writing the index to the front of a large file takes a while, and so
/// does building a GPU engine for the first frame.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Worker {
    child: Child,
    tasks: ChildStdin,
    lines: Receiver<Line>,
    /// Whether it has ended, so that another one must be started.
    pub has_ended: bool,
    /// The file of its generator.
    pub model: PathBuf,
    pub provider: String,
}

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("stopped")]
    Stopped,
    /// There is no worker for it.
    #[error("{0}")]
    NoWorker(String),
    /// It failed because the file was cut into segments.
    #[error("{0}")]
    Cut(String),
    /// Its worker crashed.
    #[error("{0}")]
    Crash(String),
    /// It failed for good.
    #[error("{0}")]
    Task(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Task(format!("{error:#}"))
    }
}

impl Failure {
    /// The failure for a reply to another task.
    pub fn unexpected(reply: &Reply) -> Self {
        Self::Task(format!("unexpected {reply:?}"))
    }
}

impl Worker {
    /// Starts a worker and waits until it has loaded the generator.
    pub fn start(setup: &Setup) -> Result<Self, Failure> {
        Self::try_start(setup).map_err(|failure| match failure {
            Failure::Stopped => Failure::Stopped,
            failure => Failure::NoWorker(failure.to_string()),
        })
    }

    fn try_start(setup: &Setup) -> Result<Self, Failure> {
        let mut worker = Self::spawn(setup)?;
        match worker.wait(&mut |_| {})? {
            Reply::Ready { model, provider } => {
                (worker.model, worker.provider) = (model.into(), provider);
                Ok(worker)
            }
            other => Err(Failure::unexpected(&other)),
        }
    }

    fn spawn(setup: &Setup) -> Result<Self> {
        let mut child = Command::new(env::current_exe().context("cannot find this program")?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker")?;
        let (tasks, output) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Libraries may also write text to standard output, in any encoding.
            let texts = BufReader::new(output).split(b'\n').map_while(Result::ok);
            for line in texts.filter_map(|text| serde_json::from_slice(&text).ok()) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let (model, provider) = (PathBuf::new(), String::new());
        let mut worker = Self { child, tasks, lines, has_ended: false, model, provider };
        worker.send(&serde_json::to_string(setup)?);
        Ok(worker)
    }

    /// Runs a task; returns its reply, and gives `on_event` what happens before.
    pub fn perform(
        &mut self,
        task: &Task,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Reply, Failure> {
        self.send(&serde_json::to_string(task).map_err(anyhow::Error::from)?);
        self.wait(on_event)
    }

    fn send(&mut self, line: &str) {
        // `wait` notices a worker that has exited.
        let _ = writeln!(self.tasks, "{line}").and_then(|()| self.tasks.flush());
    }

    fn wait(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<Reply, Failure> {
        let mut last = Instant::now();
        loop {
            if stop::is_requested() {
                self.end();
                return Err(Failure::Stopped);
            }
            match self.lines.recv_timeout(POLL) {
                Ok(Line::Event(event)) => {
                    last = Instant::now();
                    on_event(event);
                }
                Ok(Line::Reply(Reply::Failed { cause, by_cutting: true })) => {
                    return Err(Failure::Cut(cause));
                }
                Ok(Line::Reply(Reply::Failed { cause, .. })) => return Err(Failure::Task(cause)),
                Ok(Line::Reply(reply)) => return Ok(reply),
                Err(RecvTimeoutError::Timeout) if last.elapsed() < PATIENCE => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.end();
                    let minutes = PATIENCE.as_secs() / 60;
                    return Err(Failure::Task(format!("no progress for {minutes} minutes")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // Ctrl-C also ends the workers, perhaps before this process handles it.
                    thread::sleep(POLL);
                    if !stop::is_requested() {
                        return Err(Failure::Crash(self.exit_cause()));
                    }
                }
            }
        }
    }

    fn exit_cause(&mut self) -> String {
        self.has_ended = true;
        // A worker that has only closed its output would never exit.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => format!("its worker process exited unexpectedly ({status})"),
            Err(error) => error.to_string(),
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}
