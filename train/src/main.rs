// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cyclegan-train`: generator pairs for `cycleganfilter` from two folders of unpaired frames.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cyclegan_train::{
    check, compress, eval, export, extract,
    interrupt::{EXIT_CODE, Interrupted},
    masks,
    panics::catch_panics,
    say_error, train,
};

/// Trains the generator pairs of cycleganfilter from two folders of unpaired frames
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the frames of videos that are worth training on
    Extract(extract::ExtractArgs),
    /// Inspect a data set: what training skips, what harms it, and what to do
    Check(check::CheckArgs),
    /// Write trainA_mask and trainB_mask, with a segmentation network or by colour
    Masks(masks::MasksArgs),
    /// Train a pair of generators, or continue a run
    #[command(args_override_self = true)]
    Train(Box<train::TrainArgs>),
    /// Train a smaller pair that learns from a larger generator
    #[command(args_override_self = true)]
    Compress(Box<compress::CompressArgs>),
    /// Export the generators of a run as G.onnx and F.onnx
    Export(export::ExportArgs),
    /// Score generators: KID, target class, cycle error, change, flicker
    Eval(Box<eval::EvalArgs>),
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = catch_panics(|| match (cli.command, matches.subcommand()) {
        (Command::Train(args), Some((_, matches))) => train::run(*args, matches),
        (Command::Compress(args), Some((_, matches))) => {
            train::student(compress::prepare(*args, matches)?)
        }
        (Command::Extract(args), _) => extract::run(&args),
        (Command::Check(args), _) => check::run(&args),
        (Command::Masks(args), _) => masks::run(&args),
        (Command::Export(args), _) => export::run(&args),
        (Command::Eval(args), _) => eval::run(&args),
        (Command::Train(_) | Command::Compress(_), None) => {
            unreachable!("clap has matched a command")
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(EXIT_CODE),
        Err(error) => {
            say_error!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
