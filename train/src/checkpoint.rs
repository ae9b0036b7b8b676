// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checkpoints: all that a run needs to go on as if it had never stopped.
//!
//! One safetensors file each, `checkpoints/00012000.safetensors` after 12,000 images of each domain,
//! written beside and renamed. Its
//! metadata says which architecture it is, and holds a SHA-256 of everything else in the file.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    cyclegan::{CycleGan, player::Player, schedule::Plateau},
    net::generator::Generator,
    run_folder::{Config, RunFolder},
};

const FORMAT: u32 = 3;
/// Knew no images, only iterations.
const WITHOUT_IMAGES: u32 = 2;
/// The one entry of the file's metadata; a single one, since safetensors keeps no order among them
/// and equal runs shall write equal bytes.
const STATE: &str = "cyclegan-train";
const POOLS: [&str; 2] = ["pool_G", "pool_F"];

/// What a checkpoint holds beside tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    format: u32,
    step: u64,
    /// Images of each domain seen, over all ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    images: Option<u64>,
    networks: BTreeMap<String, Network>,
    /// Left out while it has nothing to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plateau: Option<Plateau>,
    sha256: String,
}

/// What a checkpoint says about a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Network {
    /// Names and shapes of its parameters.
    layout: String,
    /// Updates that its optimiser made.
    updates: i64,
    /// Whether its values were trained before the run began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    imported: bool,
}

/// Writes a checkpoint into `folder` and takes away all but the newest `keep`.
pub fn save(folder: &Path, model: &CycleGan, keep: usize) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(format!("{:08}.safetensors", model.images));
    // Always the same, so that what a kill leaves of one is written over.
    let beside = folder.join("partial");
    let written = write(&beside, model).and_then(|()| {
        fs::rename(&beside, &path)?;
        // The rename itself must reach the disk before older checkpoints go.
        Ok(File::open(folder)?.sync_all()?)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error.context(format!("cannot write {}", path.display())));
    }
    let all = list(folder)?;
    for old in &all[..all.len().saturating_sub(keep.max(1))] {
        fs::remove_file(old).with_context(|| old.display().to_string())?;
    }
    Ok(path)
}

/// The checkpoints of a folder, oldest first.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(listing) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the newest checkpoint of `folder` has generators of this architecture.
pub fn generators_are(folder: &Path, generator: &Generator) -> Result<bool> {
    let path = newest(folder)?;
    let read = || -> Result<bool> {
        let state = state(&fs::read(&path)?)?;
        Ok(state.networks.get("G").is_some_and(|g| g.layout == generator.layout.signature()))
    };
    read().with_context(|| path.display().to_string())
}

/// The networks of a run as its newest checkpoint has them.
pub fn open_newest(run: &RunFolder, device: Device) -> Result<(Config, CycleGan)> {
    let config = run.config()?;
    let mut model = CycleGan::new(&config.train, device)?;
    load_newest(run, &mut model)?;
    Ok((config, model))
}

/// Puts the newest checkpoint of `run` into `model`. One that knows no images counts as of one rank
/// with the batches that `config.toml` names.
pub fn load_newest(run: &RunFolder, model: &mut CycleGan) -> Result<()> {
    let path = newest(&run.checkpoints())?;
    let images = load(&path, model).with_context(|| path.display().to_string())?;
    model.images = match images {
        Some(images) => images,
        None => model.step * u64::from(run.config()?.train.batch_size),
    };
    Ok(())
}

/// Images that a run had seen at its newest checkpoint; none where that does not know.
pub fn images(run: &RunFolder) -> Result<Option<u64>> {
    let path = newest(&run.checkpoints())?;
    let read = || -> Result<Option<u64>> { Ok(state(&fs::read(&path)?)?.images) };
    read().with_context(|| path.display().to_string())
}

fn newest(folder: &Path) -> Result<PathBuf> {
    let newest = list(folder)?.pop();
    newest.ok_or_else(|| anyhow!("{}: no checkpoint to go on from", folder.display()))
}

fn cut_short(error: SafeTensorError) -> anyhow::Error {
    anyhow!("not a checkpoint or cut short ({error})")
}

