// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pool of earlier generated images, which keeps a discriminator from forgetting (Shrivastava et al.
//! 2017; arXiv 1703.10593, section 4).

use rand::{Rng, RngExt};
use tch::Tensor;

/// Up to `size` generated images.
#[derive(Debug)]
pub struct ImagePool {
    size: usize,
    images: Vec<Tensor>,
}

impl ImagePool {
    /// An empty pool; with `size` 0 it stays empty.
    pub fn new(size: usize) -> Self {
        let images = Vec::new();
        Self { size, images }
    }

    /// For each of the images `fresh`, N×C×H×W, returns an older one half of the time; `None` if all are the new
    /// ones, as while the pool fills.
    pub fn query(&mut self, fresh: &Tensor, rng: &mut impl Rng) -> Option<Tensor> {
        if self.size == 0 {
            return None;
        }
        let of_other_size = |old: &Tensor| old.size() != fresh.size()[1..];
        if self.images.first().is_some_and(of_other_size) {
            self.images.clear();
        }
        let fresh = fresh.detach().unbind(0);
        let old: Vec<_> = fresh.iter().map(|image| self.exchange(image, rng)).collect();
        let mixed = old.iter().zip(&fresh).map(|(old, fresh)| old.as_ref().unwrap_or(fresh));
        old.iter().any(Option::is_some).then(|| Tensor::stack(&mixed.collect::<Vec<_>>(), 0))
    }

    /// An old image, which the new one replaces in the pool, or `None` to use the new one.
    fn exchange(&mut self, fresh: &Tensor, rng: &mut impl Rng) -> Option<Tensor> {
        if self.images.len() < self.size {
            self.images.push(fresh.copy());
            return None;
        }
        if rng.random_bool(0.5) {
            return None;
        }
        let place = rng.random_range(0..self.images.len());
        Some(std::mem::replace(&mut self.images[place], fresh.copy()))
    }

    /// Its images, K×C×H×W, for a checkpoint.
    pub fn images(&self) -> Option<Tensor> {
        (!self.images.is_empty()).then(|| Tensor::stack(&self.images, 0))
    }

    /// Restores the images of [`ImagePool::images`].
    pub fn restore(&mut self, images: &Tensor) {
        self.images = images.unbind(0);
        self.images.truncate(self.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::{Purpose, random};

    fn image(value: f64) -> Tensor {
        Tensor::full([1, 3, 2, 2], value, tch::kind::FLOAT_CPU)
    }

    #[test]
    fn a_full_pool_returns_old_images_half_of_the_time() {
        let mut pool = ImagePool::new(5);
        let mut rng = random(1, Purpose::Pool, 0);
        let mut old = 0;
        for i in 0..405 {
            let Some(back) = pool.query(&image(f64::from(i)), &mut rng) else {
                continue;
            };
            assert!(i >= 5 && back.double_value(&[0, 0, 0, 0]) < f64::from(i));
            old += 1;
        }
        assert!((150..250).contains(&old), "{old} of 400 were old");
        assert_eq!(pool.images().unwrap().size(), [5, 3, 2, 2]);
    }

    #[test]
    fn images_that_are_not_replaced_stay_in_place() {
        let mut pool = ImagePool::new(1);
        let mut rng = random(1, Purpose::Pool, 0);
        let mut mixed = 0;
        for i in 0..40 {
            // The first image is even, the second odd, and both are above all that came before.
            let fresh = Tensor::cat(&[image(f64::from(2 * i)), image(f64::from(2 * i + 1))], 0);
            let Some(back) = pool.query(&fresh, &mut rng) else {
                continue;
            };
            assert_eq!(back.size(), fresh.size());
            let same = [0, 1].map(|n| back.get(n) == fresh.get(n));
            let older =
                [0, 1].map(|n| back.get(n).max().double_value(&[]) < f64::from(2 * i + n as i32));
            assert!(same != [true, true] && older == same.map(|same| !same));
            mixed += usize::from(same != [false, false]);
        }
        assert!(mixed > 5, "{mixed} of 40 had a new and an old one");
    }

    #[test]
    fn a_pool_of_size_0_returns_the_new_images() {
        let mut pool = ImagePool::new(0);
        let mut rng = random(1, Purpose::Pool, 0);
        assert!(pool.query(&image(0.25), &mut rng).is_none());
    }
}
