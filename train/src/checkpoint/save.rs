// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writes checkpoints.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::{
    BEST, FORMAT, STATE, file, numbered,
    state::{Network, State, states, tensors},
};
use crate::cyclegan::{CycleGan, schedule::Plateau};

/// Writes a checkpoint into `folder` and deletes all but the newest `keep`.
pub fn save(folder: &Path, model: &CycleGan, keep: usize) -> Result<PathBuf> {
    let path = save_as(folder, &format!("{:08}.safetensors", model.images), model, &Map::new())?;
    // Checkpoints of later iterations were damaged, so the run continued without them.
    let (all, later): (Vec<_>, Vec<_>) =
        numbered(folder)?.into_iter().partition(|(images, _)| *images <= model.images);
    for (_, old) in all[..all.len().saturating_sub(keep.max(1))].iter().chain(&later) {
        fs::remove_file(old).with_context(|| old.display().to_string())?;
    }
    Ok(path)
}

/// Writes the checkpoint that scored best so far, with its scores.
pub fn save_best(folder: &Path, model: &CycleGan, scores: &Map<String, Value>) -> Result<()> {
    save_as(folder, BEST, model, scores)?;
    Ok(())
}

fn save_as(
    folder: &Path,
    name: &str,
    model: &CycleGan,
    scores: &Map<String, Value>,
) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(name);
    // Always the same name, so that a partial file of a killed run is overwritten.
    let beside = folder.join("partial");
    let written = write(&beside, model, scores).and_then(|()| {
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

fn write(path: &Path, model: &CycleGan, scores: &Map<String, Value>) -> Result<()> {
    let mut networks = BTreeMap::new();
    for (name, state) in states(model) {
        let layout = state.params.layout().signature();
        let about = Network { layout, updates: state.adam.t, imported: state.imported };
        networks.insert(name.to_owned(), about);
    }
    let (step, images) = (model.step, model.images);
    let plateau = Some(model.plateau.clone()).filter(|p| *p != Plateau::default());
    let (scores, sha256) = (scores.clone(), String::new());
    let state = State { format: FORMAT, step, images, networks, plateau, scores, sha256 };
    file::write(path, &tensors(model), STATE, |checksum| state.with_checksum(checksum))
}
