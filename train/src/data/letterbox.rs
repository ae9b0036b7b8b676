// SPDX-License-Identifier: MIT OR Apache-2.0

//! Black bars, as in letterboxed video.

use image::{GrayImage, Luma, Rgb, RgbImage};
use rand::{Rng, RngExt};

/// Largest share of a side that a bar covers.
const MOST: f64 = 0.25;
/// Grey level of the brightest bars: black with codec noise.
const LIGHTEST: u8 = 16;

/// Bars at one or two opposite sides of a crop.
#[derive(Clone, Copy, Debug)]
pub struct Bars {
    /// Above and below, or to the left and right.
    horizontal: bool,
    /// Share of the side that each covers.
    shares: [f64; 2],
    level: u8,
}

impl Bars {
    /// Bars of random width, equally often at all four sides as the crop of a frame shows them.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut shares = [0, 1].map(|_| rng.random::<f64>() * MOST);
        // A crop may show only one bar.
        if let Some(absent) = shares.get_mut(rng.random_range(0..3)) {
            *absent = 0.0;
        }
        let level = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..=LIGHTEST) };
        Self { horizontal: rng.random_bool(0.7), shares, level }
    }

    /// Whether a pixel of a crop of `size` lies on a bar.
    fn covers(&self, (x, y): (u32, u32), (width, height): (u32, u32)) -> bool {
        let (place, side) = if self.horizontal { (y, height) } else { (x, width) };
        let (place, side) = (f64::from(place) + 0.5, f64::from(side));
        place < self.shares[0] * side || side - place < self.shares[1] * side
    }

    /// The share of foreground that is not covered.
    pub fn leaves(&self, mask: &GrayImage) -> f64 {
        let size = mask.dimensions();
        let open = mask.enumerate_pixels().filter(|&(x, y, _)| !self.covers((x, y), size));
        let sum: u64 = open.map(|(_, _, pixel)| u64::from(pixel.0[0])).sum();
        sum as f64 / (255.0 * f64::from(size.0 * size.1))
    }

    /// Draws the bars over a crop.
    pub fn draw(&self, picture: &mut RgbImage) {
        let size = picture.dimensions();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            if self.covers((x, y), size) {
                *pixel = Rgb([self.level; 3]);
            }
        }
    }

    /// Clears the mask under the bars.
    pub fn clear(&self, mask: &mut GrayImage) {
        let size = mask.dimensions();
        for (x, y, pixel) in mask.enumerate_pixels_mut() {
            if self.covers((x, y), size) {
                *pixel = Luma([0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::{Purpose, random};

    #[test]
    fn bars_are_dark_at_the_sides_and_outside_the_mask() {
        let mut rng = random(1, Purpose::ViewA, 0);
        let (mut one, mut two) = (0, 0);
        for _ in 0..100 {
            let bars = Bars::random(&mut rng);
            let mut picture = RgbImage::from_pixel(40, 20, Rgb([200; 3]));
            let mut mask = GrayImage::from_pixel(40, 20, Luma([255]));
            bars.draw(&mut picture);
            bars.clear(&mut mask);
            for (pixel, inside) in picture.pixels().zip(mask.pixels()) {
                assert_eq!(pixel.0[0] <= LIGHTEST, inside.0[0] == 0);
            }
            assert_eq!(picture.get_pixel(20, 10).0, [200; 3], "the middle is never covered");
            let sides = [(20, 0), (20, 19), (0, 10), (39, 10)];
            match sides.iter().filter(|(x, y)| mask.get_pixel(*x, *y).0[0] == 0).count() {
                1 => one += 1,
                2 => two += 1,
                _ => {}
            }
        }
        assert!(one > 20 && two > 10, "{one} with one bar, {two} with two");
    }
}