fn state(bytes: &[u8]) -> Result<State> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(cut_short)?;
    let state = header.metadata().as_ref().and_then(|m| m.get(STATE));
    let state = state.context("no state in it, expected a checkpoint of this program")?;
    let state: State = serde_json::from_str(state).context("its state")?;
    ensure!(
        [WITHOUT_IMAGES, FORMAT].contains(&state.format),
        "format {}, expected {FORMAT}",
        state.format
    );
    Ok(state)
}

/// Returns the images that the checkpoint's run has seen, where it knows.
fn load(path: &Path, model: &mut CycleGan) -> Result<Option<u64>> {
    let bytes = fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(cut_short)?;
    let state = state(&bytes)?;
    let mut views: Vec<_> = file.iter().collect();
    views.sort_by(|a, b| a.0.cmp(b.0));
    let content = state.checksum(views.iter().map(|(n, v)| (*n, v.data())))?;
    ensure!(
        state.sha256 == content,
        "damaged: its checksum is {}, its content has {content}; take the one before it",
        state.sha256
    );
    restore(&file, &state, model)?;
    Ok(state.images)
}

fn restore(file: &SafeTensors<'_>, state: &State, model: &mut CycleGan) -> Result<()> {
    let about = |name: &str| {
        let about = state.networks.get(name);
        about.with_context(|| format!("no network {name} in it"))
    };
    for (name, player) in players(model) {
        same_architecture(name, &about(name)?.layout, player)?;
    }
    for (name, player) in players_mut(model) {
        let put = |values: &Tensor, what: &str| -> Result<()> {
            let from = vector(file, &format!("{name}.{what}"), values.numel())?;
            no_grad(|| values.shallow_clone().copy_(&from));
            Ok(())
        };
        put(player.params.flat(), "weights")?;
        put(&player.adam.m, "adam_m")?;
        put(&player.adam.v, "adam_v")?;
        let Network { updates, imported, .. } = about(name)?;
        player.adam.t = *updates;
        match &player.ema {
            Some(average) if file.tensor(&format!("{name}.ema")).is_ok() => {
                put(average.flat(), "ema")?;
                player.imported = *imported;
            }
            // An average that was switched on since begins at the weights.
            _ => player.restart_average(),
        }
    }
    for (i, name) in POOLS.iter().enumerate() {
        if let Ok(view) = file.tensor(name) {
            let images = tensor(&view)?.to_device(model.device);
            model.pools[i].restore(&images);
        }
    }
    model.plateau = state.plateau.clone().unwrap_or_default();
    model.step = state.step;
    Ok(())
}

fn same_architecture(name: &str, found: &str, player: &Player) -> Result<()> {
    let expected = player.params.layout().signature();
    if found == expected {
        return Ok(());
    }
    let differing = found.lines().zip(expected.lines()).find(|(f, e)| f != e);
    match differing {
        Some((f, e)) => bail!("another architecture: {name} has `{f}`, the options ask for `{e}`"),
        None => bail!(
            "another architecture: {name} has {} parameters, the options ask for {}",
            found.lines().count(),
            expected.lines().count()
        ),
    }
}

