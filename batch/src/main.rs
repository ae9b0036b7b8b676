// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cyclegan-batch`: translates whole libraries of video with `cycleganfilter`, on one machine or many.

mod config;
mod container;
mod destination;
mod encoding;
mod entry;
mod events;
mod files;
mod generate;
mod hardware;
mod inputs;
mod item;
mod kind;
mod lock;
mod options;
mod picture;
mod pool;
mod protocol;
mod queue;
mod report;
mod run;
mod scheduler;
mod sequence;
mod shard;
mod status;
mod stop;
mod stream;
mod text;
mod tracks;
mod worker;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    let argument = |i: usize| arguments.get(i).and_then(|argument| argument.to_str());
    let code = match argument(1) {
        Some(protocol::ARGUMENT) => Ok(worker::run()),
        Some(generate::ARGUMENT) => {
            generate::run(argument(2).unwrap_or_default()).map(|()| ExitCode::SUCCESS)
        }
        _ => config::options(&arguments).and_then(|options| run::run(&options)),
    };
    code.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
