// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads checkpoints.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tch::{Device, Kind, Tensor};

use super::{
    BEST, FORMAT, STATE,
    file::Reader,
    list,
    state::{Format, Network, OPTIONAL, POOLS, State, states, states_mut},
};
use crate::{
    cyclegan::CycleGan,
    net::{
        generator::Generator,
        params::{Layout, Params},
    },
    options::TrainOptions,
    run_folder::{Config, RunFolder},
};

/// The networks of the newest valid checkpoint of a run.
pub fn open_newest(run: &RunFolder, device: Device) -> Result<(Config, CycleGan)> {
    let config = run.config()?;
    // Data that only training needs may be gone.
    let train = TrainOptions { d_features: None, ..config.train.clone() };
    let mut model = CycleGan::new(&train, device)?;
    Checkpoint::newest(&run.checkpoints())?.load(&mut model)?;
    Ok((config, model))
}

/// The generators of a run, without the data that only training needs.
#[derive(Debug)]
pub struct ExportedGenerators {
    /// G and F.
    pub networks: [Generator; 2],
    /// Their moving averages, or their weights if there are none.
    pub params: [Params; 2],
    /// Number of iterations.
    pub step: u64,
}

impl ExportedGenerators {
    /// The generators of the newest valid checkpoint of a run; reads nothing else of it.
    pub fn newest(run: &RunFolder, device: Device) -> Result<(Config, Self)> {
        Self::of(run, Checkpoint::newest(&run.checkpoints())?, device)
    }

    /// The generators of the run's best checkpoint.
    pub fn best(run: &RunFolder, device: Device) -> Result<(Config, Self)> {
        let path = run.checkpoints().join(BEST);
        ensure!(
            path.is_file(),
            "{}: not found, expected a run trained with --eval-every",
            path.display()
        );
        let checkpoint = Checkpoint::open(&path).map_err(|flaw| match flaw {
            Flaw::Damaged(error) | Flaw::Foreign(error) => {
                error.context(path.display().to_string())
            }
        })?;
        Self::of(run, checkpoint, device)
    }

    fn of(run: &RunFolder, mut checkpoint: Checkpoint, device: Device) -> Result<(Config, Self)> {
        let config = run.config()?;
        let networks = [0, 1].map(|i| Generator::new(config.train.generator(i)));
        let averaged = config.train.ema_half_life > 0.0;
        let mut params = |i: usize| {
            let params = checkpoint.exported(["G", "F"][i], &networks[i], averaged, device);
            params.with_context(|| checkpoint.path.display().to_string())
        };
        let params = [params(0)?, params(1)?];
        let step = checkpoint.state.step;
        Ok((config, Self { networks, params, step }))
    }
}

/// A valid checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: Reader,
    pub(super) state: State,
}

/// Why a checkpoint cannot be used.
pub(super) enum Flaw {
    /// Damaged, by a power failure or a full disk: the previous one may work.
    Damaged(anyhow::Error),
    /// Valid, but from another program.
    Foreign(anyhow::Error),
}

impl Checkpoint {
    /// The newest valid checkpoint of a folder, with a warning for each newer one that is damaged.
    pub fn newest(folder: &Path) -> Result<Self> {
        let mut damaged: Vec<anyhow::Error> = Vec::new();
        for path in list(folder)?.into_iter().rev() {
            match Self::open(&path) {
                Ok(checkpoint) => {
                    for error in damaged {
                        say_error!("warning: {error:#}; using {} instead", path.display());
                    }
                    return Ok(checkpoint);
                }
                Err(Flaw::Damaged(error)) => {
                    damaged.push(error.context(path.display().to_string()))
                }
                Err(Flaw::Foreign(error)) => return Err(error.context(path.display().to_string())),
            }
        }
        let none = || {
            anyhow!(
                "{}: no checkpoint; wait for the first one while the run goes on; if it has ended, delete its folder \
                 and start it again",
                folder.display()
            )
        };
        Err(damaged.into_iter().next().unwrap_or_else(none))
    }