fn players(model: &CycleGan) -> [(&'static str, &Player); 4] {
    let [g, f] = &model.generators;
    let [d_g, d_f] = &model.discriminators;
    [("G", g), ("F", f), ("D_G", d_g), ("D_F", d_f)]
}

fn players_mut(model: &mut CycleGan) -> [(&'static str, &mut Player); 4] {
    let [g, f] = &mut model.generators;
    let [d_g, d_f] = &mut model.discriminators;
    [("G", g), ("F", f), ("D_G", d_g), ("D_F", d_f)]
}

/// The first of a model's tensors that holds something that is no number, or infinite.
pub fn not_finite(model: &CycleGan) -> Option<String> {
    let wrong = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 0;
    tensors(model).into_iter().find(|(_, t)| wrong(t)).map(|(name, _)| name)
}

/// All tensors of a model, in order of name.
fn tensors(model: &CycleGan) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (name, player) in players(model) {
        let mut add = |what: &str, t: &Tensor| {
            tensors.push((format!("{name}.{what}"), t.shallow_clone()));
        };
        add("weights", player.params.flat());
        add("adam_m", &player.adam.m);
        add("adam_v", &player.adam.v);
        if let Some(ema) = &player.ema {
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
    for (name, player) in players(model) {
        let layout = player.params.layout().signature();
        let about = Network { layout, updates: player.adam.t, imported: player.imported };
        networks.insert(name.to_owned(), about);
    }
    let tensors = tensors(model);
    let raw: Vec<_> = tensors.iter().map(|(n, t)| (n.as_str(), shape(t), bytes(t))).collect();
    let (step, images) = (model.step, Some(model.images));
    let plateau = Some(model.plateau.clone()).filter(|p| *p != Plateau::default());
    let mut state =
        State { format: FORMAT, step, images, networks, plateau, sha256: String::new() };
    state.sha256 = state.checksum(raw.iter().map(|(n, _, b)| (*n, b.as_slice())))?;
    let views = raw.iter().map(|(n, s, b)| Ok((*n, TensorView::new(Dtype::F32, s.clone(), b)?)));
    let views: Vec<_> = views.collect::<Result<_>>()?;
    let metadata = HashMap::from([(STATE.to_owned(), serde_json::to_string(&state)?)]);
    let mut file = File::create(path)?;
    file.write_all(&safetensors::serialize(views, Some(metadata))?)?;
    Ok(file.sync_all()?)
}

impl State {
    /// SHA-256 of all of this but the checksum itself, and of the tensors in order of name.
    fn checksum<'a>(&self, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<String> {
        let unsigned = Self { sha256: String::new(), ..self.clone() };
        let mut hash = Sha256::new();
        hash.update(serde_json::to_string(&unsigned)?);
        for (name, bytes) in tensors {
            hash.update(format!("{name}:{}\n", bytes.len()));
            hash.update(bytes);
        }
        Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
    }
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&n| n as usize).collect()
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let count = tensor.numel();
    let mut values = vec![0f32; count];
    tensor.contiguous().copy_data(&mut values, count);
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn tensor(view: &TensorView<'_>) -> Result<Tensor> {
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    ensure!(view.dtype() == Dtype::F32, "a tensor is {:?}, expected F32", view.dtype());
    Ok(Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?)
}

fn vector(file: &SafeTensors<'_>, name: &str, length: usize) -> Result<Tensor> {
    let found = tensor(&file.tensor(name).map_err(|_| anyhow!("no tensor `{name}`"))?)?;
    ensure!(found.size() == [length as i64], "`{name}` is {:?}, expected {length}", found.size());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TrainOptions;

    /// The same checkpoint as a version without images wrote it.
    fn without_images(path: &Path) {
        let bytes = fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut views: Vec<_> = file.iter().collect();
        views.sort_by(|a, b| a.0.cmp(b.0));
        let mut state = state(&bytes).unwrap();
        (state.format, state.images) = (WITHOUT_IMAGES, None);
        state.sha256 = state.checksum(views.iter().map(|(n, v)| (*n, v.data()))).unwrap();
        let metadata = HashMap::from([(STATE.to_owned(), serde_json::to_string(&state).unwrap())]);
        fs::write(path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
    }

    #[test]
    fn images_are_kept_and_of_older_checkpoints_follow_from_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let train = TrainOptions {
            ngf: Some(2),
            width: 2,
            blocks: 1,
            ndf: 2,
            batch_size: 4,
            ..TrainOptions::default()
        };
        let mut model = CycleGan::new(&train, Device::Cpu).unwrap();
        let config = Config::new("data".into(), train);
        run.write_config(&config).unwrap();
        (model.step, model.images) = (3, 7);
        let path = save(&run.checkpoints(), &model, 1).unwrap();
        let images = || open_newest(&run, Device::Cpu).unwrap().1.images;
        assert_eq!(images(), 7);
        without_images(&path);
        assert_eq!(images(), 12);
    }
}
