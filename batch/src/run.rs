// SPDX-License-Identifier: MIT OR Apache-2.0

//! A run: finds the files, has workers translate them and reports the results.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{ExitCode, exit},
    sync::atomic::Ordering,
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    destination::Destination,
    entry::hash_of_model,
    events::Events,
    inputs::{Finder, Item, describe},
    options::Options,
    pool::{STOP, Worker},
    report,
    scheduler::Scheduler,
    shard::Shard,
    worker::protocol::Setup,
};

/// Conventional exit code of a program that was ended by Ctrl-C.
const STOPPED: u8 = 130;

/// Runs the command line. Fails if nothing could be started.
pub fn run(options: &Options) -> Result<ExitCode> {
    stop_on_ctrl_c()?;
    let destination = Destination::new(options)?;
    let (items, found, shard) = items(options, &destination)?;
    let out = &destination.folder;
    if !options.dry_run {
        fs::create_dir_all(out)
            .map_err(|e| anyhow!("cannot create {}: {}", out.display(), describe(&e)))?;
    }
    // Fails now instead of after hours of work.
    if let Some(report) = &options.report {
        ensure!(!report.is_dir(), "--report {}: a folder, expected a file", report.display());
        let folder = report.parent().unwrap_or(report);
        fs::create_dir_all(folder)
            .map_err(|e| anyhow!("cannot create {}: {}", folder.display(), describe(&e)))?;
    }
    let setup = Setup {
        recipe: options.recipe(),
        threads: options.threads(),
        piece: (options.piece * 1e9) as u64,
        provider: options.provider.clone(),
        device: options.device.first().copied(),
        verify: options.verify,
    };
    // Errors of the generator are reported before any file is touched.
    let first = Worker::start(&setup)?;
    let model = hash_of_model(first.model.as_ref())?;

    let bytes = items.iter().filter_map(|item| Some(fs::metadata(&item.input).ok()?.len())).sum();
    let events = Events::new(options.json, items.len(), bytes);
    events.begin(shard.map(|shard| shard.to_string()), found, &first.provider);
    let scheduler = Scheduler::new(options, out, setup, &items, &model, &events);
    let jobs = (options.jobs_with(&first.provider) as usize).min(scheduler.most_jobs());
    let jobs = jobs.max(1);
    scheduler.expect(jobs);
    thread::scope(|scope| {
        let mut first = Some(first);
        for thread in 0..jobs {
            let (worker, scheduler) = (first.take(), &scheduler);
            scope.spawn(move || scheduler.work(worker, thread));
        }
    });
    let counts = events.summary();
    let report = options.report.as_ref().filter(|_| !options.dry_run);
    let reported = report.map_or(Ok(()), |path| {
        report::write(&of_share(path, shard), &items, &scheduler.outcomes(), options)
    });
    if let Err(error) = &reported {
        events.warn(&format!("{error:#}"));
    }
    Ok(if STOP.load(Ordering::Relaxed) {
        ExitCode::from(STOPPED)
    } else if counts.failed > 0 || reported.is_err() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The report of a share: `report.html` of the second of four is `report-2-of-4.html`.
fn of_share(report: &Path, shard: Option<Shard>) -> PathBuf {
    let Some(shard) = shard else { return report.to_owned() };
    let stem = report.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{}", shard.to_string().replace('/', "-of-"));
    let extension = report.extension().unwrap_or_default();
    report.with_file_name(name).with_added_extension(extension)
}

/// The files of this share, the number of all files, and the share.
fn items(
    options: &Options,
    destination: &Destination,
) -> Result<(Vec<Item>, usize, Option<Shard>)> {
    let shard = match options.shard {
        Some(shard) => Some(shard),
        None => Shard::of_environment(|name| env::var(name).ok())?,
    };
    let finder = Finder::new(options, destination)?;
    let mut items = finder.find(&options.inputs)?;
    let found = items.len();
    if let Some(shard) = shard {
        items.retain(|item| shard.holds(&item.relative));
    }
    Ok((items, found, shard))
}

/// The first Ctrl-C stops the run, the second ends the program.
fn stop_on_ctrl_c() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            exit(i32::from(STOPPED));
        }
    })
    .context("cannot handle Ctrl-C")
}
