// SPDX-License-Identifier: MIT OR Apache-2.0

//! A worker: a process that does one task after another.

mod asked;
mod branch;
mod fault;
mod join;
mod keyframes;
mod look;
mod muxer;
mod piece;
mod playing;
pub mod protocol;
mod source;
mod span;
mod still;
mod strip;
mod subtitles;
mod tracks;
mod translate;

use std::{
    ffi::OsString,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::{ExitCode, exit},
    sync::mpsc,
    thread,
};

use anyhow::{Context, Result};
use gst::prelude::*;

use fault::{CutFault, one_line};
use protocol::{Reply, Setup, Task};
use translate::{Outcome, Translation};

/// Reads a set-up and tasks from standard input and replies on standard output, to its end.
pub fn run() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&failed(&error));
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<()> {
    gst::init().context("GStreamer")?;
    let lines = read_lines();
    let Ok(setup) = lines.recv() else { return Ok(()) };
    let setup: Setup = serde_json::from_str(&setup)?;
    asked::check_encoders(&setup)?;
    // Kept for as long as the worker lives, so that its generator is loaded once.
    let filter = ready_filter(&setup)?;
    say(&Reply::Ready {
        model: filter.property::<Option<PathBuf>>("active-model").unwrap_or_default().into(),
        provider: filter.property::<Option<String>>("active-provider").unwrap_or_default(),
    });
    let smoothing = filter.property::<f64>("smoothing");
    while let Ok(line) = lines.recv() {
        let task = serde_json::from_str(&line)?;
        let reply = perform(task, &setup, smoothing).unwrap_or_else(|error| failed(&error));
        say(&reply);
    }
    let _ = filter.set_state(gst::State::Null);
    Ok(())
}

/// The lines of standard input. When it ends the program that would take the results is gone.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_err() || line.is_ok_and(|line| sender.send(line).is_err()) {
                break;
            }
        }
        exit(0);
    });
    receiver
}

/// The filter with its generator loaded.
fn ready_filter(setup: &Setup) -> Result<gst::Element> {
    let filter = asked::filter(setup)?;
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    if filter.set_state(gst::State::Ready).is_err() {
        let said = bus.pop_filtered(&[gst::MessageType::Error]);
        let cause = match said.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => one_line(error.error().message()),
            _ => "the filter does not start".to_owned(),
        };
        anyhow::bail!(cause);
    }
    Ok(filter)
}

fn perform(task: Task, setup: &Setup, smoothing: f64) -> Result<Reply> {
    let mut tell = |reply: Reply| say(&reply);
    let frames = match &task {
        Task::Video { input, output, container, may_cut } => {
            let translation = translation(setup, input, output, *container);
            match translation.run(*may_cut, smoothing, &mut tell)? {
                Outcome::Whole(frames) => frames,
                Outcome::Cut(spans) => return Ok(Reply::Cut { spans }),
            }
        }
        Task::Piece { input, output, container, span } => {
            let (input, output) = (Path::new(input), Path::new(output));
            piece::translate(setup, input, output, *container, span, &mut tell)?
        }
        Task::Join { input, output, container, pieces } => {
            translation(setup, input, output, *container).join(pieces, &mut tell)?;
            0
        }
        Task::Picture { input, output, format } => {
            still::translate(setup, Path::new(input), Path::new(output), *format, &mut tell)?
        }
        Task::Strip { input, output } => {
            let html = strip::before_and_after(Path::new(input), Path::new(output))?;
            return Ok(Reply::Strip { html });
        }
    };
    Ok(Reply::Done { frames })
}

fn translation<'a>(
    setup: &'a Setup,
    input: &'a OsString,
    output: &'a OsString,
    container: crate::container::Container,
) -> Translation<'a> {
    Translation { setup, input: Path::new(input), output: Path::new(output), container }
}

fn failed(error: &anyhow::Error) -> Reply {
    let by_cutting = error.downcast_ref::<CutFault>().is_some();
    Reply::Failed { cause: one_line(&format!("{error:#}")), by_cutting }
}

fn say(reply: &Reply) {
    let mut out = io::stdout().lock();
    let line = serde_json::to_string(reply);
    // Nobody is left to be told when this fails.
    let _ = line.map(|line| writeln!(out, "{line}").and_then(|()| out.flush()));
}
