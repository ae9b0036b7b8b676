// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checkpoints: everything that a run needs to resume as if it had never stopped.
//!
//! Each is a safetensors file, `checkpoints/00012000.safetensors` after 12,000 images of each domain, written
//! atomically. Its metadata has the architecture and a SHA-256 of everything else in the file.

mod file;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    cyclegan::{CycleGan, network_state::NetworkState, schedule::Plateau},
    net::{
        generator::Generator,
        params::{Layout, Params},
    },
    options::TrainOptions,
    run_folder::{Config, RunFolder},
};
use file::Reader;

const FORMAT: u32 = 3;
/// The only entry of the file's metadata: safetensors does not keep the order of entries, and equal runs
/// must write equal bytes.
const STATE: &str = "cyclegan-train";
/// The checkpoint that scored best.
const BEST: &str = "best.safetensors";
const POOLS: [&str; 2] = ["pool_G", "pool_F"];

/// A checkpoint's data other than tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    format: u32,
    step: u64,
    /// Images of each domain seen, over all ranks.
    images: u64,
    networks: BTreeMap<String, Network>,
    /// Omitted while it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plateau: Option<Plateau>,
    sha256: String,
}

/// A checkpoint's data about a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Network {
    /// Names and shapes of its parameters.
    layout: String,
    /// Number of updates by its optimiser.
    updates: i64,
    /// Whether its values were trained before the run started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    imported: bool,
}

/// The part of a state that is the same in every format.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Writes a checkpoint into `folder` and deletes all but the newest `keep`.
pub fn save(folder: &Path, model: &CycleGan, keep: usize) -> Result<PathBuf> {
    let path = save_as(folder, &format!("{:08}.safetensors", model.images), model)?;
    // Checkpoints of later iterations were damaged, so the run continued without them.
    let (all, later): (Vec<_>, Vec<_>) =
        numbered(folder)?.into_iter().partition(|(images, _)| *images <= model.images);
    for (_, old) in all[..all.len().saturating_sub(keep.max(1))].iter().chain(&later) {
        fs::remove_file(old).with_context(|| old.display().to_string())?;
    }
    Ok(path)
}

/// Writes the checkpoint that scored best so far.
pub fn save_best(folder: &Path, model: &CycleGan) -> Result<()> {
    save_as(folder, BEST, model)?;
    Ok(())
}

fn save_as(folder: &Path, name: &str, model: &CycleGan) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(name);
    // Always the same name, so that a partial file of a killed run is overwritten.
    let beside = folder.join("partial");
    let written = write(&beside, model).and_then(|()| {
        fs::rename(&beside, &path)?;
        // The rename must reach the disk before older checkpoints are deleted.
        Ok(File::open(folder)?.sync_all()?)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error.context(format!("cannot write {}", path.display())));
    }
    Ok(path)
}

/// The checkpoints of a folder, oldest first, without the best and without copies of other names.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(numbered(folder)?.into_iter().map(|(_, path)| path).collect())
}

