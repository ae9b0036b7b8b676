// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `train` command: the training loop.

mod clock;
mod course;
mod opening;
mod output;
mod plan;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{ArgMatches, Args};
use indicatif::ProgressBar;
use serde_json::{Map, Value};
use tch::{Device, Tensor};

use crate::{
    caught::caught,
    checkpoint::{self, Checkpoint},
    compress::{self, Student},
    cyclegan::{
        CycleGan, Losses, Term,
        distill::{DistillOptions, Distillation},
        network_state::NetworkState,
        schedule::{Plateau, Progress, warm_up},
        teacher::Teacher,
    },
    data::loader::{Loader, Plan},
    device,
    eval::{self, validation::Validation},
    export::{self, read_back},
    interrupt, memory,
    net::{build::Norm, generator::Generator},
    options::{GeneratorName, LrPolicy, MixedPrecision, TrainOptions},
    progress,
    ranks::{Launch, Ranks},
    recipe,
    run_folder::{Began, Config, Distill, RunFolder},
    samples::Samples,
};
use clock::{Clock, Minutes};
use opening::opened;
use output::Output;
use plan::plan;

/// The folder of the student of a recipe within its run.
const STUDENT: &str = "student";

/// Number of images of each domain over which `--norm frozen` averages the statistics.
const FREEZE_IMAGES: usize = 128;

/// Short side of validation images if training images have different sizes, pixels.
const VALIDATED: u32 = 256;

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
    let result = caught(|| {
        let (run, config, newest) = opened(args, matches, ranks.rank())?;
        all_stages(&run, config, ranks, newest)
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
                None => Ok((begun(&config, device)?, false)),
            })?;
        session.train(&stop)?;
        let over = session.is_over();
        let next = stage.map(|i| i + 1).filter(|&i| i < config.stages.len());
        match next.filter(|_| over) {
            Some(i) => {
                if first {
                    export::write_pair(run, &run.stage(i - 1))?;
                }
                config.begin_stage(i, session.now());
            }
            None if over && first => return finish(run, &config, &stop),
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
    // A student of one generator replaces that one; the other is the teacher's, and only this is averaged: the student
    // has other networks than `average-with`.
    match config.compress {
        Some(_) => export::run_all(&[of(run)?, of(&last)?.without_average()]),
        None => export::run(&of(run)?),
    }
}

/// Trains a student of `compress`.
pub fn student(student: Student) -> Result<()> {
    let stop = interrupt::flag()?;
    Session::of_student(student)?.train(&stop)
}

/// A run or stage in progress.
struct Session {
    options: TrainOptions,
    model: CycleGan,
    plan: Plan,
    loader: Loader,
    run: RunFolder,
    /// The output files, on rank 0.
    output: Option<Output>,
    /// How long it trains.
    minutes: Minutes,
    /// When this stage started.
    began: Began,
}

