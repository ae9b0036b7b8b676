// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sample pictures: what the generators make of a few fixed images.

use anyhow::{Context, Result};
use image::RgbImage;
use std::{fs, path::Path};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    cyclegan::CycleGan,
    data::{decode, folder::Domain, view::View},
    net::params::Params,
    pixels,
};

/// Images of each domain that are shown.
const ROWS: usize = 4;
/// Side of a tile, pixels.
const SIDE: u32 = 256;

/// The images to show, N×3×256×256 each domain.
#[derive(Debug)]
pub struct Samples([Tensor; 2]);

impl Samples {
    /// Picks images evenly from `testA` and `testB`, else from the training images.
    pub fn pick(data: &Path, train: &[Domain; 2], device: Device) -> Result<Self> {
        let of = |name: &str, train: &Domain| -> Result<Tensor> {
            let test = Domain::open_if_there(data, name)?;
            let images = &test.as_ref().unwrap_or(train).images;
            let step = (images.len() / ROWS).max(1);
            let picked = images.iter().step_by(step).take(ROWS);
            // One that cannot be read is reported by the loader.
            let tiles: Vec<Tensor> = picked.filter_map(|p| tile(p).ok()).collect();
            anyhow::ensure!(!tiles.is_empty(), "{}: no readable picture to show", name);
            Ok(Tensor::stack(&tiles, 0).to_device(device))
        };
        Ok(Self([of("testA", &train[0])?, of("testB", &train[1])?]))
    }

    /// A grid: a row for each image, columns real, painted, cycled and, with a mask head, mask.
    pub fn grid(&self, model: &CycleGan) -> RgbImage {
        let rows: Vec<Tensor> = (0..2).map(|i| self.rows(model, i)).collect();
        pixels::to_picture(&Tensor::cat(&rows, 1))
    }

    /// The rows of direction `i`, 3×H×W.
    fn rows(&self, model: &CycleGan, i: usize) -> Tensor {
        let paint = |params: &Params, x: &Tensor| {
            let weights = params.weights(Kind::Float);
            model.generator.forward(&weights, x, Kind::Float, false)
        };
        no_grad(|| {
            let real = &self.0[i];
            let fake = paint(model.generators[i].shown(), real);
            let cycled = paint(model.generators[1 - i].shown(), &fake.image);
            let same = paint(model.generators[1 - i].shown(), real);
            let mut columns = vec![real.shallow_clone(), fake.image, cycled.image, same.image];
            columns.extend(fake.mask_logits.map(|m| (m.sigmoid() * 2.0 - 1.0).expand_as(real)));
            let wide = Tensor::cat(&columns, 3);
            Tensor::cat(&wide.unbind(0), 1)
        })
    }
}

/// Writes a picture, making the folder if it is not there.
pub fn write(picture: &RgbImage, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png)?;
    crate::run_folder::write_beside(path, png.get_ref())
}

fn tile(path: &Path) -> Result<Tensor> {
    let picture = decode::rgb(path)?;
    let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
    let side = w.min(h);
    let view = View {
        rect: [(w - side) / 2.0, (h - side) / 2.0, side, side],
        size: (SIDE, SIDE),
        flip: false,
    };
    Ok(pixels::to_tensor(&view.of_rgb(&picture)).squeeze_dim(0))
}
