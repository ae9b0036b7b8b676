// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scores of a run during training, on held-out images.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::{
    default_network,
    features::{FeatureNetwork, Scaling},
    kid::kid,
};
use crate::{
    data::{decode, held_out::HeldOut, view::View},
    options::BestBy,
    pixels,
};

/// The titles of the charts, and the scores in each.
pub const CHARTS: [(&str, &[&str]); 3] = [
    ("Validation: KID×100", &["val_kid_A", "val_kid_B"]),
    ("Validation: cycle error, grey levels", &["val_cycle_A", "val_cycle_B"]),
    (
        "Validation: change of images of neither domain, grey levels",
        &["val_negative_A", "val_negative_B"],
    ),
];

/// Held-out images and the feature network.
#[derive(Debug)]
pub struct Validation {
    held_out: HeldOut,
    network: Option<FeatureNetwork>,
    /// Features of the real images, K×D, once computed.
    real: Option<[Tensor; 2]>,
    short: u32,
    multiple: u32,
    device: Device,
    scored_on: String,
}

impl Validation {
    /// Scores images with a short side of `short` and sides that are multiples of `multiple`, pixels, on `device`.
    ///
    /// `features` is an ONNX network as in `eval`, or `none` for no KID; `None` is the default network. Fails if
    /// the score `best` is not available.
    pub fn open(
        held_out: HeldOut,
        features: Option<&Path>,
        best: BestBy,
        (short, multiple): (u32, u32),
        device: Device,
    ) -> Result<Self> {
        let wants_kid = matches!(best, BestBy::Kid | BestBy::KidA | BestBy::KidB);
        let network = match features {
            Some(path) if path == Path::new("none") => None,
            Some(path) => Some(path.to_owned()),
            None => Some(default_network()?),
        };
        ensure!(
            network.is_some() || !wants_kid,
            "--val-features none: there is no KID to choose by, expected another --best-by"
        );
        ensure!(
            best != BestBy::Negatives || !held_out.negatives.is_empty(),
            "--best-by negatives: no held-out images of neither domain, expected more than 3 images in --negatives"
        );
        let scored_on = scored_on(&held_out, network.as_deref(), short);
        let open = |path: PathBuf| FeatureNetwork::open(&path, Scaling::default());
        let network = network.map(open).transpose()?;
        Ok(Self { held_out, network, real: None, short, multiple, device, scored_on })
    }

    /// A digest of the images, the network and the size. Only scores with the same one are comparable.
    pub fn scored_on(&self) -> &str {
        &self.scored_on
    }

    /// The scores by name of those of G and F that are `trained`; `generate` runs generator 0 or 1 on 1×3×H×W in
    /// [−1, 1].
    pub fn score(
        &mut self,
        trained: [bool; 2],
        generate: impl Fn(usize, &Tensor) -> Tensor,
    ) -> Result<Vec<(&'static str, f64)>> {
        let mut features = [Vec::new(), Vec::new()];
        let mut real = [Vec::new(), Vec::new()];
        let (mut cycle, mut negative) = ([0.0; 2], [0.0; 2]);
        for i in 0..2 {
            for path in &self.held_out.domains[i] {
                let x = self.picture(path)?;
                let fake = trained[i].then(|| generate(i, &x));
                if let (Some(fake), true) = (&fake, trained[1 - i]) {
                    cycle[i] +=
                        levels(&generate(1 - i, fake), &x) / self.held_out.domains[i].len() as f64;
                }
                if let Some(network) = &mut self.network {
                    if let Some(fake) = fake {
                        features[i].push(network.run(&fake.to_device(Device::Cpu))?.features);
                    }
                    if self.real.is_none() {
                        real[i].push(network.run(&x.to_device(Device::Cpu))?.features);
                    }
                }
            }
            for path in self.held_out.negatives.iter().filter(|_| trained[i]) {
                let x = self.picture(path)?;
                negative[i] += levels(&generate(i, &x), &x) / self.held_out.negatives.len() as f64;
            }
        }
        let mut scores = Vec::new();
        let of_trained = || (0..2).filter(|&i| trained[i]);
        if self.network.is_some() {
            let real = self.real.get_or_insert_with(|| real.map(|set| Tensor::stack(&set, 0)));
            for i in of_trained() {
                let name = ["val_kid_A", "val_kid_B"][i];
                let fake = Tensor::stack(&features[i], 0);
                scores.push((name, kid(&fake, &real[1 - i]).value * 100.0));
            }
        }
        if trained == [true; 2] {
            scores.extend(["val_cycle_A", "val_cycle_B"].into_iter().zip(cycle));
        }
        if !self.held_out.negatives.is_empty() {
            let names = ["val_negative_A", "val_negative_B"];
            scores.extend(of_trained().map(|i| (names[i], negative[i])));
        }
        Ok(scores)
    }

    fn picture(&self, path: &Path) -> Result<Tensor> {
        let picture = decode::rgb(path)?;
        let view = View::whole(picture.dimensions(), self.short, self.multiple);
        Ok(pixels::to_tensor(&view.of_rgb(&picture)).to_device(self.device))
    }
}

/// A digest of the names of the images, of the network and of the size.
fn scored_on(held_out: &HeldOut, network: Option<&Path>, short: u32) -> String {
    let HeldOut { domains: [a, b], negatives } = held_out;
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = |images: &[PathBuf]| images.iter().map(name).collect::<Vec<_>>().join("/");
    let network = network.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let parts = [names(a), names(b), names(negatives), network, short.to_string()];
    Sha256::digest(parts.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Mean absolute difference, grey levels.
fn levels(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().mean(Kind::Float).double_value(&[]) * 127.5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unreadable images are an error, and an identity pair changes nothing.
    #[test]
    fn an_identity_pair_scores_0_except_for_kid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.png");
        image::RgbImage::from_pixel(20, 30, image::Rgb([9, 99, 199])).save(&path).unwrap();
        let held_out =
            HeldOut { domains: [vec![path.clone()], vec![path.clone()]], negatives: vec![path] };
        let none = Some(Path::new("none"));
        let open = |best| Validation::open(held_out.clone(), none, best, (16, 4), Device::Cpu);
        assert!(open(BestBy::Kid).unwrap_err().to_string().contains("--best-by"));
        let scores =
            open(BestBy::Cycle).unwrap().score([true; 2], |_, x| x.shallow_clone()).unwrap();
        let all = ["val_cycle_A", "val_cycle_B", "val_negative_A", "val_negative_B"];
        assert_eq!(scores, all.map(|name| (name, 0.0)));
        let scores =
            open(BestBy::Cycle).unwrap().score([true; 2], |i, x| x + i as f64 * 0.1).unwrap();
        for ((_, found), expected) in scores.iter().zip([12.75, 12.75, 0.0, 12.75]) {
            assert!((found - expected).abs() < 1e-3, "{scores:?}");
        }
        let of_g = open(BestBy::Negatives).unwrap().score([true, false], |_, x| x.shallow_clone());
        assert_eq!(of_g.unwrap(), [("val_negative_A", 0.0)]);
    }
}
