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

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    protocol::{ARGUMENT, Reply, Setup, Task},
    stop,
};

/// How long a task may go without progress. Writing the index to the front of a large file takes a while, and so
/// does building a GPU engine for the first frame.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest delay until a request to stop takes effect.
pub const POLL: Duration = Duration::from_millis(100);

pub struct Worker {
    child: Child,
    tasks: ChildStdin,
    replies: Receiver<Reply>,
    /// The file of its generator.
    pub model: PathBuf,
    pub provider: String,
}

/// How a task ended.
#[derive(Debug)]
pub enum TaskResult {
    Reply(Reply),
    /// The worker has exited and must be restarted.
    Crashed(String),
    /// No progress for too long; the worker was killed.
    Stalled(String),
}

impl Worker {
    /// Starts a worker and waits until it has loaded the generator.
    pub fn start(setup: &Setup) -> Result<Self> {
        let mut child = Command::new(env::current_exe().context("cannot find this program")?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker")?;
        let (tasks, output) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        let (sender, replies) = mpsc::channel();
        thread::spawn(move || {
            // Libraries may also write text to standard output, in any encoding.
            let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
            for reply in lines.filter_map(|line| serde_json::from_slice(&line).ok()) {
                if sender.send(reply).is_err() {
                    break;
                }
            }
        });
        let mut worker =
            Self { child, tasks, replies, model: PathBuf::new(), provider: String::new() };
        worker.send(serde_json::to_string(setup)?);
        match worker.wait(&mut |_| {})? {
            TaskResult::Reply(Reply::Ready { model, provider }) => {
                (worker.model, worker.provider) = (model.into(), provider);
                Ok(worker)
            }
            TaskResult::Reply(Reply::Failed { cause, .. })
            | TaskResult::Crashed(cause)
            | TaskResult::Stalled(cause) => bail!(cause),
            TaskResult::Reply(other) => bail!("unexpected first reply of a worker: {other:?}"),
        }
    }

    /// Runs a task; `on_reply` gets every reply but the last. Fails if the program should stop.
    pub fn perform(&mut self, task: &Task, on_reply: &mut dyn FnMut(Reply)) -> Result<TaskResult> {
        self.send(serde_json::to_string(task)?);
        self.wait(on_reply)
    }

    fn send(&mut self, line: String) {
        // `wait` notices a worker that has exited.
        let _ = writeln!(self.tasks, "{line}").and_then(|()| self.tasks.flush());
    }

    fn wait(&mut self, on_reply: &mut dyn FnMut(Reply)) -> Result<TaskResult> {
        let mut last = Instant::now();
        loop {
            if stop::is_requested() {
                self.end();
                return Err(anyhow!("stopped"));
            }
            match self.replies.recv_timeout(POLL) {
                Ok(reply @ (Reply::Progress { .. } | Reply::Notice { .. })) => {
                    last = Instant::now();
                    on_reply(reply);
                }
                Ok(reply) => return Ok(TaskResult::Reply(reply)),
                Err(RecvTimeoutError::Timeout) if last.elapsed() < PATIENCE => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.end();
                    let minutes = PATIENCE.as_secs() / 60;
                    return Ok(TaskResult::Stalled(format!("no progress for {minutes} minutes")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // Ctrl-C also ends the workers, perhaps before this process handles it.
                    thread::sleep(POLL);
                    if !stop::is_requested() {
                        // A worker that has only closed its output would never exit.
                        let _ = self.child.kill();
                        return Ok(TaskResult::Crashed(self.exit_cause()));
                    }
                }
            }
        }
    }

    fn exit_cause(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("its worker process exited unexpectedly ({status})"),
            Err(error) => error.to_string(),
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}
