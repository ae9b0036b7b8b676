// SPDX-License-Identifier: MIT OR Apache-2.0

//! The training loop of a run, a stage or a student.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Result, anyhow};
use indicatif::ProgressBar;
use serde_json::{Map, Value};
use tch::{Device, Tensor};

use super::{
    clock::{Clock, Minutes},
    models::{SessionModel, check_features, distillation, initial_generators, initial_model},
    output::Output,
    plan::plan,
};
use crate::{
    checkpoint,
    compress::Student,
    cyclegan::{
        CycleGan, Losses, Term,
        schedule::{Plateau, Progress, warm_up},
    },
    data::{loader::Loader, sampler::Plan},
    device,
    eval::validation::Validation,
    interrupt::Interrupted,
    memory,
    options::{LrPolicy, MixedPrecision, TrainOptions},
    progress,
    ranks::Ranks,
    run_folder::{Began, Config, Distill, RunFolder},
    samples::Samples,
    terminal::count,
};

/// Short side of validation images if training images have different sizes, pixels.
const VALIDATED: u32 = 256;

/// A run or stage in progress.
pub struct Session {
    pub(super) options: TrainOptions,
    pub(super) model: CycleGan,
    pub(super) plan: Plan,
    loader: Loader,
    run: RunFolder,
    /// The output files, on rank 0.
    output: Option<Output>,
    /// How long it trains.
    pub(super) minutes: Minutes,
    /// When this stage started.
    pub(super) began: Began,
}

impl Session {
    /// A session of `run` with the model of `make`.
    pub fn start(
        run: RunFolder,
        config: &Config,
        ranks: Ranks,
        make: impl FnOnce(&Plan, Device) -> Result<SessionModel>,
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
        let SessionModel { mut model, is_changed } = make(&plan, device)?;
        for generator in &mut model.generators {
            generator.params.learn_only(&options.learn);
        }
        let distill = config.distill.as_ref();
        model.distill = distill.map(|d| distillation(&run, d, device)).transpose()?;
        if options.lambda_init > 0.0 {
            model.initial = Some(initial_generators(config, device)?);
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
                output = output.scored(validation, &options);
            }
            if is_changed {
                output.save(&model, options.keep)?;
            }
            Ok(output)
        });
        let output = output.transpose()?;
        let previous = output.as_ref().map_or(0.0, Output::minutes);
        // Only rank 0 reads the metrics.
        let previous = ranks.mean(Tensor::from(previous as f32).view(1)).double_value(&[0]);
        let began = config.began();
        let minutes = Minutes::after((previous * ranks.count() as f64).max(began.minutes));
        (model.ranks, model.before_stage) = (ranks, began.images);
        // Its learning rate belongs to its policy, and to the losses of its stage.
        if options.lr_policy != LrPolicy::Plateau || model.images == began.images {
            model.plateau = Plateau::default();
        }
        Ok(Self { options, model, plan, loader, run, output, minutes, began })
    }

    /// A session of a new student.
    pub fn of_student(student: Student) -> Result<Self> {
        let Student { run, config, begin } = student;
        Self::start(run, &config, Ranks::default(), |_, device| {
            let mut model = initial_model(&config, device)?;
            begin(&mut model)?;
            Ok(model.into())
        })
    }

    /// Trains to the end. Fails with [`Interrupted`] after Ctrl-C or SIGTERM.
    pub fn train(&mut self, stop: &AtomicBool) -> Result<()> {
        let began = self.model.step;
        let bar = self.bar();
        let mut clock = Clock::default();
        self.minutes.begin();
        // It was killed between the checkpoint and its score.
        let is_new = self.model.images > self.began.images;
        if is_new && self.options.eval_every.is_some_and(|every| self.is_due(every)) {
            self.score(&bar)?;
        }
        // The learning rate and the epoch of the last iteration.
        let mut last = None;
        let is_complete = loop {
            let share = self.share();
            let end = self.end_with_iterations(self.end(share));
            bar.set_length(end);
            let is_over = self.model.images >= end;
            if is_over || self.model.ranks.any(stop.load(Ordering::Relaxed)) {
                break is_over;
            }
            let begun = Instant::now();
            let crops = self.loader.next_crops().or_else(|error| self.save_before(error))?;
            let waited = begun.elapsed();
            let batches = crops.map(|c| c.to_batch(self.model.device));
            let epoch = self.model.images / self.plan.epoch();
            let progress = share.map_or(Progress::Epoch(epoch), Progress::Share);
            let lr = self.schedule().lr(progress) * self.model.plateau.factor;
            let losses = self.model.train_step(&batches, &self.options, lr);
            self.watch_plateau(epoch, &losses);
            clock.step(&losses, begun.elapsed(), waited);
            bar.set_position(self.model.images);
            self.after_step(&losses, lr, epoch, &mut clock, &bar)?;
            last = Some((lr, epoch));
        };
        self.save()?;
        if let Some((lr, epoch)) = last {
            self.show_end(lr, epoch, &clock, &bar, is_complete)?;
        }
        if is_complete && self.model.images > self.began.images {
            self.score(&bar).or_else(|error| self.save_before(error))?;
        }
        let result = if is_complete { Ok(()) } else { Err(Interrupted.into()) };
        // All ranks take part in this.
        let end = self.last_iteration();
        let Some(output) = &mut self.output else {
            return result;
        };
        output.report(&bar)?;
        bar.abandon();
        let skipped = match self.loader.skipped() {
            0 => String::new(),
            n => format!("; {} skipped", count(n, "image")),
        };
        let at = self.model.step;
        if at < end {
            say!("stopped after iteration {at} of {end}; {}{skipped}", self.how_to_continue());
        } else if at > began {
            let (iterations, images) = (count(at, "iteration"), count(self.model.images, "image"));
            say!("trained {iterations}, {images}{skipped}");
        } else {
            say!("nothing to train: the run is at iteration {at} of {end}");
        }
        result
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
            *clock = Clock::default();
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

    /// Writes metrics of the last iteration, and a sample if the run is complete, unless the iteration has them. A run
    /// that is shorter than the intervals has no others, and one that continues reads the minutes that it has trained.
    fn show_end(
        &mut self,
        lr: f64,
        epoch: u64,
        clock: &Clock,
        bar: &ProgressBar,
        is_complete: bool,
    ) -> Result<()> {
        let [line_is_missing, picture_is_missing] =
            [self.options.print_freq, self.options.display_freq].map(|every| !self.is_due(every));
        let line = line_is_missing.then(|| self.line(lr, epoch, clock));
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        line.map_or(Ok(()), |line| output.line(&line, bar))?;
        if is_complete && picture_is_missing { output.picture(&self.model, bar) } else { Ok(()) }
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