impl Session {
    /// A session of `run` with the networks of `make`, which says whether the checkpoints so far do not fit them.
    fn start(
        run: RunFolder,
        config: &Config,
        ranks: Ranks,
        make: impl FnOnce(&Plan, Device) -> Result<(CycleGan, bool)>,
    ) -> Result<Self> {
        let config = &Config { train: config.train.clone().absolute()?, ..config.clone() };
        let options = config.train.clone();
        let first = ranks.rank() == 0;
        options.check()?;
        options.check_losses(config.distill.as_ref().map_or([false; 2], Distill::taught))?;
        let device = device::pick(&options.device, options.threads, &ranks)?;
        memory::keep_freed(device);
        let wants_bf16 = options.mixed_precision == MixedPrecision::Bf16;
        if wants_bf16 && device == Device::Cpu && !device::has_bf16() && first {
            say_error!(
                "--mixed-precision bf16: this CPU has no bfloat16 instructions; training will take \
                 several times as long as with --mixed-precision no"
            );
        }
        let (plan, held_out) = plan(&run, config, ranks.rank(), ranks.count())?;
        check_features(&options)?;
        let (mut model, is_changed) = make(&plan, device)?;
        for generator in &mut model.generators {
            generator.params.learn_only(&options.learn);
        }
        let distill = config.distill.as_ref();
        model.distill = distill.map(|d| distillation(&run, d, device)).transpose()?;
        if options.lambda_init > 0.0 {
            model.beginning = Some(beginning(config, device)?);
        }
        let mut loader = Loader::start(plan.clone(), model.images, options.num_threads);
        loader.peek()?;
        let output = first.then(|| -> Result<Output> {
            let samples = Samples::pick(&config.data, &plan.domains, &options, device)?;
            let held_out = held_out.map(|held_out| {
                let held_out = held_out.readable(options.strict)?;
                let size = (options.short_side().unwrap_or(VALIDATED), plan.sizes.multiple);
                let features = options.val_features.as_deref();
                Validation::open(held_out, features, options.best_by, size, device)
            });
            let validation = held_out.transpose()?;
            run.lock()?;
            run.write_config(config)?;
            let layouts = model.networks.each_ref().map(|network| network.layout.signature());
            checkpoint::delete_best_of_others(&run.checkpoints(), &layouts)?;
            let mut output = Output::open(run.clone(), samples, model.images)?;
            if let Some(validation) = validation {
                output = output.scored(validation, &options)?;
            }
            if is_changed {
                output.save(&model, options.keep)?;
            }
            Ok(output)
        });
        let output = output.transpose()?;
        let before = output.as_ref().map_or(0.0, Output::minutes);
        // Only rank 0 reads the metrics.
        let before = ranks.mean(Tensor::from(before as f32).view(1)).double_value(&[0]);
        let began = config.began();
        let minutes = Minutes::after((before * ranks.count() as f64).max(began.minutes));
        (model.ranks, model.before_stage) = (ranks, began.images);
        // Its learning rate belongs to its policy, and to the losses of its stage.
        if options.lr_policy != LrPolicy::Plateau || model.images == began.images {
            model.plateau = Plateau::default();
        }
        Ok(Self { options, model, plan, loader, run, output, minutes, began })
    }

    /// A session of a new student.
    fn of_student(student: Student) -> Result<Self> {
        let Student { run, config, begin } = student;
        Self::start(run, &config, Ranks::default(), |_, device| {
            let mut model = begun(&config, device)?;
            begin(&mut model)?;
            Ok((model, false))
        })
    }

    /// Trains to the end, or until Ctrl-C or SIGTERM.
    fn train(&mut self, stop: &AtomicBool) -> Result<()> {
        let began = self.model.step;
        let bar = self.bar();
        let mut clock = Clock::start();
        self.minutes.begin();
        // The learning rate and the epoch of the last iteration.
        let mut last = None;
        let is_complete = loop {
            let share = self.share();
            let end = self.end_with_iterations(self.end(share));
            bar.set_length(end);
            let over = self.model.images >= end;
            if over || self.model.ranks.any(stop.load(Ordering::Relaxed)) {
                break over;
            }
            let waiting = Instant::now();
            let crops = self.loader.next_crops().or_else(|error| self.save_before(error))?;
            clock.waited += waiting.elapsed();
            let batches = crops.map(|c| c.to_batch(self.model.device));
            let epoch = self.model.images / self.plan.epoch();
            let progress = share.map_or(Progress::Epoch(epoch), Progress::Share);
            let lr = self.schedule().lr(progress) * self.model.plateau.factor;
            let losses = self.model.train_step(&batches, &self.options, lr);
            self.watch_plateau(epoch, &losses);
            clock.step(&losses);
            bar.set_position(self.model.images);
            self.after_step(&losses, lr, epoch, &mut clock, &bar)?;
            last = Some((lr, epoch));
        };
        self.save()?;
        if let Some((lr, epoch)) = last.filter(|_| is_complete) {
            self.show_end(lr, epoch, &clock, &bar)?;
        }
        let every = self.options.eval_every.unwrap_or(1);
        if self.model.step > began && is_complete && !self.is_due(every) {
            self.score(&bar).or_else(|error| self.save_before(error))?;
        }
        // All ranks take part in this.
        let end = self.last_iteration();
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        output.report(&bar)?;
        bar.abandon();
        let skipped = match self.loader.skipped() {
            0 => String::new(),
            1 => "; 1 image skipped".to_owned(),
            n => format!("; {n} images skipped"),
        };
        let at = self.model.step;
        if at < end {
            say!("stopped after iteration {at} of {end}; {}{skipped}", self.how_to_continue());
        } else if at > began {
            say!("trained {at} iterations, {} images{skipped}", self.model.images);
        } else {
            say!("nothing to train: the run is at iteration {at} of {end}");
        }
        Ok(())
    }

