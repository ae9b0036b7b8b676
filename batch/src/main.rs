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
mod worker;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|argument| argument == protocol::ARGUMENT) {
        return worker::run();
    }
    if env::args_os().nth(1).is_some_and(|argument| argument == generate::ARGUMENT) {
        return match generate::run(env::args().nth(2).as_deref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    let arguments: Vec<_> = env::args_os().collect();
    let ran = config::options(&arguments).and_then(|options| run::run(&options));
    ran.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(2)
}
