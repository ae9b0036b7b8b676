// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checkpoints: everything that a run needs to resume as if it had never stopped.
//!
//! Each is a safetensors file, `checkpoints/00012000.safetensors` after 12,000 images of each domain, written
//! atomically. Its metadata has the architecture and a SHA-256 of everything else in the file.

mod file;
mod read;
mod save;
mod state;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

pub use read::{Checkpoint, ExportedGenerators, open_newest};
pub use save::{save, save_best};
pub use state::not_finite;

const FORMAT: u32 = 3;
/// The only entry of the file's metadata: safetensors does not keep the order of entries, and equal runs
/// must write equal bytes.
const STATE: &str = "cyclegan-train";
/// The checkpoint that scored best.
const BEST: &str = "best.safetensors";

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

/// The scores of the checkpoint that scored best, if there is one and it is valid.
pub fn scores_of_best(folder: &Path) -> Option<Map<String, Value>> {
    Some(Checkpoint::open(&folder.join(BEST)).ok()?.state.scores)
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

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::{state::tensors, *};
    use crate::{
        cyclegan::CycleGan,
        options::TrainOptions,
        run_folder::{Config, RunFolder},
    };

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
