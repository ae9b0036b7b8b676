// SPDX-License-Identifier: MIT OR Apache-2.0

//! A moving scene for whoever has no video at hand: the camera pans over a mountain meadow where
//! photographed horses stand and walk.
//!
//! Everything moves by whole pixels a frame, so nothing shimmers.

use std::path::Path;

use anyhow::{Context as _, Result};
use image::{
    Rgba, RgbaImage,
    imageops::{self, FilterType},
};

/// Size of a frame, in pixels.
pub const SIZE: (u32, u32) = (640, 360);
/// Frames a second.
pub const RATE: u32 = 25;
/// How many frames there are: six seconds.
pub const FRAMES: u32 = 150;

/// The camera's pan, in pixels a frame.
const PAN: u32 = 2;
/// Pixels of the meadow's photograph above the camera's view, once it is as wide as the pan needs.
const SKY_CUT: u32 = 240;

/// A horse in the meadow; lengths are in pixels of the meadow.
struct Horse {
    picture: RgbaImage,
    shadow: RgbaImage,
    /// Its left edge in the first frame.
    left: i64,
    /// Where its hooves stand.
    ground: i64,
    /// How far it walks to the right in a frame.
    step: i64,
}

/// The pictures that frames are made of.
pub struct Scene {
    meadow: RgbaImage,
    /// Those further away first.
    horses: Vec<Horse>,
}

impl Scene {
    /// Reads `horse.png` (with alpha) and `meadow.jpg` from a folder.
    pub fn open(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = folder.join(name);
            image::open(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        let width = SIZE.0 + PAN * FRAMES;
        let photograph = read("meadow.jpg")?.into_rgba8();
        let height = photograph.height() * width / photograph.width();
        let meadow = imageops::resize(&photograph, width, height, FilterType::Lanczos3);

        let horse = read("horse.png")?.into_rgba8();
        let faces_left = imageops::flip_horizontal(&horse);
        Ok(Self {
            meadow,
            horses: vec![
                Horse::new(&faces_left, 84, 700, 508, 0),
                Horse::new(&horse, 96, 20, 470, 1),
                Horse::new(&horse, 140, 400, 560, 0),
            ],
        })
    }

    /// The frame with this number, from 0.
    pub fn frame(&self, number: u32) -> RgbaImage {
        let camera = PAN * number;
        let view = imageops::crop_imm(&self.meadow, camera, SKY_CUT, SIZE.0, SIZE.1);
        let mut frame = view.to_image();
        for horse in &self.horses {
            let walked = horse.step * i64::from(number);
            let left = horse.left + walked - i64::from(camera);
            let ground = horse.ground - i64::from(SKY_CUT);
            imageops::overlay(
                &mut frame,
                &horse.shadow,
                left,
                ground - i64::from(horse.shadow.height()) / 2,
            );
            // A walking horse's back rises and falls.
            let rise = ((walked as f32 / 6.0).sin() * 1.5).round() as i64;
            imageops::overlay(
                &mut frame,
                &horse.picture,
                left,
                ground + rise - i64::from(horse.picture.height()),
            );
        }
        frame
    }
}

impl Horse {
    fn new(picture: &RgbaImage, height: u32, left: i64, ground: i64, step: i64) -> Self {
        let width = picture.width() * height / picture.height();
        Self {
            picture: imageops::resize(picture, width, height, FilterType::Lanczos3),
            shadow: shadow(width, width / 6),
            left,
            ground,
            step,
        }
    }
}

/// The shade under an animal: black, a soft ellipse of this size in its alpha.
fn shadow(width: u32, height: u32) -> RgbaImage {
    let from_middle = |at: u32, size: u32| (at as f32 + 0.5) / size as f32 * 2.0 - 1.0;
    RgbaImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (from_middle(x, width), from_middle(y, height));
        let shade = 0.6 * (1.0 - dx * dx - dy * dy).max(0.0);
        Rgba([0, 0, 0, (shade * 255.0) as u8])
    })
}
