// SPDX-License-Identifier: MIT OR Apache-2.0

//! Samples: the generators' output for a few fixed images.

use anyhow::{Context, Result, ensure};
use image::RgbImage;
use std::{fs, path::Path};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    cyclegan::CycleGan,
    data::{
        decode,
        folder::{Domain, pictures},
        pairs::matched,
        view::View,
    },
    options::TrainOptions,
    pixels,
};

/// Number of images of each domain.
const ROWS: usize = 4;
/// Number of samples that a run keeps.
const MOST: usize = 100;
/// Side of a tile, pixels.
const SIDE: u32 = 256;

/// The images to show, N×3×256×256 per domain.
#[derive(Debug)]
pub struct Samples {
    images: [Tensor; 2],
    paired: bool,
    /// Whether G and F are trained.
    trained: [bool; 2],
}

impl Samples {
    /// Picks images evenly from `testA` and `testB`, else from the training images.
    ///
    /// With `paired`, images with the same index in both domains are partners.
    pub fn pick(
        data: &Path,
        train: &[Domain; 2],
        options: &TrainOptions,
        device: Device,
    ) -> Result<Self> {
        let paired = options.paired();
        let [a, b] = images_of(data, train, paired)?;
        let of = |domain: &Domain| -> Result<Tensor> {
            let step = (domain.images.len() / ROWS).max(1);
            let picked = domain.images.iter().step_by(step).take(ROWS);
            // The loader reports images that cannot be read.
            let tiles: Vec<Tensor> = picked.filter_map(|p| tile(p).ok()).collect();
            let folder = domain.images[0].parent().unwrap_or(data).display();
            ensure!(!tiles.is_empty(), "{folder}: no readable image for the samples");
            Ok(Tensor::stack(&tiles, 0).to_device(device))
        };
        let images = [of(&a)?, of(&b)?];
        // Rows would not match if one image of a pair cannot be read.
        let paired = paired && images[0].size() == images[1].size();
        Ok(Self { images, paired, trained: options.trained() })
    }

    /// Describes the columns and rows of [`Samples::grid`].
    pub fn caption(&self) -> String {
        let columns = match (self.paired, self.trained == [true; 2]) {
            (true, _) => "real, generated, partner and, with a mask head, mask",
            (false, true) => "real, generated, cycled, identity and, with a mask head, mask",
            (false, false) => "real, generated and, with a mask head, mask",
        };
        let rows = match self.trained {
            [true, true] => "Upper half A→B, lower half B→A.",
            [_, false] => "All rows A→B.",
            [false, true] => "All rows B→A.",
        };
        format!("Columns: {columns}. {rows}")
    }

    /// A grid of the trained directions with one row per image, see [`Samples::caption`].
    pub fn grid(&self, model: &CycleGan) -> RgbImage {
        let rows: Vec<Tensor> =
            (0..2).filter(|&i| self.trained[i]).map(|i| self.rows(model, i)).collect();
        pixels::to_picture(&Tensor::cat(&rows, 1))
    }

    /// The rows of direction `i`, 3×H×W.
    fn rows(&self, model: &CycleGan, i: usize) -> Tensor {
        let generate = |k: usize, x: &Tensor| {
            let weights = model.generators[k].averaged().weights(Kind::Float);
            model.networks[k].forward(&weights, x, Kind::Float, false)
        };
        no_grad(|| {
            let real = &self.images[i];
            let fake = generate(i, real);
            let mut columns = vec![real.shallow_clone(), fake.image.shallow_clone()];
            if self.paired {
                columns.push(self.images[1 - i].shallow_clone());
            } else if self.trained == [true; 2] {
                columns.extend([generate(1 - i, &fake.image).image, generate(1 - i, real).image]);
            }
            columns.extend(fake.mask_logits.map(|m| (m.sigmoid() * 2.0 - 1.0).expand_as(real)));
            let wide = Tensor::cat(&columns, 3);
            Tensor::cat(&wide.unbind(0), 1)
        })
    }
}

/// The test images, else the training images.
fn images_of(data: &Path, train: &[Domain; 2], paired: bool) -> Result<[Domain; 2]> {
    let test = |name: &str| Domain::open_if_there(data, name);
    let [a, b] = match [test("testA")?, test("testB")?] {
        [Some(a), Some(b)] if paired => return matched(a, b, None),
        [None, _] | [_, None] if paired => return Ok(train.clone()),
        tests => tests,
    };
    Ok([a.unwrap_or_else(|| train[0].clone()), b.unwrap_or_else(|| train[1].clone())])
}

/// Deletes every second sample of a run if there are too many, except for the newest and the oldest: in
/// long runs they are farther apart.
pub fn thin(folder: &Path) -> Result<()> {
    let pictures = pictures(folder)?;
    if pictures.len() <= MOST {
        return Ok(());
    }
    let last = pictures.len() - 1;
    for (i, picture) in pictures.iter().enumerate() {
        if i % 2 == 1 && i != last {
            fs::remove_file(picture).with_context(|| picture.display().to_string())?;
        }
    }
    Ok(())
}

fn tile(path: &Path) -> Result<Tensor> {
    let picture = decode::rgb(path)?;
    let view = View::square(picture.dimensions(), SIDE);
    Ok(pixels::to_tensor(&view.of_rgb(&picture)).squeeze_dim(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caption_names_only_the_trained_directions() {
        let caption = |trained| {
            let images = [0, 1].map(|_| Tensor::new());
            Samples { images, paired: false, trained }.caption()
        };
        for trained in [[true; 2], [true, false], [false, true]] {
            let caption = caption(trained);
            assert_eq!(["A→B", "B→A"].map(|direction| caption.contains(direction)), trained);
        }
    }

    #[test]
    fn the_samples_of_a_long_run_are_thinned() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |i: usize| folder.path().join(format!("{i:08}.png"));
        for i in 1..=1000 {
            fs::write(picture(i), b"").unwrap();
            thin(folder.path()).unwrap();
        }
        let left = pictures(folder.path()).unwrap();
        assert!((MOST / 2..=MOST).contains(&left.len()), "{}", left.len());
        assert!(left[0] == picture(1) && left[left.len() - 1] == picture(1000));
    }
}
