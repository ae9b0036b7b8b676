// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `train` command: the training loop.

mod clock;
mod course;
mod models;
mod opening;
mod output;
mod plan;
mod session;

use std::{
    fs,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::atomic::AtomicBool,
};

use anyhow::{Context, Result};
use clap::{ArgMatches, Args};

use crate::{
    checkpoint::{self, Checkpoint},
    compress::{self, Student},
    cyclegan::distill::DistillOptions,
    data::sampler::Plan,
    export, interrupt,
    options::TrainOptions,
    panics::catch_panics,
    ranks::{Launch, Ranks},
    recipe,
    run_folder::{Config, RunFolder},
};
use models::{initial_model, resumed};
use opening::opened;
use session::Session;

/// The folder of the student of a recipe within its run.
const STUDENT: &str = "student";

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Data set: a folder with trainA and trainB, and optionally testA, testB, valA, valB, trainA_mask and
    /// trainB_mask [with --resume: the run's own, with --recipe: its `data`]
    #[arg(long, required_unless_present_any = ["resume", "recipe"])]
    pub data: Option<PathBuf>,
    /// Folder of the run [with --recipe: its `out`]
    #[arg(long, required_unless_present = "recipe")]
    pub out: Option<PathBuf>,
    /// Train in the stages of a recipe file; options given here replace the recipe's in all stages
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Continue the run in --out from its newest checkpoint; options given here replace the run's
    /// own
    #[arg(long)]
    pub resume: bool,
    /// Start with the generators of a folder that `export` wrote, G.onnx and F.onnx; the
    /// discriminators start from random weights
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    #[command(flatten)]
    options: TrainOptions,
    /// For a run of `compress`
    #[command(flatten)]
    distill: DistillOptions,
}

/// Trains a pair of generators.
pub fn run(args: TrainArgs, matches: &ArgMatches) -> Result<()> {
    let launch = Launch::join()?;
    let ranks = launch.ranks();
    let result = catch_panics(|| {
        let (run, config, newest) = opened(args, matches, ranks.rank())?;
        all_stages(&run, config, ranks, newest).map_err(|error| with_advice(error, &run))
    });
    launch.end(result)
}

/// Trains the stages of a run one after another, or a run without stages; each stage continues from the
/// checkpoint of the previous one.
fn all_stages(
    run: &RunFolder,
    mut config: Config,
    mut ranks: Ranks,
    mut newest: Option<Checkpoint>,
) -> Result<()> {
    let stop = interrupt::flag()?;
    loop {
        let first = ranks.rank() == 0;
        let stage = config.stage();
        if let (Some(i), true) = (stage, first) {
            say!("stage {} of {}: {}", i + 1, config.stages.len(), config.stages[i].name);
        }
        let mut session =
            Session::start(run.clone(), &config, ranks, |plan, device| match newest {
                Some(newest) => resumed(newest, &config.train, plan, device),
                None => Ok(initial_model(&config, device)?.into()),
            })?;
        session.train(&stop)?;
        let is_over = session.is_over();
        let next = stage.map(|i| i + 1).filter(|&i| i < config.stages.len());
        match next.filter(|_| is_over) {
            Some(i) => {
                if first {
                    export::write_pair(run, &run.stage(i - 1))?;
                }
                config.begin_stage(i, session.now());
            }
            None if is_over && first => return finish(run, &config, &stop),
            None => return Ok(()),
        }
        ranks = session.model.ranks;
        // Rank 0 has written the checkpoint before the others look for it.
        ranks.any(false);
        newest = Some(Checkpoint::newest(&run.checkpoints())?);
    }
}

/// Runs the recipe's `compress` and `export`.
fn finish(run: &RunFolder, config: &Config, stop: &AtomicBool) -> Result<()> {
    let mut last = run.clone();
    if let Some(arguments) = &config.compress {
        last = RunFolder::new(&run.join(STUDENT));
        let mut session = if checkpoint::list(&last.checkpoints())?.is_empty() {
            // One that ended before its first checkpoint starts again.
            if last.path().exists() {
                fs::remove_dir_all(last.path())
                    .with_context(|| last.path().display().to_string())?;
            }
            say!("student of the last stage");
            let (args, matches) = recipe::compress_args(arguments, &run.join(""), &last.join(""))?;
            Session::of_student(compress::prepare(args, &matches)?)?
        } else {
            say!("student, continued");
            let config = last.config()?;
            let newest = Checkpoint::newest(&last.checkpoints())?;
            let resume = |plan: &Plan, device| resumed(newest, &config.train, plan, device);
            Session::start(last.clone(), &config, Ranks::default(), resume)?
        };
        session.train(stop)?;
        if !session.is_over() {
            return Ok(());
        }
    }
    let Some(arguments) = &config.export else {
        return Ok(());
    };
    let of = |of: &RunFolder| recipe::export_args(arguments, &of.join(""), &run.join("export"));
    // A student of one generator replaces that generator. The other is the teacher's, and only it can be averaged: the
    // student's architecture differs from that of `average-with`.
    match config.compress {
        Some(_) => export::run_all(&[of(run)?, of(&last)?.without_average()]),
        None => export::run(&of(run)?),
    }
}

/// Trains a student of `compress`.
pub fn student(student: Student) -> Result<()> {
    let stop = interrupt::flag()?;
    let run = student.run.clone();
    Session::of_student(student)?.train(&stop).map_err(|error| with_advice(error, &run))
}

/// Says how to continue a run that has ended because the disk is full.
fn with_advice(error: anyhow::Error, run: &RunFolder) -> anyhow::Error {
    let is_full =
        error.chain().filter_map(|cause| cause.downcast_ref()).any(|error: &io::Error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            )
        });
    if !is_full {
        return error;
    }
    let path = run.path().display();
    let next = match checkpoint::list(&run.checkpoints()) {
        Ok(found) if !found.is_empty() => format!("`train --resume --out {path}` continues"),
        _ => format!("delete {path} and start again, as it has no checkpoint"),
    };
    error.context(format!("no space is left; free some, then {next}"))
}
