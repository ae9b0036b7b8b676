// SPDX-License-Identifier: MIT OR Apache-2.0

//! A run: finds the files, lets workers translate them and reports the results.

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Result, bail, ensure};

use crate::{
    destination::Destination,
    entry::{OWN_FOLDER, hash_of_model, lock},
    events::Events,
    files::create_folder,
    inputs::{Finder, Found},
    item::Item,
    options::{Options, Preset, threads},
    pool::{Failure, Worker},
    protocol::Setup,
    report,
    scheduler::Scheduler,
    shard::{Shard, Sharding},
    status, stop,
    stream::Stream,
};

/// Runs the command line. Fails if nothing could be started.
pub fn run(options: &Options) -> Result<ExitCode> {
    stop::on_ctrl_c()?;
    check(options)?;
    if let Some(stream) = Stream::new(options)? {
        return stream.run(options);
    }
    let destination = Destination::new(options)?;
    if options.status {
        return status(options, &destination);
    }
    if let Some(report) = &options.report {
        report::check(report, options.dry_run)?;
    }
    translate(options, &destination)
}

/// Fails if options contradict each other.
fn check(options: &Options) -> Result<()> {
    let recipe = &options.recipe;
    let is_cpu = options.provider.as_deref() == Some("cpu");
    ensure!(options.device.is_empty() || !is_cpu, "--device: --provider cpu has no devices");
    if let (Some(start), Some(end)) = (recipe.start, recipe.end) {
        ensure!(start < end, "--end {end}: expected a time after --start {start}");
    }
    for (option, is_given) in [("crf", recipe.crf.is_some()), ("speed", recipe.speed.is_some())] {
        if let Some(element) = recipe.encoder_element().filter(|_| is_given) {
            bail!(
                "--{option}: has no effect on --video-encoder '{element}'; set its properties there"
            );
        }
        let is_prores = recipe.preset == Preset::Prores;
        ensure!(!(is_given && is_prores), "--{option}: --preset prores has no such setting");
    }
    Ok(())
}

/// Translates the inputs, or this machine's share of them.
fn translate(options: &Options, destination: &Destination) -> Result<ExitCode> {
    let out = &destination.folder;
    let Found { items: found, skipped } = Finder::new(options, destination)?.find()?;
    if !options.dry_run {
        create_folder(out)?;
    }
    let sharding = match options.shard {
        Some(sharding) => Some(sharding),
        None => Shard::of_environment(|name| env::var(name).ok())?.map(Sharding::Fixed),
    };
    let (mut items, mut share, mut since) = (found.clone(), None, None);
    match sharding {
        Some(Sharding::Fixed(shard)) => {
            items.retain(|item| shard.holds(&item.relative));
            share = Some(shard.to_string());
        }
        Some(Sharding::Auto) if !options.dry_run => since = Some(lock::start_of_run(out)?),
        _ => {}
    }
    let mut setup = Setup::new(options, threads(options.jobs()));
    // Errors of the generator are reported before any file is touched.
    let first = match Worker::start(&setup) {
        Err(Failure::Stopped) => return Ok(ExitCode::from(stop::EXIT_CODE)),
        started => started?,
    };
    let model = hash_of_model(&first.model)?;

    let bytes = items.iter().filter_map(|item| Some(fs::metadata(&item.input).ok()?.len())).sum();
    let events = Events::new(options.json, items.len(), bytes);
    events.begin(share, found.len(), Some(&first.provider));
    skipped.iter().for_each(|(path, cause)| events.notice(path, cause));
    let jobs = options.jobs_with(&first.provider);
    // On a GPU there are fewer workers, each with more of the cores.
    let first = Some(first).filter(|_| threads(jobs) == setup.threads);
    setup.threads = threads(jobs);
    Scheduler::new(options, out, setup, &items, &model, &events, since).run(first, jobs);
    let counts = events.summary();
    let is_reported = options.dry_run || write_report(options, out, &found, &events);
    Ok(if stop::is_requested() {
        ExitCode::from(stop::EXIT_CODE)
    } else if counts.failed > 0 || !is_reported || (counts.elsewhere > 0 && since.is_none()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Writes the report, if one is asked for; returns whether that succeeds.
fn write_report(options: &Options, out: &Path, found: &[Item], events: &Events) -> bool {
    let report = options.report.as_ref();
    let written = report.map_or(Ok(()), |path| report::write(path, out, found));
    written.inspect_err(|error| events.warn(&format!("{error:#}"))).is_ok()
}

/// Prints the state of the output folder, and of the inputs if there are any.
fn status(options: &Options, destination: &Destination) -> Result<ExitCode> {
    let out = &destination.folder;
    ensure!(
        out.join(OWN_FOLDER).is_dir(),
        "{}: no records of cyclegan-batch here; name the folder that --out named",
        out.display()
    );
    let items = match options.inputs.is_empty() {
        true => Vec::new(),
        false => Finder::new(options, destination)?.find()?.items,
    };
    if let Some(report) = &options.report {
        report::check(report, false)?;
        report::write(report, out, &items)?;
    }
    status::print(out, &items, options.json)?;
    Ok(ExitCode::SUCCESS)
}
