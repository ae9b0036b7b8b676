// SPDX-License-Identifier: MIT OR Apache-2.0

//! A worker: a process that runs one task after another.
//!
//! Each module uses only those before it: [`elements`], [`pads`] and [`pipeline`] help with GStreamer; [`repairs`] and
//! [`hdr`] correct and convert what elements output; [`containers`] and [`picture`] know the formats of files; [`probe`]
//! finds what is in a file; [`muxer`] and [`mux`] write an output; [`segment`] translates; [`stream`] translates what is
//! not a file, and [`thumbnails`] are for the report.

mod containers;
mod elements;
mod hdr;
mod mux;
mod muxer;
mod pads;
mod picture;
mod pipeline;
mod probe;
mod repairs;
mod segment;
pub mod stream;
mod thumbnails;

use std::{
    fs::File,
    io::{self, BufRead, Write},
    path::PathBuf,
    process::{ExitCode, exit},
    sync::mpsc,
    thread,
};

use anyhow::{Result, anyhow};
use gst::prelude::*;
use serde::Serialize;

use elements::filter;
use mux::Mux;
use muxer::Muxer;
use pipeline::fault::{CutFault, one_line};
use probe::keyframes;
use segment::{Job, plan};

use crate::{
    encoding::Encoding,
    files::unreadable,
    protocol::{Action, Event, Reply, Setup, Task},
};

/// Reads the setup and tasks from standard input, and replies on standard output, until standard input ends.
pub fn run() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            write(&failed(&error));
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<()> {
    pipeline::init()?;
    let lines = read_lines();
    let Ok(setup) = lines.recv() else { return Ok(()) };
    let setup: Setup = serde_json::from_str(&setup)?;
    filter::check_encoders(&setup)?;
    if let Some(container) = setup.recipe.container {
        Muxer::new(container)?.check_video(&Encoding::new(&setup.recipe, container, 1), None)?;
    }
    // Kept for the lifetime of the worker, so that its generator is loaded only once.
    let filter = ready_filter(&setup)?;
    write(&Reply::Ready {
        model: filter.property::<Option<PathBuf>>("active-model").unwrap_or_default().into(),
        provider: filter.property::<Option<String>>("active-provider").unwrap_or_default(),
    });
    let smoothing = filter.property::<f64>("smoothing");
    while let Ok(line) = lines.recv() {
        let task: Task = serde_json::from_str(&line)?;
        let reply = perform(&task, &setup, smoothing).unwrap_or_else(|error| {
            // If the file has vanished meanwhile, that explains any other error.
            let input = task.input.as_ref();
            let vanished = File::open(input).err().map(|cause| anyhow!(unreadable(input, &cause)));
            failed(&vanished.unwrap_or(error))
        });
        write(&reply);
    }
    let _ = filter.set_state(gst::State::Null);
    Ok(())
}

/// The lines of standard input. When it ends, the parent program has exited.
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
    let filter = filter::filter(setup)?;
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    if filter.set_state(gst::State::Ready).is_err() {
        let message = bus.pop_filtered(&[gst::MessageType::Error]);
        let cause = match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => one_line(error.error().message()),
            _ => "the filter does not start".to_owned(),
        };
        anyhow::bail!(cause);
    }
    Ok(filter)
}

fn perform(task: &Task, setup: &Setup, smoothing: f64) -> Result<Reply> {
    let report = &mut |event: Event| write(&event);
    let input = task.input.as_ref();
    let frames = match &task.action {
        &Action::Probe { container, may_cut, sample } => {
            let lead = keyframes::lead_in(smoothing);
            return plan::Job { setup, input, container, may_cut, sample, lead }.plan(report);
        }
        Action::Segment { output, container, span } => {
            let output = output.as_ref();
            let job = Job { setup, input, output, container: *container, span };
            let (frames, first) = job.run(report)?;
            return Ok(Reply::Segment { frames, first });
        }
        Action::Mux { output, container, segments } => {
            let output = output.as_ref();
            Mux { setup, input, output, container: *container, segments }.run(report)?
        }
        Action::Picture { output, format } => {
            picture::translate(setup, input, output.as_ref(), *format, report)?
        }
        Action::Thumbnails { output, start } => {
            let html = thumbnails::before_and_after(input, output.as_ref(), *start)?;
            return Ok(Reply::Thumbnails { html });
        }
    };
    Ok(Reply::Done { frames })
}

fn failed(error: &anyhow::Error) -> Reply {
    let by_cutting = error.downcast_ref::<CutFault>().is_some();
    Reply::Failed { cause: one_line(&format!("{error:#}")), by_cutting }
}

/// Writes a line to the program.
fn write(line: &impl Serialize) {
    let mut out = io::stdout().lock();
    let line = serde_json::to_string(line);
    // The newline ends any text that libraries write there. If this fails, the parent has exited.
    let _ = line.map(|line| writeln!(out, "\n{line}").and_then(|()| out.flush()));
}