    /// The checkpoint of a file.
    pub(super) fn open(path: &Path) -> Result<Self, Flaw> {
        let mut file = Reader::open(path).map_err(Flaw::Damaged)?;
        let text =
            file.entry(STATE).context("it has no state, expected a checkpoint of cyclegan-train");
        let text = text.map_err(Flaw::Foreign)?.to_owned();
        let read = || -> Result<State> {
            let Format { format } = serde_json::from_str(&text)?;
            ensure!(format <= FORMAT, "format {format}: written by a newer version");
            ensure!(format == FORMAT, "format {format}, expected {FORMAT}");
            Ok(serde_json::from_str(&text)?)
        };
        let state = read().context("reading its state").map_err(Flaw::Foreign)?;
        let mut check = || -> Result<()> {
            let stored = &state.sha256;
            // The text as it was written: parsed and written again, it may differ.
            let content = file.checksum(&text.replacen(stored.as_str(), "", 1))?;
            ensure!(
                *stored == content,
                "damaged: its checksum is {stored}, its content has {content}"
            );
            Ok(())
        };
        check().map_err(Flaw::Damaged)?;
        Ok(Self { path: path.to_owned(), file, state })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its image count.
    pub fn images(&self) -> u64 {
        self.state.images
    }

    /// The signatures of the layouts of G and F; empty if it has none.
    pub fn generator_layouts(&self) -> [&str; 2] {
        let networks = &self.state.networks;
        ["G", "F"].map(|name| networks.get(name).map_or("", |network| &network.layout))
    }

    /// Loads it into `model`.
    pub fn load(mut self, model: &mut CycleGan) -> Result<()> {
        let path = self.path.display().to_string();
        restore(&mut self.file, &self.state, model).context(path)
    }

    /// The weights of the network `name` that are exported.
    fn exported(
        &mut self,
        name: &str,
        network: &Generator,
        averaged: bool,
        device: Device,
    ) -> Result<Params> {
        same_architecture(name, &self.state.network(name)?.layout, &network.layout)?;
        let average = format!("{name}.ema");
        // An average that was enabled since starts at the weights.
        let averaged = averaged && self.file.has(&average);
        let values = Tensor::f_empty([network.layout.numel()], (Kind::Float, device))?;
        self.file.fill(&if averaged { average } else { format!("{name}.weights") }, &values)?;
        Ok(Params::from_flat(&network.layout, values))
    }
}

fn restore(file: &mut Reader, state: &State, model: &mut CycleGan) -> Result<()> {
    let is_there =
        |name: &str| !OPTIONAL.concat().contains(&name) || state.networks.contains_key(name);
    for (name, network) in states(model).into_iter().filter(|p| is_there(p.0)) {
        same_architecture(name, &state.network(name)?.layout, network.params.layout())?;
    }
    for (name, network) in states_mut(model).into_iter().filter(|p| is_there(p.0)) {
        let mut put = |values: &Tensor, what: &str| file.fill(&format!("{name}.{what}"), values);
        put(network.params.flat(), "weights")?;
        put(&network.adam.m, "adam_m")?;
        put(&network.adam.v, "adam_v")?;
        let Network { updates, imported, .. } = state.network(name)?;
        network.adam.t = *updates;
        match &network.ema {
            Some(average) if file.has(&format!("{name}.ema")) => {
                file.fill(&format!("{name}.ema"), average.flat())?;
                network.imported = *imported;
            }
            // An average that was enabled since starts at the weights.
            _ => network.restart_average(),
        }
    }
    for (i, name) in POOLS.iter().enumerate() {
        if file.has(name) {
            model.pools[i].restore(&file.tensor(name, model.device)?);
        }
    }
    model.plateau = state.plateau.clone().unwrap_or_default();
    (model.step, model.images) = (state.step, state.images);
    Ok(())
}

fn same_architecture(name: &str, found: &str, expected: &Layout) -> Result<()> {
    let expected = expected.signature();
    if found == expected {
        return Ok(());
    }
    let differing = found.lines().zip(expected.lines()).find(|(f, e)| f != e);
    match differing {
        Some((f, e)) => bail!("another architecture: {name} has `{f}`, but the options need `{e}`"),
        None => bail!(
            "another architecture: {name} has {} parameters, but the options need {}",
            found.lines().count(),
            expected.lines().count()
        ),
    }
}
