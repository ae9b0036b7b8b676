// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opens a run by the command line and a recipe.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail, ensure};
use clap::{ArgMatches, parser::ValueSource};

use super::TrainArgs;
use crate::{
    checkpoint::Checkpoint,
    compress,
    net::build::Norm,
    onnx_generator,
    options::{TrainOptions, first_given, is_given},
    ranks::launched,
    recipe::{Recipe, place},
    run_folder::{Began, Config, RunFolder},
};

/// A run, its configuration at its current stage, and the checkpoint with which it continues.
type Opened = (RunFolder, Config, Option<Checkpoint>);

/// The run of the arguments for process `rank`.
pub fn opened(args: TrainArgs, matches: &ArgMatches, rank: usize) -> Result<Opened> {
    let recipe = args.recipe.as_deref().map(Recipe::read).transpose()?;
    let named = recipe.as_ref().and_then(|recipe| recipe.out.clone());
    let out = args.out.clone().or(named);
    let out = out.context("no folder for the run, expected --out, or `out` in the recipe")?;
    let file = args.recipe.clone().unwrap_or_else(|| out.join("config.toml"));
    let (run, mut config, newest) = match args.resume {
        true => resumed(&args, matches, recipe, &out, rank)?,
        false => fresh(args, matches, recipe, &out, rank)?,
    };
    ensure!(
        config.compress.is_none() || launched() == 1,
        "mpirun started {} processes, expected one: the recipe has a student, [compress]",
        launched()
    );
    for (i, stage) in config.stages.iter().enumerate() {
        let checked = stage.train.check_losses([false; 2]).with_context(|| place(i, &stage.name));
        checked.with_context(|| file.display().to_string())?;
    }
    if let (Some(arguments), Some(last)) = (&config.compress, config.stages.last()) {
        // The student begins after the last stage, perhaps hours from now.
        let checked = compress::check_student(&last.train, arguments).context("[compress]");
        checked.with_context(|| file.display().to_string())?;
    }
    if !config.stages.is_empty() {
        // The pair is written with it after each stage, perhaps hours from now.
        onnx_generator::runtime()?;
        for (option, id) in [("--max-images", "max_images"), ("--max-minutes", "max_minutes")] {
            ensure!(
                matches.value_source(id) != Some(ValueSource::CommandLine),
                "{option}: the stages of a recipe have lengths of their own, set `images` or `minutes` there"
            );
        }
        if config.stage().is_none() {
            config.begin_stage(0, Began::default());
        }
    }
    Ok((run, config, newest))
}

fn resumed(
    args: &TrainArgs,
    matches: &ArgMatches,
    recipe: Option<Recipe>,
    out: &Path,
    rank: usize,
) -> Result<Opened> {
    let run = RunFolder::open(out)?;
    if rank == 0 {
        run.lock()?;
    }
    let mut config = run.config()?;
    if let Some(recipe) = recipe {
        ensure!(
            !config.stages.is_empty(),
            "{}: the run was started without a recipe, expected --resume without --recipe",
            out.display()
        );
        let begun = config.stages[0].train.clone();
        config.stages.truncate(recipe.stages.len());
        for (i, mut stage) in recipe.stages.into_iter().enumerate() {
            if config.init_from.is_some() {
                same_generators(&mut stage.train, &begun);
            }
            set_defaults_of_fast(&mut stage.train, &stage.given, matches);
            stage.began = config.stages.get(i).and_then(|known| known.began);
            match config.stages.get_mut(i) {
                Some(known) => *known = stage,
                None => config.stages.push(stage),
            }
        }
        config.data = recipe.data.unwrap_or(config.data);
        (config.compress, config.export) = (recipe.compress, recipe.export);
    }
    let newest = Checkpoint::newest(&run.checkpoints())?;
    if !config.stages.is_empty() {
        config.back_to(newest.images().unwrap_or_default());
    }
    if let (None, Some(option)) = (&config.distill, first_given(&args.distill, matches)?) {
        bail!("{option}: this run has no teacher, expected a run of `compress`");
    }
    config.distill = config.distill.map(|d| d.overridden(&args.distill, matches)).transpose()?;
    config.data = std::path::absolute(args.data.as_ref().unwrap_or(&config.data))?;
    let old = config.train.generator(0).norm;
    override_options(&mut config, &args.options, matches)?;
    let new = config.train.generator(0).norm;
    ensure!(
        old.may_become(new),
        "--norm {}: the generators of this run were trained with --norm {}, expected the same; only instance \
         can become frozen",
        new.name(),
        old.name()
    );
    Ok((run, config, Some(newest)))
}

fn fresh(
    args: TrainArgs,
    matches: &ArgMatches,
    recipe: Option<Recipe>,
    out: &Path,
    rank: usize,
) -> Result<Opened> {
    let recipe = recipe.unwrap_or_default();
    let data = args.data.or(recipe.data).context("--data is missing")?;
    if let Some(option) = first_given(&args.distill, matches)? {
        bail!("{option} needs a teacher: start with `compress`, or continue its run with --resume");
    }
    let init_from = args.init_from.or(recipe.init_from).map(std::path::absolute).transpose()?;
    let mut config = Config {
        init_from,
        stages: recipe.stages,
        compress: recipe.compress,
        export: recipe.export,
        ..Config::new(std::path::absolute(data)?, args.options.clone())
    };
    override_options(&mut config, &args.options, matches)?;
    if let Some(folder) = &config.init_from {
        let all = config.stages.iter_mut().map(|stage| &mut stage.train);
        for train in all.chain([&mut config.train]) {
            train.take_architecture(folder, matches)?;
        }
    }
    set_defaults_of_fast(&mut config.train, &BTreeSet::new(), matches);
    for stage in &mut config.stages {
        set_defaults_of_fast(&mut stage.train, &stage.given, matches);
    }
    // Rank 0 may have created it already.
    let run = match rank {
        0 => RunFolder::fresh(out)?,
        _ => RunFolder::new(out),
    };
    Ok((run, config, None))
}

/// Sets the defaults of `fast` where neither the recipe nor the command line gives a value.
fn set_defaults_of_fast(train: &mut TrainOptions, recipe: &BTreeSet<String>, matches: &ArgMatches) {
    train.set_defaults_of_fast(|name| recipe.contains(name) || is_given(matches, name));
}

/// Copies the generators' options of `begun`, which may come from an exported pair.
fn same_generators(options: &mut TrainOptions, begun: &TrainOptions) {
    let begun = begun.clone();
    options.norm = options.norm.filter(|norm| *norm == Norm::Frozen).or(begun.norm);
    (options.net_g, options.ngf, options.width) = (begun.net_g, begun.ngf, begun.width);
    (options.blocks, options.mask_head) = (begun.blocks, begun.mask_head);
    (options.context, options.skip) = (begun.context, begun.skip);
    options.backbone = options.backbone.take().or(begun.backbone);
    if options.blur.is_empty() {
        options.blur = begun.blur;
    }
    options.pruned = begun.pruned;
}

/// Overrides the options of all stages by those of the command line.
fn override_options(config: &mut Config, given: &TrainOptions, matches: &ArgMatches) -> Result<()> {
    config.train = config.train.clone().overridden(given, matches)?;
    for stage in &mut config.stages {
        stage.train = stage.train.clone().overridden(given, matches)?;
        stage.train.check().with_context(|| stage.name.clone())?;
    }
    Ok(())
}
