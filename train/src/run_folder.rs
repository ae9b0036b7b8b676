// SPDX-License-Identifier: MIT OR Apache-2.0

//! The folder of a run: `config.toml`, `checkpoints/`, `metrics.jsonl`, `samples/`, `report/`,
//! `tensorboard/`, and for `compress` also `teacher/` and `compress.json`.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ArgMatches;
use cyclegan_output::write_atomically;
use serde::{Deserialize, Serialize};

use crate::{
    cyclegan::distill::DistillOptions,
    options::{self, TrainOptions},
};

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The folder, locked.
    lock: Arc<OnceLock<File>>,
}

/// The content of `config.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The data set's folder.
    pub data: PathBuf,
    /// The folder of exported generators that it started with.
    pub init_from: Option<PathBuf>,
    /// The training options.
    pub train: TrainOptions,
    /// The distillation options, if it has a teacher.
    pub distill: Option<Distill>,
    /// The stages of its recipe, if it has one; `train` has the options of the current stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Arguments of `compress` after the last stage.
    pub compress: Option<Vec<String>>,
    /// Arguments of `export` after the last stage, or the student.
    pub export: Option<Vec<String>>,
}

/// A stage with its own options.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// When it started, if it has.
    pub began: Option<Began>,
    /// Its options; its length is `max-images` or `max-minutes`, counted from its start.
    pub train: TrainOptions,
    /// Names of the options that its recipe gives.
    #[serde(skip)]
    pub given: BTreeSet<String>,
}

/// A point in a run's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// Images of each domain seen, over all ranks.
    pub images: u64,
    /// Minutes trained.
    pub minutes: f64,
}

impl Config {
    /// For a run without a recipe.
    pub fn new(data: PathBuf, train: TrainOptions) -> Self {
        let (stages, compress, export) = (Vec::new(), None, None);
        Self { data, init_from: None, train, distill: None, stages, compress, export }
    }

    /// Whether G and F are trained, in any stage.
    pub fn trained(&self) -> [bool; 2] {
        let stages = self.stages.iter().map(|stage| stage.train.trained());
        stages.reduce(|[g, f], [g2, f2]| [g || g2, f || f2]).unwrap_or(self.train.trained())
    }

    /// The share of the images to hold out for validation: the largest of all stages with validation, `None` if there is
    /// no such stage.
    pub fn val_share(&self) -> Option<f64> {
        let stages = self.stages.iter().map(|stage| &stage.train).chain([&self.train]);
        stages.filter(|o| o.eval_every.is_some()).map(|o| o.val_share).reduce(f64::max)
    }

    /// The current stage, counted from 0.
    pub fn stage(&self) -> Option<usize> {
        self.stages.iter().rposition(|stage| stage.began.is_some())
    }

    /// When the current stage started; 0 without a recipe.
    pub fn began(&self) -> Began {
        self.stage().and_then(|i| self.stages[i].began).unwrap_or_default()
    }

    /// Makes stage `i` the current stage.
    pub fn begin_stage(&mut self, i: usize, began: Began) {
        self.stages[i].began = Some(began);
        self.train = self.stages[i].train.clone();
    }

    /// Returns to the stage of a checkpoint at this image count.
    pub fn back_to(&mut self, images: u64) {
        for stage in &mut self.stages {
            stage.began = stage.began.filter(|began| began.images <= images);
        }
        if let Some(i) = self.stage() {
            self.train = self.stages[i].train.clone();
        }
    }
}

/// A run's teacher and the weights of its losses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distill {
    /// The teacher's run, if it runs in every iteration: a folder within the run's.
    pub run: Option<PathBuf>,
    /// The output of G's teacher for trainA: a folder within the run's.
    pub generated_a: Option<PathBuf>,
    /// The output of F's teacher for trainB.
    pub generated_b: Option<PathBuf>,
    /// Whether these teachers have a mask output.
    pub masked: [bool; 2],
    /// The weights.
    #[serde(flatten)]
    pub options: DistillOptions,
}

impl Distill {
    /// Whether G and F have a loss against a teacher.
    pub fn taught(&self) -> [bool; 2] {
        let run = self.run.is_some();
        let has = [&self.generated_a, &self.generated_b].map(|output| run || output.is_some());
        self.options.taught(has, run)
    }

