// SPDX-License-Identifier: MIT OR Apache-2.0

//! A perceptual hash: near-duplicates have nearly equal bits.

use image::RgbImage;

use super::view::View;

/// The difference hash: is each cell of a 9×8 thumbnail darker than its right neighbour?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    /// The hash of an image.
    pub fn of(picture: &RgbImage) -> Self {
        let small = View::stretched(picture.dimensions(), (9, 8)).of_rgb(picture);
        let grey =
            |x: u32, y: u32| small.get_pixel(x, y).0.iter().map(|&v| u32::from(v)).sum::<u32>();
        let mut bits = 0;
        for (y, x) in (0..8).flat_map(|y| (0..8).map(move |x| (y, x))) {
            bits = bits << 1 | u64::from(grey(x, y) < grey(x + 1, y));
        }
        Self(bits)
    }

    /// The number of different bits, of 64.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::{Purpose, random};
    use rand::RngExt;

    fn noise(seed: u64) -> RgbImage {
        let mut rng = random(seed, Purpose::Subset, 0);
        let coarse = RgbImage::from_fn(12, 12, |_, _| image::Rgb(rng.random()));
        View::stretched((12, 12), (120, 120)).of_rgb(&coarse)
    }

    #[test]
    fn brightened_copies_are_near_and_other_images_far() {
        let picture = noise(1);
        let mut brighter = picture.clone();
        brighter.iter_mut().for_each(|v| *v = *v / 2 + 90);
        assert!(Hash::of(&picture).distance(Hash::of(&brighter)) <= 3);
        assert!(Hash::of(&picture).distance(Hash::of(&noise(2))) > 12);
    }
}
