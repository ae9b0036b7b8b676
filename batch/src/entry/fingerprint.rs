// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an output depends on.

use std::{
    fs::{self, File, Metadata},
    io,
    path::Path,
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result, anyhow, bail};
use cyclegan_contract::{Direction, Precision, file_name};
use digest_io::IoWrapper;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::hexadecimal;
use crate::{files::unreadable, item::Item, options::Recipe};

/// Everything that an output depends on: the same fingerprint gives the same output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size of the input in bytes.
    pub size: u64,
    /// Modification time of the input, in nanoseconds since 1970.
    modified: u64,
    /// SHA-256 of the generator's file.
    model: String,
    /// The options, except the name of the generator: the same generator may have several names.
    recipe: Recipe,
}

impl Fingerprint {
    /// The fingerprint of `item`, translated with `recipe` and the generator whose file has the hash `model`.
    /// Fails if the input cannot be read.
    pub fn new(item: &Item, recipe: &Recipe, model: &str) -> Result<Self> {
        let unreadable = |error: io::Error| anyhow!(unreadable(&item.input, &error));
        let metadata = fs::metadata(&item.input).map_err(unreadable)?;
        // Reading a pipe or a device may block forever.
        if !metadata.is_file() {
            bail!("is not a file");
        }
        if metadata.len() == 0 {
            // Files in /proc report a size of 0 even if they have content, but none is a video.
            bail!("is empty");
        }
        File::open(&item.input).map_err(unreadable)?;
        let modified = modified(&metadata).map_err(unreadable)?;
        Ok(Self {
            size: metadata.len(),
            modified,
            model: model.to_owned(),
            recipe: Recipe { model: None, sample: item.sample, ..recipe.clone() },
        })
    }

    /// Whether `input` has changed since.
    pub fn is_outdated(&self, input: &Path) -> bool {
        let now = fs::metadata(input).and_then(|now| Ok((now.len(), modified(&now)?)));
        now.is_ok_and(|now| now != (self.size, self.modified))
    }
}

/// Modification time, nanoseconds since 1970.
fn modified(file: &Metadata) -> io::Result<u64> {
    let since = file.modified()?.duration_since(UNIX_EPOCH);
    Ok(since.map_or(0, |time| time.as_nanos() as u64))
}

/// SHA-256 of a generator in hexadecimal. For a variant of a pair, such as `G.int8.onnx`, it is that of the float32
/// file, so that machines with different variants share outputs.
pub fn hash_of_model(path: &Path) -> Result<String> {
    let is_variant_of = |direction: &Direction| {
        Precision::ALL.iter().any(|precision| path.ends_with(file_name(*direction, *precision)))
    };
    let direction = Direction::BOTH.into_iter().find(is_variant_of);
    let full =
        direction.map(|direction| path.with_file_name(file_name(direction, Precision::Fp32)));
    hash_of(full.as_deref().filter(|full| full.is_file()).unwrap_or(path))
}

/// SHA-256 of a file in hexadecimal.
fn hash_of(path: &Path) -> Result<String> {
    let mut hash = IoWrapper(Sha256::new());
    let hashed = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hash));
    hashed.with_context(|| format!("cannot read the generator {}", path.display()))?;
    Ok(hexadecimal(&hash.0.finalize()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::Options;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("a.png");
        fs::write(&input, "an image").unwrap();
        // Frame 2164 at 24 frames a second.
        let options = ["cyclegan-batch", "in", "--out", "out", "--start", "90.16666666666667"];
        let recipe = Options::parse_from(options).recipe;
        let fingerprint = Fingerprint::new(&Item::png(input), &recipe, "").unwrap();
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), fingerprint);
    }

    #[test]
    fn the_variants_of_a_pair_have_one_hash_and_other_generators_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let hash = |name: &str| hash_of_model(&folder.path().join(name)).unwrap();
        let names = [
            "G.onnx",
            "G.int8.onnx",
            "F.fp16.onnx",
            "zebra.onnx",
            "zebra.v1.onnx",
            "zebra.v2.onnx",
        ];
        for name in names {
            fs::write(folder.path().join(name), name).unwrap();
        }
        assert_eq!(hash("G.int8.onnx"), hash("G.onnx"));
        let mut hashes: Vec<_> = names.into_iter().map(hash).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), names.len() - 1);
    }
}
