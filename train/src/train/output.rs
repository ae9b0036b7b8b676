// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output of a run: metrics, samples, the report and checkpoints.

use std::collections::HashSet;

use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::{Map, Value};

use crate::{
    checkpoint,
    cyclegan::CycleGan,
    eval::validation::Validation,
    metrics::{self, Metrics},
    options::{BestBy, TrainOptions},
    pixels,
    report::{self, warnings::warnings},
    run_folder::RunFolder,
    samples::{self, Samples},
    tensorboard::TensorBoard,
};

/// The entry of a checkpoint's scores that says on what they were measured.
const SCORED_ON: &str = "scored_on";

/// The output files of a run.
pub struct Output {
    run: RunFolder,
    samples: Samples,
    metrics: Metrics,
    board: TensorBoard,
    /// Warnings that were already printed.
    warned: HashSet<String>,
    /// How long the run had trained when these were opened.
    minutes: f64,
    /// The image count at the last score.
    last_score: Option<u64>,
    scores: Option<Scores>,
}

/// Validation of a run during training.
struct Scores {
    validation: Validation,
    best_by: BestBy,
    /// Whether G and F are trained.
    trained: [bool; 2],
    /// The best score so far.
    best: Option<f64>,
}

impl Output {
    /// For a run that continues after `images` images.
    pub fn open(run: RunFolder, samples: Samples, images: u64) -> Result<Self> {
        let metrics = Metrics::open(&run.metrics(), images)?;
        let lines = metrics::read(&run.metrics())?;
        let last = lines.last().and_then(|line| line.get("minutes")?.as_f64());
        let board = TensorBoard::open(&run.tensorboard(), images)?;
        let last_score = lines.iter().rev().find(|line| !metrics::is_of_training(line));
        let last_score = last_score.and_then(metrics::images_of);
        let (warned, minutes) = (HashSet::new(), last.unwrap_or_default());
        Ok(Self { run, samples, metrics, board, warned, minutes, last_score, scores: None })
    }

    /// With validation scores.
    pub fn scored(mut self, validation: Validation, options: &TrainOptions) -> Self {
        let (best_by, trained) = (options.best_by, options.trained());
        // Another --best-by, or a stage that trains other generators, may have chosen the checkpoint that is kept. It may be
        // of a later iteration than the run, which was then killed, and the metrics no longer have its line.
        let kept = checkpoint::scores_of_best(&self.run.checkpoints());
        let of_others = kept.as_ref().and_then(|scores| scores.get(SCORED_ON)?.as_str());
        let is_comparable = of_others.is_none_or(|others| others == validation.scored_on());
        if !is_comparable {
            say!(
                "the score of the best checkpoint is of other validation images, or another network or size: the next \
                 score replaces it"
            );
        }
        let kept = kept.filter(|_| is_comparable);
        let best = kept.and_then(|scores| best_by.of(&scores, trained));
        self.scores = Some(Scores { validation, best_by, trained, best });
        self
    }

    /// Scores the model unless it is scored, and keeps it if it is the best so far.
    pub fn score(&mut self, model: &CycleGan, minutes: f64, bar: &ProgressBar) -> Result<()> {
        let Some(Scores { validation, best_by, trained, best }) = &mut self.scores else {
            return Ok(());
        };
        if self.last_score.replace(model.images) == Some(model.images) {
            return Ok(());
        }
        let scores = validation.score(*trained, |i, x| model.translate(i, x))?;
        let scores = scores.into_iter().map(|(name, score)| (name.to_owned(), score.into()));
        let scores: Map<String, Value> = scores.collect();
        let score = best_by.of(&scores, *trained);
        if score.is_some_and(|score| best.is_none_or(|best| score < best)) {
            *best = score;
            let mut kept = scores.clone();
            kept.insert(SCORED_ON.to_owned(), validation.scored_on().into());
            checkpoint::save_best(&self.run.checkpoints(), model, &kept)?;
        }
        let mut line = Map::new();
        line.insert("images".to_owned(), model.images.into());
        line.insert("step".to_owned(), model.step.into());
        line.insert("minutes".to_owned(), minutes.into());
        line.extend(scores);
        self.line(&line, bar)
    }

    /// Minutes that the run had trained when this was opened, from its metrics.
    pub fn minutes(&self) -> f64 {
        self.minutes
    }

    /// Writes a line of metrics, also to the terminal.
    pub fn line(&mut self, line: &Map<String, Value>, bar: &ProgressBar) -> Result<()> {
        let images = metrics::images_of(line).unwrap_or_default();
        bar.suspend(|| say!("{}", summary(line)));
        self.metrics.write(line)?;
        self.board.scalars(images, line)
    }

    /// Writes a sample and the report. A run goes on without samples.
    pub fn picture(&mut self, model: &CycleGan, bar: &ProgressBar) -> Result<()> {
        if let Err(error) = self.sample(model)
            && self.warned.insert("sample".to_owned())
        {
            bar.suspend(|| say_error!("warning: no sample picture: {error:#}; training continues"));
        }
        self.report(bar)
    }

    fn sample(&mut self, model: &CycleGan) -> Result<()> {
        let path = self.run.samples().join(format!("{:08}.png", model.images));
        let grid = self.samples.grid(model);
        pixels::write_png(&grid, &path)?;
        samples::thin(&self.run.samples())?;
        self.board.picture(model.images, "samples", &grid)
    }

    /// Writes the report and prints new warnings.
    pub fn report(&mut self, bar: &ProgressBar) -> Result<()> {
        report::write(&self.run, &self.samples.caption())?;
        for warning in warnings(&metrics::read(&self.run.metrics())?) {
            if self.warned.insert(warning.clone()) {
                bar.suspend(|| say_error!("warning: {warning}"));
            }
        }
        Ok(())
    }

    /// Writes a checkpoint and deletes all but the newest `keep`.
    pub fn save(&self, model: &CycleGan, keep: usize) -> Result<()> {
        checkpoint::save(&self.run.checkpoints(), model, keep)?;
        Ok(())
    }
}

/// A line of metrics for the terminal.
fn summary(line: &Map<String, Value>) -> String {
    let show = |(name, value): (&String, &Value)| match value.as_u64() {
        Some(whole) => format!("{name} {whole}"),
        None => format!("{name} {:.3}", value.as_f64().unwrap_or(f64::NAN)),
    };
    let hidden = ["lr", "s_waiting", "minutes"];
    let shown = line.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
    shown.map(show).collect::<Vec<_>>().join("  ")
}
