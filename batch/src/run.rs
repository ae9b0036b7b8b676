// SPDX-License-Identifier: MIT OR Apache-2.0

//! A run: finds the files, has workers translate them and reports the results.

use std::{env, fs, process::ExitCode};

use anyhow::{Result, ensure};

use crate::{
    destination::Destination,
    entry::{hash_of_model, lock},
    events::Events,
    files::create_folder,
    inputs::{Finder, Found, OWN_FOLDER},
    options::{Options, threads},
    pool::Worker,
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
    if let Some(stream) = Stream::new(options)? {
        return stream.run(options);
    }
    let destination = Destination::new(options)?;
    let out = &destination.folder;
    if let Some(report) = &options.report {
        report::check(report)?;
    }
    if options.status {
        return status(options, &destination);
    }
    let Found { items: found, skipped } = Finder::new(options, &destination)?.find()?;
    if !options.dry_run {
        create_folder(out)?;
    }
    let sharding = match options.shard {
        Some(sharding) => Some(sharding),
        None => Shard::of_environment(|name| env::var(name).ok())?.map(Sharding::Fixed),
    };
    let (mut items, mut since) = (found.clone(), None);
    match sharding {
        Some(Sharding::Fixed(shard)) => items.retain(|item| shard.holds(&item.relative)),
        Some(Sharding::Auto) if !options.dry_run => since = Some(lock::start_of_run(out)?),
        _ => {}
    }
    let mut setup = Setup::new(options, threads(options.jobs()));
    // Errors of the generator are reported before any file is touched.
    let first = match Worker::start(&setup) {
        Err(_) if stop::is_requested() => return Ok(ExitCode::from(stop::EXIT_CODE)),
        started => started?,
    };
    let model = hash_of_model(&first.model)?;

    let bytes = items.iter().filter_map(|item| Some(fs::metadata(&item.input).ok()?.len())).sum();
    let events = Events::new(options.json, items.len(), bytes);
    let share = match sharding {
        Some(Sharding::Fixed(shard)) => Some(shard.to_string()),
        _ => None,
    };
    events.begin(share, found.len(), Some(&first.provider));
    skipped.iter().for_each(|(path, cause)| events.notice(path, cause));
    let jobs = options.jobs_with(&first.provider);
    // A GPU has fewer workers, each with more of the cores.
    let first = Some(first).filter(|_| threads(jobs) == setup.threads);
    setup.threads = threads(jobs);
    Scheduler::new(options, out, setup, &items, &model, &events, since).run(first, jobs);
    let counts = events.summary();
    let report = options.report.as_ref().filter(|_| !options.dry_run);
    let reported = report.map_or(Ok(()), |path| report::write(path, out, &found));
    if let Err(error) = &reported {
        events.warn(&format!("{error:#}"));
    }
    Ok(if stop::is_requested() {
        ExitCode::from(stop::EXIT_CODE)
    } else if counts.failed > 0 || reported.is_err() || (counts.elsewhere > 0 && since.is_none()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints the state of the output folder, of the inputs if there are any.
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
        report::write(report, out, &items)?;
    }
    status::print(out, &items, options.json);
    Ok(ExitCode::SUCCESS)
}