    fn after_step(
        &mut self,
        losses: &Losses,
        lr: f64,
        epoch: u64,
        clock: &mut Clock,
        bar: &ProgressBar,
    ) -> Result<()> {
        if self.is_due(self.options.print_freq) {
            let line = self.line(lr, epoch, clock);
            *clock = Clock::start();
            if let Some(output) = &mut self.output {
                output.line(&line, bar)?;
            }
            self.check_finite(losses)?;
        }
        let showing = self.is_due(self.options.display_freq);
        if let Some(output) = self.output.as_mut().filter(|_| showing) {
            output.picture(&self.model, bar)?;
        }
        if self.is_due(self.options.save_latest_freq) {
            self.save()?;
        }
        if self.options.eval_every.is_some_and(|every| self.is_due(every)) {
            self.score(bar).or_else(|error| self.save_before(error))?;
        }
        Ok(())
    }

    /// Writes metrics and a sample of the end of the run, unless the last iteration has. A run that is shorter than
    /// the intervals has no others.
    fn show_end(&mut self, lr: f64, epoch: u64, clock: &Clock, bar: &ProgressBar) -> Result<()> {
        let [line_is_missing, picture_is_missing] =
            [self.options.print_freq, self.options.display_freq].map(|every| !self.is_due(every));
        let line = line_is_missing.then(|| self.line(lr, epoch, clock));
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        line.map_or(Ok(()), |line| output.line(&line, bar))?;
        if picture_is_missing { output.picture(&self.model, bar) } else { Ok(()) }
    }

    /// Scores the model on held-out images.
    fn score(&mut self, bar: &ProgressBar) -> Result<()> {
        let minutes = self.minutes.all();
        self.output.as_mut().map_or(Ok(()), |output| output.score(&self.model, minutes, bar))
    }

    /// Writes a checkpoint, but not one with NaN or infinite values, which would replace a good one.
    fn save(&self) -> Result<()> {
        let Some(output) = &self.output else {
            return Ok(());
        };
        match checkpoint::not_finite(&self.model) {
            Some(name) => Err(self.diverged(&name)),
            None => output.save(&self.model, self.options.keep),
        }
    }

    fn watch_plateau(&mut self, epoch: u64, losses: &Losses) {
        if self.options.lr_policy == LrPolicy::Plateau {
            let watched = |name: &str| Term::of(name).is_some_and(|(term, _)| term.is_watched());
            let losses: Vec<_> = losses.iter().filter(|(name, _)| watched(name)).collect();
            // While only the discriminators learn, there are no such losses.
            if losses.is_empty() {
                return;
            }
            let sum: f64 = losses.iter().map(|(_, loss)| loss.double_value(&[])).sum();
            // The mean over all ranks, so that their learning rates are equal.
            let sum = self.model.ranks.mean(Tensor::from(sum as f32).view(1));
            self.model.plateau.observe(epoch, sum.double_value(&[0]));
        }
    }

    /// Fails if a loss is NaN or infinite.
    fn check_finite(&self, losses: &Losses) -> Result<()> {
        let wrong = losses.iter().find(|(_, value)| !value.double_value(&[]).is_finite());
        wrong.map_or(Ok(()), |(name, _)| Err(self.diverged(name)))
    }