    /// The same with the weights from the command line.
    pub fn overridden(self, given: &DistillOptions, matches: &ArgMatches) -> Result<Self> {
        let options = options::overridden(&self.options, given, matches)?;
        options.check()?;
        Ok(Self { options, ..self })
    }
}

impl RunFolder {
    /// A folder with any content.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: Arc::default() }
    }

    /// The folder of a new run, which must not contain another run; writes nothing yet.
    pub fn fresh(path: &Path) -> Result<Self> {
        let run = Self::new(path);
        ensure!(!path.is_file(), "{}: a file, expected a folder", path.display());
        if run.config_path().exists() {
            // Nobody must be told to delete the folder of a run that is going on.
            run.lock()?;
        }
        ensure!(
            !run.config_path().exists() || run.checkpoints().exists(),
            "{}: contains a run that ended before its first checkpoint; delete this folder, or choose another \
             --out",
            path.display()
        );
        ensure!(
            !run.config_path().exists(),
            "{}: already contains a run; continue it with --resume, or choose another --out",
            path.display()
        );
        Ok(run)
    }

    /// The folder of an existing run.
    pub fn open(path: &Path) -> Result<Self> {
        let run = Self::new(path);
        ensure!(
            run.config_path().is_file(),
            "{}: no run found, expected a folder with the config.toml of `train`",
            path.display()
        );
        Ok(run)
    }

    /// Reads `config.toml`.
    pub fn config(&self) -> Result<Config> {
        let path = self.config_path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let read = || -> Result<Config> {
            let table: toml::Table = toml::from_str(&text)?;
            table.try_into().map_err(|error: toml::de::Error| {
                let unknown = error.message().starts_with("unknown ");
                let hint = if unknown { "; a newer version may have written it" } else { "" };
                anyhow!("{}{hint}", error.message().trim_end())
            })
        };
        read().with_context(|| path.display().to_string())
    }

    /// Writes `config.toml`; creates the folder if it does not exist.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        fs::create_dir_all(&self.path).with_context(|| self.path.display().to_string())?;
        write_atomically(&self.config_path(), toml::to_string(config)?.as_bytes())
    }

    /// Keeps other processes from training this run while this folder or a clone of it is used. Creates the folder if it
    /// does not exist.
    pub fn lock(&self) -> Result<()> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        let open = || {
            fs::create_dir_all(&self.path)?;
            File::open(&self.path)
        };
        let folder = open().with_context(|| self.path.display().to_string())?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another process trains this run; stop it, or wait until it ends",
                self.path.display()
            ),
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let _ = self.lock.set(folder);
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Something within the folder.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }

    /// Where checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The generators at the end of stage `i`, counted from 0, that another one follows.
    pub fn stage(&self, i: usize) -> PathBuf {
        self.path.join(format!("stages/{}", i + 1))
    }

    /// The metrics, one JSON object per line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The cost of its generators and their teachers.
    pub fn costs(&self) -> PathBuf {
        self.path.join("compress.json")
    }

    /// Sample pictures.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// Events for TensorBoard.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// The page that shows the run.
    pub fn report(&self) -> PathBuf {
        self.path.join("report")
    }

    fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    #[test]
    fn options_that_are_not_set_are_left_out_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let arguments = DistillOptions::augment_args(Command::new("x")).get_matches_from(["x"]);
        let options = DistillOptions::from_arg_matches(&arguments).unwrap();
        let distill = Distill {
            run: None,
            generated_a: None,
            generated_b: None,
            masked: [false; 2],
            options,
        };
        let train = TrainOptions::default();
        let stage = Stage {
            name: "one".to_owned(),
            began: None,
            train: train.clone(),
            given: BTreeSet::new(),
        };
        let config = Config {
            distill: Some(distill),
            stages: vec![stage],
            ..Config::new("x".into(), train)
        };
        run.write_config(&config).unwrap();
        let text = fs::read_to_string(run.config_path()).unwrap();
        for key in ["init_from", "compress", "export", "run", "generated-a", "began", "only"] {
            assert!(!text.lines().any(|line| line.starts_with(&format!("{key} "))), "{text}");
        }
        run.write_config(&run.config().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(run.config_path()).unwrap(), text);
    }
}
