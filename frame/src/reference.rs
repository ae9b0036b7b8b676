// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a generator's input has changed since an earlier frame.

use cyclegan_contract::Size;

use super::tensor::Element;

/// Side of the blocks that are compared, in pixels. A small moving object changes one block much and the
/// whole image little.
const BLOCK: usize = 16;
/// Number of separate sums, so that the compiler vectorises the additions.
const LANES: usize = 8;

/// An earlier input of the generator, 3×H×W, with which later ones are compared.
#[derive(Debug)]
pub struct ReferenceImage {
    size: Size,
    values: Vec<f32>,
    /// The differences of a row of blocks. Kept so that a frame allocates nothing.
    sums: Vec<f32>,
}

impl ReferenceImage {
    /// For inputs of `size`; all 0 until one is set.
    pub fn new(size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        Self { size, values: vec![0.0; 3 * width * height], sums: vec![0.0; width.div_ceil(BLOCK)] }
    }

    /// Copies `tensor`, 3×H×W.
    pub fn set<T: Element>(&mut self, tensor: &[T]) {
        let width = self.size.width as usize;
        for (row, kept) in tensor.chunks(width).zip(self.values.chunks_mut(width)) {
            T::for_each_block(row, |start, values| {
                kept[start..][..values.len()].copy_from_slice(values);
            });
        }
    }

    /// Whether `tensor`, 3×H×W, differs from the earlier input by `limit` or more, in the tensor's unit. The
    /// difference is the mean absolute difference over the three components of a block of 16×16 pixels,
    /// for the block in which it is largest.
    pub fn differs<T: Element>(&mut self, tensor: &[T], limit: f32) -> bool {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        (0..height).step_by(BLOCK).any(|top| {
            let rows = BLOCK.min(height - top);
            self.sums.fill(0.0);
            for plane in 0..3 {
                let band = (plane * height + top) * width;
                let now = tensor[band..][..rows * width].chunks(width);
                let before = self.values[band..][..rows * width].chunks(width);
                now.zip(before).for_each(|(now, before)| add_row(&mut self.sums, now, before));
            }
            self.sums.iter().enumerate().any(|(column, sum)| {
                let columns = BLOCK.min(width - column * BLOCK);
                *sum >= limit * (3 * rows * columns) as f32
            })
        })
    }
}

/// Adds the absolute differences of two rows to the sums of the blocks that they cross.
fn add_row<T: Element>(sums: &mut [f32], now: &[T], before: &[f32]) {
    // These start at multiples of a block's side.
    T::for_each_block(now, |start, now| {
        let before = before[start..][..now.len()].chunks(BLOCK);
        let blocks = now.chunks(BLOCK).zip(before).zip(&mut sums[start / BLOCK..]);
        blocks.for_each(|((now, before), sum)| *sum += difference(now, before));
    });
}

/// The sum of absolute differences.
fn difference(now: &[f32], before: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for (now, before) in now.chunks(LANES).zip(before.chunks(LANES)) {
        for (lane, (now, before)) in lanes.iter_mut().zip(now.iter().zip(before)) {
            *lane += (now - before).abs();
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    /// The largest mean difference, block by block and pixel by pixel.
    fn largest_mean(now: &[f32], before: &[f32], size: Size) -> f32 {
        let (width, height) = (size.width as usize, size.height as usize);
        let mut largest = 0f32;
        for top in (0..height).step_by(BLOCK) {
            for left in (0..width).step_by(BLOCK) {
                let (mut sum, mut count) = (0f64, 0);
                for plane in 0..3 {
                    for y in top..height.min(top + BLOCK) {
                        for x in left..width.min(left + BLOCK) {
                            let place = (plane * height + y) * width + x;
                            sum += f64::from((now[place] - before[place]).abs());
                            count += 1;
                        }
                    }
                }
                largest = largest.max((sum / f64::from(count)) as f32);
            }
        }
        largest
    }

    proptest! {
        #[test]
        fn differs_agrees_with_the_reference(
            width in 1..600u32, height in 1..50u32, seed in any::<u64>(), is_half in any::<bool>(),
        ) {
            let size = Size { width, height };
            let mut random = fastrand::Rng::with_seed(seed);
            let mut picture = |scale: f32| -> Vec<f32> {
                let count = 3 * width as usize * height as usize;
                let value = |random: &mut fastrand::Rng| (random.f32() * scale).round() / 64.0;
                std::iter::repeat_with(|| value(&mut random)).take(count).collect()
            };
            let (before, now) = (picture(64.0), picture(48.0));
            let expected = largest_mean(&now, &before, size);
            let mut reference = ReferenceImage::new(size);
            // Sixty-fourths are the same in both types.
            let half = |values: &[f32]| -> Vec<_> {
                values.iter().map(|value| f16::from_f32(*value)).collect()
            };
            let mut differs = |limit: f32| match is_half {
                false => {
                    reference.set(&before);
                    reference.differs(&now, limit)
                }
                true => {
                    reference.set(&half(&before));
                    reference.differs(&half(&now), limit)
                }
            };
            prop_assert!(differs(expected * 0.999));
            prop_assert!(expected == 0.0 || !differs(expected * 1.001));
        }
    }

    #[test]
    fn a_small_moving_object_is_detected() {
        let size = Size { width: 456, height: 256 };
        let mut picture = vec![0.5f32; 3 * 456 * 256];
        let mut reference = ReferenceImage::new(size);
        reference.set(&picture);
        assert!(!reference.differs(&picture, 1e-6));
        for y in 100..108 {
            picture[y * 456 + 200..][..8].fill(1.0);
        }
        // A quarter of a block, in one of three components.
        assert!(reference.differs(&picture, 0.5 / 4.0 / 3.0 * 0.99));
        assert!(!reference.differs(&picture, 0.5 / 4.0 / 3.0 * 1.01));
    }
}
