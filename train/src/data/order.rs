// SPDX-License-Identifier: MIT OR Apache-2.0

//! The order of images and all other randomness of a run, as functions of the seed and a position: to
//! resume, a run only needs its position.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// The purpose of random numbers; each has its own stream.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The order of domain A within an epoch.
    OrderA = 1,
    /// Which image of domain B goes with one of A.
    PickB = 2,
    /// Crop and flip of an image of A.
    ViewA = 3,
    /// Crop and flip of an image of B.
    ViewB = 4,
    /// The choice of the image pools.
    Pool = 5,
    /// The subsets of a measurement.
    Subset = 7,
    /// Noise and dropout of an iteration.
    Step = 6,
    /// The image of neither domain for the generator of A, and its crop.
    NegativeA = 8,
    /// The same for the generator of B.
    NegativeB = 9,
    /// The extra image for the generator of A, and its crop.
    ExtraA = 10,
    /// The same for the generator of B.
    ExtraB = 11,
}

/// The random numbers for a purpose at a position.
pub fn random(seed: u64, purpose: Purpose, position: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&position.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The order of an epoch: as long as the larger domain, with each image of A equally often.
pub fn order_of_epoch(seed: u64, epoch: u64, images_a: usize, length: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).map(|i| i % images_a).collect();
    order.shuffle(&mut random(seed, Purpose::OrderA, epoch));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_every_image_equally_often() {
        let mut order = order_of_epoch(7, 3, 4, 8);
        assert_ne!(order, order_of_epoch(7, 4, 4, 8));
        order.sort();
        assert_eq!(order, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
