// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `train` command: the loop around the iterations.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{ArgMatches, Args};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::{
    checkpoint,
    cyclegan::{
        CycleGan, Losses,
        schedule::{LrPolicy, Schedule},
    },
    data::{
        folder::Domain,
        loader::{Loader, Plan},
        pairs::matched,
        view::Sizes,
    },
    device,
    export::read_back,
    metrics::{self, Metrics},
    options::{LookAt, TrainOptions},
    report::{self, alarms::alarms},
    run_folder::{Config, RunFolder},
    samples::{self, Samples},
    tensorboard::TensorBoard,
};

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Data set: a folder with trainA and trainB, and testA, testB, trainA_mask, trainB_mask if
    /// there [with --resume: the run's own]
    #[arg(long, required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Folder of the run
    #[arg(long)]
    pub out: PathBuf,
    /// Go on with the run in --out, from its newest checkpoint; options given here replace the
    /// run's own
    #[arg(long)]
    pub resume: bool,
    /// Begin with the generators of a folder that `export` wrote, G.onnx and F.onnx of the same
    /// architecture; the discriminators begin anew
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    #[command(flatten)]
    options: TrainOptions,
}

/// Trains a pair of generators.
pub fn run(args: TrainArgs, matches: &ArgMatches) -> Result<()> {
    let mut session = Session::open(args, matches)?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    session.train(&stop)
}

/// A run while it trains.
struct Session {
    run: RunFolder,
    options: TrainOptions,
    model: CycleGan,
    plan: Plan,
    loader: Loader,
    samples: Samples,
    metrics: Metrics,
    board: TensorBoard,
    /// Alarms that were told already.
    alarmed: HashSet<String>,
}

impl Session {
    fn open(args: TrainArgs, matches: &ArgMatches) -> Result<Self> {
        let (run, config) = if args.resume {
            let run = RunFolder::open(&args.out)?;
            let stored = run.config()?;
            let config = Config {
                data: args.data.unwrap_or(stored.data),
                init_from: stored.init_from,
                train: stored.train.overridden(&args.options, matches)?,
            };
            (run, config)
        } else {
            let data = args.data.context("--data is missing")?;
            let data = std::path::absolute(data)?;
            let init_from = args.init_from.map(std::path::absolute).transpose()?;
            let train = args.options;
            (RunFolder::fresh(&args.out)?, Config { data, init_from, train })
        };
        let options = config.train.clone();
        options.check()?;
        let device = device::pick(&options.device, options.threads)?;
        let plan = plan(&config)?;
        let mut model = CycleGan::new(&options, device)?;
        if args.resume {
            checkpoint::load_newest(&run.checkpoints(), &mut model)?;
        } else if let Some(folder) = &config.init_from {
            read_back::pair(folder, &model)?;
        }
        let samples = Samples::pick(&config.data, &plan.domains, options.paired(), device)?;
        let mut loader = Loader::start(plan.clone(), model.step, options.num_threads);
        loader.peek()?;
        run.write_config(&config)?;
        let metrics = Metrics::open(&run.metrics(), model.step)?;
        let board = TensorBoard::open(&run.tensorboard())?;
        Ok(Self {
            run,
            options,
            model,
            plan,
            loader,
            samples,
            metrics,
            board,
            alarmed: HashSet::new(),
        })
    }