    /// The error for a value that is NaN or infinite.
    fn diverged(&self, name: &str) -> anyhow::Error {
        let at = self.model.step;
        let again = match checkpoint::list(&self.run.checkpoints()) {
            Ok(all) if !all.is_empty() => "continue from the last checkpoint with --resume",
            _ => "start again in another --out",
        };
        let exact = match self.options.mixed_precision {
            MixedPrecision::No => "",
            MixedPrecision::Bf16 => " or use --mixed-precision no",
        };
        anyhow!("{name} is NaN or infinite after iteration {at}; lower --lr{exact}, and {again}")
    }

    fn line(&self, lr: f64, epoch: u64, clock: &Clock) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("images".to_owned(), self.model.images.into());
        line.insert("step".to_owned(), self.model.step.into());
        line.insert("epoch".to_owned(), epoch.into());
        let trained = usize::from(!self.options.trained()[0]);
        let warm = warm_up(self.model.generators[trained].adam.t - 1, self.options.warmup);
        line.insert("lr".to_owned(), (lr * warm).into());
        line.insert("minutes".to_owned(), self.minutes.all().into());
        line.insert("s_per_iter".to_owned(), clock.per_step().into());
        line.insert("s_waiting".to_owned(), clock.waiting_per_step().into());
        for (name, mean) in clock.means() {
            line.insert(name.to_owned(), mean.into());
        }
        line
    }

    fn how_to_continue(&self) -> String {
        format!("`train --resume --out {}` continues", self.run.path().display())
    }

    /// Saves a checkpoint before the run ends with an error that training did not cause.
    fn save_before<T>(&self, error: anyhow::Error) -> Result<T> {
        self.save()?;
        let (at, continues) = (self.model.step, self.how_to_continue());
        // Only rank 0 saves.
        let stopped = if self.output.is_some() { "stopped and saved" } else { "stopped" };
        Err(error.context(format!("{stopped} after iteration {at}; {continues}")))
    }

    fn bar(&self) -> ProgressBar {
        let bar = match self.output {
            Some(_) => progress::bar(0, "{bar:30} {pos}/{len} {per_sec} eta {eta}"),
            None => ProgressBar::hidden(),
        };
        bar.with_position(self.model.images)
    }
}

/// Refuses discriminators on the network of `eval`, whose scores would then measure the training objective.
fn check_features(options: &TrainOptions) -> Result<()> {
    let Some(path) = &options.d_features else {
        return Ok(());
    };
    let own = fs::read(path).with_context(|| path.display().to_string())?;
    let scorer = options.val_features.clone().or_else(|| eval::usual_network().ok());
    ensure!(
        scorer.and_then(|scorer| fs::read(scorer).ok()).is_none_or(|scorer| scorer != own),
        "--d-features {}: `eval` scores with this network, expected another one",
        path.display()
    );
    Ok(())
}

fn distillation(run: &RunFolder, distill: &Distill, device: Device) -> Result<Distillation> {
    let open = |folder: &PathBuf| -> Result<Teacher> {
        let (_, model) = checkpoint::open_newest(&RunFolder::open(&run.join(folder))?, device)?;
        Ok(Teacher::new(model))
    };
    let teacher = distill.run.as_ref().map(open).transpose()?;
    let (options, masked) = (distill.options.clone(), distill.masked);
    Ok(Distillation { options, teacher, masked })
}

/// A new model, from exported generators if the options name them.
fn begun(config: &Config, device: Device) -> Result<CycleGan> {
    ensure!(
        config.train.generator(0).norm != Norm::Frozen,
        "--norm frozen continues a run with --norm instance, expected --resume as well"
    );
    let mut model = CycleGan::new(&config.train, device)?;
    if let Some(path) = &config.train.backbone {
        model.fill_backbones(path)?;
    }
    if let Some(folder) = &config.init_from {
        let params = model.generators.each_ref().map(|g| &g.params);
        read_back::pair(folder, &model.networks, params)?;
        model.generators.iter_mut().for_each(NetworkState::restart_average);
    }
    Ok(model)
}