/// The same with the number in each name, an image count.
fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let Ok(listing) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str);
        let number = name.and_then(|name| name.strip_suffix(".safetensors"));
        let number = number.filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        if let Some(images) = number.and_then(|number| number.parse().ok()) {
            found.push((images, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The image count of the checkpoint that scored best, if there is one and it is valid.
pub fn images_of_best(folder: &Path) -> Option<u64> {
    Some(Checkpoint::open(&folder.join(BEST)).ok()?.state.images)
}

/// Deletes the checkpoint that scored best if G and F have other layouts than `layouts`: the run's options changed since.
pub fn delete_best_of_others(folder: &Path, layouts: &[String; 2]) -> Result<()> {
    let path = folder.join(BEST);
    let Ok(best) = Checkpoint::open(&path) else {
        return Ok(());
    };
    if best.generator_layouts() != layouts.each_ref().map(String::as_str) {
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
        say!("{}: deleted, since the generators have another architecture now", path.display());
    }
    Ok(())
}

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
pub struct Shown {
    /// G and F.
    pub networks: [Generator; 2],
    /// Their moving averages, or their weights if there are none.
    pub params: [Params; 2],
    /// Number of iterations.
    pub step: u64,
}

impl Shown {
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
        let mut shown = |i: usize| {
            let shown = checkpoint.shown(["G", "F"][i], &networks[i], averaged, device);
            shown.with_context(|| checkpoint.path.display().to_string())
        };
        let params = [shown(0)?, shown(1)?];
        let step = checkpoint.state.step;
        Ok((config, Self { networks, params, step }))
    }
}

/// A valid checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: Reader,
    state: State,
}

/// Why a checkpoint cannot be used.
enum Flaw {
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
                "{}: no checkpoint; the run ended before its first one, so delete its folder and start it again",
                folder.display()
            )
        };
        Err(damaged.into_iter().next().unwrap_or_else(none))
    }

    fn open(path: &Path) -> Result<Self, Flaw> {
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

    /// The weights of the network `name` that are shown and exported.
    fn shown(
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

/// Optional networks: they start from random weights when their option is set again.
const OPTIONAL: [[&str; 2]; 2] = [["H_G", "H_F"], ["P_G", "P_F"]];

fn states(model: &CycleGan) -> Vec<(&'static str, &NetworkState)> {
    let [g, f] = &model.generators;
    let [d_g, d_f] = &model.discriminators;
    let mut states = vec![("G", g), ("F", f), ("D_G", d_g), ("D_F", d_f)];
    if let Some(projections) = &model.projections {
        states.extend(OPTIONAL[0].into_iter().zip(projections.each_ref().map(|p| &p.1)));
    }
    if let Some(discriminators) = &model.feature_discriminators {
        states.extend(OPTIONAL[1].into_iter().zip(&discriminators.states));
    }
    states
}

fn states_mut(model: &mut CycleGan) -> Vec<(&'static str, &mut NetworkState)> {
    let [g, f] = &mut model.generators;
    let [d_g, d_f] = &mut model.discriminators;
    let mut states = vec![("G", g), ("F", f), ("D_G", d_g), ("D_F", d_f)];
    if let Some(projections) = &mut model.projections {
        states.extend(OPTIONAL[0].into_iter().zip(projections.each_mut().map(|p| &mut p.1)));
    }
    if let Some(discriminators) = &mut model.feature_discriminators {
        states.extend(OPTIONAL[1].into_iter().zip(&mut discriminators.states));
    }
    states
}

/// The first of a model's tensors with a NaN or infinite value.
pub fn not_finite(model: &CycleGan) -> Option<String> {
    let wrong = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 0;
    tensors(model).into_iter().find(|(_, t)| wrong(t)).map(|(name, _)| name)
}

/// All tensors of a model, in order of name.
fn tensors(model: &CycleGan) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (name, state) in states(model) {
        let mut add = |what: &str, t: &Tensor| {
            tensors.push((format!("{name}.{what}"), t.shallow_clone()));
        };
        add("weights", state.params.flat());
        add("adam_m", &state.adam.m);
        add("adam_v", &state.adam.v);
        if let Some(ema) = &state.ema {
            add("ema", ema.flat());
        }
    }
    for (pool, name) in model.pools.iter().zip(POOLS) {
        tensors.extend(pool.images().map(|images| (name.to_owned(), images)));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

fn write(path: &Path, model: &CycleGan) -> Result<()> {
    let mut networks = BTreeMap::new();
    for (name, state) in states(model) {
        let layout = state.params.layout().signature();
        let about = Network { layout, updates: state.adam.t, imported: state.imported };
        networks.insert(name.to_owned(), about);
    }
    let (step, images) = (model.step, model.images);
    let plateau = Some(model.plateau.clone()).filter(|p| *p != Plateau::default());
    let state = State { format: FORMAT, step, images, networks, plateau, sha256: String::new() };
    file::write(path, &tensors(model), STATE, |checksum| state.with_checksum(checksum))
}

impl State {
    /// The file's metadata, with this checksum of everything but the checksum itself.
    fn with_checksum(&self, sha256: String) -> Result<String> {
        Ok(serde_json::to_string(&Self { sha256, ..self.clone() })?)
    }

    fn network(&self, name: &str) -> Result<&Network> {
        self.networks.get(name).with_context(|| format!("it has no network {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of tiny networks.
    fn tiny(folder: &Path) -> (RunFolder, CycleGan) {
        let run = RunFolder::new(folder);
        let train =
            TrainOptions { ngf: Some(2), width: 2, blocks: 1, ndf: 2, ..TrainOptions::default() };
        let model = CycleGan::new(&train, Device::Cpu).unwrap();
        run.write_config(&Config::new("data".into(), train)).unwrap();
        (run, model)
    }

    /// Not every parser of JSON reads this factor, 0.2⁴, as it was written.
    #[test]
    fn a_plateau_is_read_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let (run, mut model) = tiny(folder.path());
        model.plateau.factor = 0.2 * 0.2 * 0.2 * 0.2;
        save(&run.checkpoints(), &model, 1).unwrap();
        assert_eq!(open_newest(&run, Device::Cpu).unwrap().1.plateau, model.plateau);
    }

    /// Sorted as text, nine digits would precede eight.
    #[test]
    fn only_numbered_checkpoints_are_newest_or_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let (run, mut model) = tiny(folder.path());
        model.images = 99_999_999;
        let old = save(&run.checkpoints(), &model, 1).unwrap();
        let copy = run.checkpoints().join("good-12.safetensors");
        fs::copy(&old, &copy).unwrap();
        model.images = 100_000_004;
        let new = save(&run.checkpoints(), &model, 1).unwrap();
        assert_eq!(list(&run.checkpoints()).unwrap(), [new]);
        assert!(copy.is_file() && !old.exists());
        let newest = Checkpoint::newest(&run.checkpoints()).unwrap();
        assert_eq!(newest.images(), model.images);
    }

    #[test]
    fn a_checkpoint_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (run, mut model) = tiny(folder.path());
        (model.step, model.images) = (3, 7);
        let path = save(&run.checkpoints(), &model, 1).unwrap();
        let read = open_newest(&run, Device::Cpu).unwrap().1;
        assert_eq!((read.step, read.images), (3, 7));
        let Ok(Checkpoint { mut state, .. }) = Checkpoint::open(&path) else {
            panic!("it cannot be read");
        };
        state.format = FORMAT + 1;
        file::write(&path, &tensors(&model), STATE, |sum| state.with_checksum(sum)).unwrap();
        let error = format!("{:#}", open_newest(&run, Device::Cpu).unwrap_err());
        assert!(error.contains("format 4: written by a newer version"), "{error}");
    }
}