    fn train(&mut self, stop: &AtomicBool) -> Result<()> {
        let end = self.end();
        let bar = self.bar(end);
        let mut clock = Clock::start();
        while self.model.step < end && !stop.load(Ordering::Relaxed) {
            let waiting = Instant::now();
            let crops = self.loader.next_crops()?;
            clock.waited += waiting.elapsed();
            let batches = crops.map(|c| c.to_batch(self.model.device));
            let epoch = self.model.step / self.plan.steps();
            let lr = self.schedule().lr(self.model.step, epoch) * self.model.plateau.factor;
            let losses = self.model.train_step(&batches, &self.options, lr);
            self.watch_plateau(epoch, &losses);
            clock.step(&losses);
            bar.set_position(self.model.step);
            self.after_step(&losses, lr, epoch, &mut clock, &bar)?;
        }
        self.save()?;
        self.report(&bar)?;
        bar.abandon();
        let skipped = match self.loader.skipped() {
            0 => String::new(),
            n => format!("; {n} pictures skipped"),
        };
        let at = self.model.step;
        match at < end {
            true => println!("stopped after iteration {at} of {end}, go on with --resume{skipped}"),
            false => println!("trained {at} iterations{skipped}"),
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
        let step = self.model.step;
        let due = |every: u64| step.is_multiple_of(every);
        if due(self.options.print_freq) {
            let line = self.line(lr, epoch, clock);
            bar.suspend(|| println!("{}", summary(&line)));
            self.metrics.write(&line)?;
            self.board.scalars(step, &line)?;
            *clock = Clock::start();
            self.check_finite(losses)?;
        }
        if due(self.options.display_freq) {
            let path = self.run.samples().join(format!("{step:08}.png"));
            let grid = self.samples.grid(&self.model);
            samples::write(&grid, &path)?;
            self.board.picture(step, "samples", &grid)?;
            self.report(bar)?;
        }
        if due(self.options.save_latest_freq) {
            self.check_finite(losses)?;
            self.save()?;
        }
        Ok(())
    }

    fn watch_plateau(&mut self, epoch: u64, losses: &Losses) {
        if self.options.lr_policy == LrPolicy::Plateau {
            let watched = |name: &str| name.starts_with("cycle") || name.starts_with("L1");
            let losses = losses.iter().filter(|(name, _)| watched(name));
            let sum = losses.map(|(_, loss)| loss.double_value(&[])).sum();
            self.model.plateau.observe(epoch, sum);
        }
    }

    fn report(&mut self, bar: &ProgressBar) -> Result<()> {
        let (metrics, samples) = (self.run.metrics(), self.run.samples());
        report::write(&self.run.report(), &metrics, &samples, self.samples.columns())?;
        for alarm in alarms(&metrics::read(&self.run.metrics())?) {
            if self.alarmed.insert(alarm.clone()) {
                bar.suspend(|| eprintln!("alarm: {alarm}"));
            }
        }
        Ok(())
    }

    /// Ends a run whose losses are no numbers before it writes them into a checkpoint.
    fn check_finite(&self, losses: &Losses) -> Result<()> {
        let wrong = losses.iter().find(|(_, value)| !value.double_value(&[]).is_finite());
        match wrong {
            None => Ok(()),
            Some((name, _)) => bail!(
                "{name} is no number after iteration {}; go on from the last checkpoint with \
                 --resume and a lower --lr, or without --mixed-precision",
                self.model.step
            ),
        }
    }

    fn save(&self) -> Result<()> {
        checkpoint::save(&self.run.checkpoints(), &self.model, self.options.keep)?;
        Ok(())
    }

    fn line(&self, lr: f64, epoch: u64, clock: &Clock) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("step".to_owned(), self.model.step.into());
        line.insert("epoch".to_owned(), epoch.into());
        line.insert("lr".to_owned(), lr.into());
        line.insert("s_per_iter".to_owned(), clock.per_step().into());
        line.insert("s_waiting".to_owned(), clock.waiting_per_step().into());
        for (name, mean) in clock.means() {
            line.insert(name.to_owned(), mean.into());
        }
        line
    }

    fn schedule(&self) -> Schedule {
        let o = &self.options;
        Schedule {
            policy: o.lr_policy,
            lr: o.lr,
            n_epochs: o.n_epochs,
            n_epochs_decay: o.n_epochs_decay,
            lr_decay_iters: o.lr_decay_iters,
            warmup: o.warmup,
        }
    }

    /// The iteration to stop after.
    fn end(&self) -> u64 {
        let epochs = u64::from(self.options.n_epochs) + u64::from(self.options.n_epochs_decay);
        let all = epochs * self.plan.steps();
        self.options.max_iters.map_or(all, |max| max.min(all))
    }

