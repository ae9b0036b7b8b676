// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opens a run by the command line and a recipe.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail, ensure};
use clap::ArgMatches;

use super::TrainArgs;
use crate::{
    checkpoint::Checkpoint,
    compress, onnx_generator,
    options::{TrainOptions, first_given, is_given, overridden},
    ranks::launched,
    recipe::{self, Recipe},
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
    // Rank 0 may have created the folder of a new run when another one looks.
    let must_be_free = !args.resume && rank == 0;
    let (run, mut config, newest) = match args.resume {
        true => resumed(&args, matches, recipe, &out, rank)?,
        false => fresh(args, matches, recipe, &out)?,
    };
    ensure!(
        config.compress.is_none() || launched() == 1,
        "mpirun started {} processes, expected one: the recipe has a student, [compress]",
        launched()
    );
    recipe::check(&config.stages).with_context(|| file.display().to_string())?;
    check_end(&config).with_context(|| file.display().to_string())?;
    if must_be_free {
        RunFolder::fresh(&out)?;
    }
    if !config.stages.is_empty() {
        // The pair is written with it after each stage, perhaps hours from now.
        onnx_generator::runtime()?;
        for option in ["max-images", "max-minutes"] {
            ensure!(
                !is_given(matches, option),
                "--{option}: the stages of a recipe have lengths of their own, set `images` or `minutes` there"
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
    let has_validated = config.val_share().is_some();
    if let Some(recipe) = recipe {
        ensure!(
            !config.stages.is_empty(),
            "{}: the run was started without a recipe, expected --resume without --recipe",
            out.display()
        );
        let first_stage = config.stages[0].train.clone();
        config.stages.truncate(recipe.stages.len());
        for (i, mut stage) in recipe.stages.into_iter().enumerate() {
            if config.init_from.is_some() {
                // They may come from an exported pair.
                let is_given = |name: &str| stage.given.contains(name);
                stage.train.copy_architecture(first_stage.clone(), is_given);
            }
            let is_given = |name: &str| stage.given.contains(name) || is_given(matches, name);
            stage.train.set_defaults_of_fast(is_given);
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
        config.back_to(newest.images());
    }
    if let (None, Some(option)) = (&config.distill, first_given(&args.distill, matches)?) {
        bail!("{option}: this run has no teacher, expected a run of `compress`");
    }
    config.distill = config.distill.map(|d| d.overridden(&args.distill, matches)).transpose()?;
    config.data = std::path::absolute(args.data.as_ref().unwrap_or(&config.data))?;
    let old = config.train.generator(0).norm;
    override_options(&mut config, &args.options, matches)?;
    let has_own_images = config.data.join("valA").is_dir() && config.train.negatives.is_empty();
    if rank == 0 && !has_validated && config.val_share().is_some() && !has_own_images {
        say_error!(
            "warning: --eval-every: the run has trained without it on all images of trainA, trainB and --negatives; \
             scores on those that are held out now are too good"
        );
    }
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
    let (none, trained) = (BTreeSet::new(), config.trained());
    let stages = config.stages.iter_mut().map(|stage| (&mut stage.train, &stage.given));
    for (train, given) in stages.chain([(&mut config.train, &none)]) {
        let is_given = |name: &str| given.contains(name) || is_given(matches, name);
        if let Some(folder) = &config.init_from {
            train.take_architecture(folder, trained, is_given)?;
        }
        train.set_defaults_of_fast(is_given);
        check_length(train)?;
    }
    Ok((RunFolder::new(out), config, None))
}

/// Refuses a new run that would end before its first iteration.
fn check_length(train: &TrainOptions) -> Result<()> {
    ensure!(train.max_iters != Some(0), "--max-iters is 0, expected at least 1");
    ensure!(
        train.max_images.is_some()
            || train.max_minutes.is_some()
            || train.n_epochs > 0
            || train.n_epochs_decay > 0,
        "--n-epochs and --n-epochs-decay are 0, expected at least 1 epoch, or --max-images or --max-minutes"
    );
    Ok(())
}

/// Refuses a student and an export that cannot work: they begin after the last stage, perhaps hours from now.
fn check_end(config: &Config) -> Result<()> {
    let Some(last) = config.stages.last() else { return Ok(()) };
    let student = config.compress.as_ref().map(|arguments| {
        let (args, matches) =
            recipe::compress_args(arguments, Path::new("run"), Path::new("student"))?;
        let options = compress::options_for(&last.train, &args, &matches)?;
        let teacher = Config::new(config.data.clone(), last.train.clone());
        compress::check_budget(&teacher, options.clone(), &args, &matches)?;
        Ok::<_, anyhow::Error>(options)
    });
    let student = student.transpose().context("[compress]")?;
    let Some(arguments) = &config.export else {
        return Ok(());
    };
    let export = recipe::export_args(arguments, Path::new("run"), Path::new("export"))?;
    let mut exported = [Some(&last.train), student.as_ref()].into_iter().flatten();
    ensure!(
        !export.takes_best() || exported.all(|options| options.eval_every.is_some()),
        "[export]: `best` takes the checkpoint with the best validation score, but none is scored; set `eval-every`"
    );
    let Some(student) = &student else { return Ok(()) };
    let is_left = config.trained().iter().zip(student.trained()).any(|(&run, own)| run && !own);
    ensure!(
        !export.averages() || is_left,
        "[export]: `average-with`: the student of [compress] has other networks than these files, expected no \
         `average-with`, or a student of one generator, with `only`: then the other one is averaged"
    );
    Ok(())
}

/// Overrides the options of all stages by those of the command line.
fn override_options(config: &mut Config, given: &TrainOptions, matches: &ArgMatches) -> Result<()> {
    config.train = overridden(&config.train, given, matches)?;
    for stage in &mut config.stages {
        stage.train = overridden(&stage.train, given, matches)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::{Args, Command, FromArgMatches};

    use super::*;

    /// The configuration of a new run of a recipe.
    fn configuration(recipe: &str, more: &[&str]) -> Result<Config> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("recipe.toml");
        fs::write(&file, format!("data = 'data'\nout = 'run'\n{recipe}"))?;
        let arguments = ["train", "--recipe", file.to_str().unwrap_or_default()];
        let command = TrainArgs::augment_args(Command::new("train"));
        let matches = command.try_get_matches_from(arguments.iter().chain(more))?;
        Ok(opened(TrainArgs::from_arg_matches(&matches)?, &matches, 0)?.1)
    }

    /// `fast` has crops of 128 pixels, and whole images of 256.
    #[test]
    fn a_recipe_is_checked_with_the_defaults_of_its_networks() {
        let stages = "[[stage]]\nimages = 8\n[[stage]]\nimages = 8\n";
        let large = format!("{stages}crop-size = 272");
        for valid in ["load-size = 224", "preprocess = 'multi_scale_crop'\nload-size-min = 160"] {
            configuration(&format!("{valid}\n{stages}"), &[]).expect(valid);
        }
        configuration(&large, &["--net-g", "resnet_9blocks"]).unwrap();
        let error = format!("{:#}", configuration(&large, &[]).unwrap_err());
        for part in ["recipe.toml", "stage 2", "--crop-size 272", "--load-size 256"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