/// The generators of --init-from, from which --lambda-init measures the distance.
fn beginning(config: &Config, device: Device) -> Result<Teacher> {
    let weight = config.train.lambda_init;
    let folder = config.init_from.as_ref();
    let folder = folder
        .with_context(|| format!("--lambda-init is {weight}, expected 0 without --init-from"))?;
    let train = config.train.clone().of_pair_itself(folder)?;
    // A teacher needs no discriminators.
    let train = TrainOptions { d_features: None, ..train };
    Ok(Teacher::new(begun(&Config { train, ..config.clone() }, device)?))
}

/// The model of a run's checkpoint. If the options now require frozen generators, a backbone or low-pass
/// filters, the generators get these; also returns whether they did.
fn resumed(
    newest: Checkpoint,
    options: &TrainOptions,
    plan: &Plan,
    device: Device,
) -> Result<(CycleGan, bool)> {
    // Options of the run as it may have been before these added something.
    let mut befores = vec![options.clone()];
    if options.backbone.is_some() {
        befores.push(TrainOptions { backbone: None, ..options.clone() });
    }
    let all = befores.clone();
    for blur in fewer(&options.blur) {
        befores.extend(all.iter().map(|o| TrainOptions { blur: blur.clone(), ..o.clone() }));
    }
    if options.generator(0).norm == Norm::Frozen {
        let unfrozen =
            |options: &TrainOptions| TrainOptions { norm: Some(Norm::Instance), ..options.clone() };
        befores.extend(befores.iter().map(unfrozen).collect::<Vec<_>>());
    }
    let before = match &befores[..] {
        [only] => only,
        several => {
            let layouts = newest.generator_layouts();
            let is_it = |options: &&TrainOptions| {
                [0, 1].map(|i| Generator::new(options.generator(i)).layout.signature()) == layouts
            };
            several.iter().find(is_it).unwrap_or(options)
        }
    };
    let mut model = CycleGan::new(before, device)?;
    newest.load(&mut model)?;
    let freezes = before.generator(0).norm != options.generator(0).norm;
    if freezes {
        model = frozen(model, options, plan, device)?;
    }
    let extends =
        before.backbone.is_some() != options.backbone.is_some() || before.blur != options.blur;
    if extends {
        model = model.extended(options, device)?;
    }
    Ok((model, freezes || extends))
}

/// The sets of generators that are in `all` but lack some of it.
fn fewer(all: &[GeneratorName]) -> Vec<Vec<GeneratorName>> {
    let [g, f] = GeneratorName::ALL;
    let sets = [vec![], vec![g], vec![f]].into_iter();
    sets.filter(|set| set.len() < all.len() && set.iter().all(|name| all.contains(name))).collect()
}

/// The model with normalisation whose statistics are fixed at their mean over [`FREEZE_IMAGES`] images.
fn frozen(
    model: CycleGan,
    options: &TrainOptions,
    plan: &Plan,
    device: Device,
) -> Result<CycleGan> {
    let batches = FREEZE_IMAGES.div_ceil(plan.batch);
    if plan.own.start == 0 {
        say!("froze the normalisation at its mean over {} images", batches * plan.batch);
    }
    // Every rank processes the whole batch, so that all find the same statistics.
    let plan = Plan { own: 0..plan.batch, ..plan.clone() };
    let mut loader = Loader::start(plan, 0, options.num_threads);
    let load = |_| Ok(loader.next_crops()?.map(|crops| crops.to_batch(device)));
    model.freeze((0..batches).map(load))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_have_had_any_of_its_low_pass_filters_before() {
        let [g, f] = GeneratorName::ALL;
        for (all, before) in [
            (vec![], vec![]),
            (vec![f], vec![vec![]]),
            (vec![f, g], vec![vec![], vec![g], vec![f]]),
        ] {
            assert_eq!(fewer(&all), before, "{all:?}");
        }
    }
}