    fn bar(&self, end: u64) -> ProgressBar {
        let style = "{bar:30} {pos}/{len} {per_sec} eta {eta}";
        let style =
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(end).with_style(style);
        bar.with_position(self.model.step)
    }
}

/// Time and losses since the last line of metrics.
struct Clock {
    since: Instant,
    steps: u32,
    waited: Duration,
    /// Each loss summed, and how often it was there.
    sums: Vec<(&'static str, Tensor, u32)>,
}

impl Clock {
    fn start() -> Self {
        Self { since: Instant::now(), steps: 0, waited: Duration::ZERO, sums: Vec::new() }
    }

    fn step(&mut self, losses: &Losses) {
        self.steps += 1;
        for (name, loss) in losses {
            match self.sums.iter_mut().find(|sum| sum.0 == *name) {
                Some((_, sum, count)) => {
                    *sum += loss;
                    *count += 1;
                }
                None => self.sums.push((name, loss.copy(), 1)),
            }
        }
    }

    fn means(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let mean = |sum: &Tensor, count: u32| sum.double_value(&[]) / f64::from(count);
        self.sums.iter().map(move |(name, sum, count)| (*name, mean(sum, *count)))
    }

    fn per_step(&self) -> f64 {
        self.since.elapsed().as_secs_f64() / f64::from(self.steps.max(1))
    }

    fn waiting_per_step(&self) -> f64 {
        self.waited.as_secs_f64() / f64::from(self.steps.max(1))
    }
}

/// A line of metrics for the terminal.
fn summary(line: &Map<String, Value>) -> String {
    let show = |(name, value): (&String, &Value)| match value.as_u64() {
        Some(whole) => format!("{name} {whole}"),
        None => format!("{name} {:.3}", value.as_f64().unwrap_or(f64::NAN)),
    };
    let shown = line.iter().filter(|(name, _)| *name != "lr" && *name != "s_waiting");
    shown.map(show).collect::<Vec<_>>().join("  ")
}

fn plan(config: &Config) -> Result<Plan> {
    let o = &config.train;
    let domains = domains(config)?;
    let need_mask = o.look_at == LookAt::Foreground;
    for (domain, name) in domains.iter().zip(["trainA_mask", "trainB_mask"]) {
        anyhow::ensure!(
            !need_mask || !domain.masks.is_empty(),
            "{}: not there, --look-at foreground needs masks of both domains",
            config.data.join(name).display()
        );
    }
    let multiple = crate::net::generator::Generator::new(o.generator()).multiple_of();
    Ok(Plan {
        domains,
        paired: o.paired(),
        preprocess: o.preprocess,
        sizes: Sizes {
            load: o.load_size,
            load_min: o.load_size_min.unwrap_or(o.crop_size),
            crop: o.crop_size,
            multiple,
        },
        flip: !o.no_flip,
        min_foreground: o.min_foreground,
        need_mask,
        batch: o.batch_size as usize,
        seed: o.seed,
        strict: o.strict,
    })
}

/// The training pictures, and where the options ask for them which are frames that follow others.
fn domains(config: &Config) -> Result<[Domain; 2]> {
    let (o, data) = (&config.train, &config.data);
    let mut domains = if o.paired() {
        let open = |name| Domain::open(data, name, None);
        matched(open("trainA")?, open("trainB")?, o.max_dataset_size)?
    } else {
        let open = |name| Domain::open(data, name, o.max_dataset_size);
        [open("trainA")?, open("trainB")?]
    };
    if o.lambda_diff > 0.0 {
        let counts: Vec<usize> = domains.iter_mut().map(Domain::find_next).collect();
        let [a, b] = [0, 1].map(|i| format!("{} of {}", counts[i], domains[i].images.len()));
        anyhow::ensure!(
            counts.iter().any(|&n| n > 0),
            "{}: no picture is numbered as the one after another, which --lambda-diff needs; \
             expected names like clip_0001.png, clip_0002.png, as `extract --distance 0` makes them",
            data.display()
        );
        println!("frames that another follows: {a} of A, {b} of B");
    }
    Ok(domains)
}
