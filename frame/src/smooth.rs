// SPDX-License-Identifier: MIT OR Apache-2.0

//! Temporal smoothing: mixes a residual with the motion-compensated residual of the previous frame.

use super::{
    motion::{BLOCK, Block, LumaPlane, Origin, between, mean},
    residual::Residual,
};
use cyclegan_contract::Size;

/// A pixel that differs from its match in the previous frame by this many grey levels is new and has no
/// earlier residual.
const NEW: i32 = 32;
/// The mean difference of matched blocks, in grey levels, from which an image starts a new scene.
const SCENE_CUT: u32 = 24;

/// Smooths the residuals of consecutive frames.
///
/// ```
/// use cyclegan_frame::{LumaPlane, Residual, Size, Smoother};
///
/// let size = Size { width: 32, height: 24 };
/// let mut smoother = Smoother::new(size);
/// let (mut first, mut second) = (Residual::new(size), Residual::new(size));
/// first.planes[0].fill(1000);
///
/// // Two equal images: the second residual becomes 0.6 times the first one.
/// smoother.smooth(&mut first, &mut LumaPlane::new(size), 0.6);
/// smoother.smooth(&mut second, &mut LumaPlane::new(size), 0.6);
/// assert!((590..=610).contains(&second.planes[0][0]));
/// ```
#[derive(Debug)]
pub struct Smoother {
    /// The previous image.
    before: LumaPlane,
    /// The previous smoothed residual.
    last: Residual,
    has_last: bool,
    /// The match of each block. Kept so that frames allocate nothing.
    moved: Vec<(Block, Origin)>,
}

impl Smoother {
    /// For residuals of `size`.
    pub fn new(size: Size) -> Self {
        let (before, last) = (LumaPlane::new(size), Residual::new(size));
        Self { before, last, has_last: false, moved: Vec::new() }
    }

    /// The size of the residuals.
    pub fn size(&self) -> Size {
        self.last.size
    }

    /// Discards the previous residual, if the next frame does not continue it.
    pub fn reset(&mut self) {
        self.has_last = false;
    }

    /// Mixes `smoothing` (0 to 1) of the previous residual into `residual`, which belongs to the image `now`.
    /// Swaps that image with the previous one, to keep it for the next call.
    pub fn smooth(&mut self, residual: &mut Residual, now: &mut LumaPlane, smoothing: f32) {
        if self.has_last {
            self.mix(residual, now, (smoothing * 256.0).round() as i32);
        }
        std::mem::swap(now, &mut self.before);
        for (last, plane) in self.last.planes.iter_mut().zip(&residual.planes) {
            last.copy_from_slice(plane);
        }
        self.has_last = true;
    }

    fn mix(&mut self, residual: &mut Residual, now: &LumaPlane, smoothing: i32) {
        self.moved.clear();
        let origin = |block| (block, Origin::of(block, now, &self.before));
        self.moved.extend(now.blocks().map(origin));
        let difference: u32 = self.moved.iter().map(|(_, origin)| origin.difference).sum();
        if difference > SCENE_CUT * self.moved.len() as u32 {
            return;
        }
        for (block, origin) in &self.moved {
            self.mix_block(residual, now, *block, *origin, smoothing);
        }
    }

    fn mix_block(
        &self,
        residual: &mut Residual,
        now: &LumaPlane,
        block: Block,
        origin: Origin,
        smoothing: i32,
    ) {
        let width = now.size.width as usize;
        for y in 0..block.height {
            let here = (block.top + y) * width + block.left;
            let before = between(origin.around(&self.before.pixels, width, y, block.width));
            let mut trust = [0; BLOCK];
            let pixels = now.pixels[here..][..block.width].iter().zip(before);
            for ((pixel, before), trust) in pixels.zip(&mut trust) {
                let difference = i32::from(pixel.abs_diff(before));
                *trust = (NEW - difference).max(0) * smoothing / NEW;
            }
            for (plane, last) in residual.planes.iter_mut().zip(&self.last.planes) {
                let last = origin.around(last, width, y, block.width);
                let steps = plane[here..][..block.width].iter_mut().enumerate();
                for ((x, step), trust) in steps.zip(&trust) {
                    let now = i32::from(*step);
                    let last = mean(last.map(|row| i32::from(row[x])));
                    *step = (now + (last - now) * trust / 256) as i16;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 32, height: 24 };

    fn residual(step: i16) -> Residual {
        let mut residual = Residual::new(SIZE);
        residual.planes.iter_mut().for_each(|plane| plane.fill(step));
        residual
    }

    fn flat(level: u8) -> LumaPlane {
        let mut luma = LumaPlane::new(SIZE);
        luma.pixels.fill(level);
        luma
    }

    fn smoothed(greys: [u8; 2], is_reset: bool) -> i16 {
        let mut smoother = Smoother::new(SIZE);
        smoother.smooth(&mut residual(1000), &mut flat(greys[0]), 0.6);
        if is_reset {
            smoother.reset();
        }
        let mut second = residual(0);
        smoother.smooth(&mut second, &mut flat(greys[1]), 0.6);
        second.planes[0][100]
    }

    #[test]
    fn a_still_image_keeps_its_share_of_the_last_residual() {
        let mixed = smoothed([100, 100], false);
        assert!((595..=605).contains(&mixed), "{mixed}");
    }

    #[test]
    fn cuts_and_resets_leave_the_residual_unchanged() {
        assert_eq!(smoothed([10, 200], false), 0);
        assert_eq!(smoothed([100, 100], true), 0);
    }

    #[test]
    fn the_residual_moves_with_the_image() {
        let size = Size { width: 64, height: 48 };
        let picture = |shift: usize| -> LumaPlane {
            let texture = |x: usize, y: usize| ((x * 37 + y * 61 + x * y * 13) % 97) as u8 + 80;
            let pixels = (0..48).flat_map(|y| (0..64).map(move |x| texture(x + 8 - shift, y)));
            // Blurred along the rows, as the search expects of pictures.
            let row: Vec<u8> = pixels.collect();
            let blurred = row
                .windows(3)
                .chain([&row[..3], &row[..3]])
                .map(|w| w.iter().map(|&v| u32::from(v)).sum::<u32>() as u8 / 3);
            LumaPlane { size, pixels: blurred.collect() }
        };
        let mut smoother = Smoother::new(size);
        let mut first = Residual::new(size);
        first.planes[0][20 * 64 + 30] = 1000;
        smoother.smooth(&mut first, &mut picture(0), 1.0);
        let mut second = Residual::new(size);
        smoother.smooth(&mut second, &mut picture(2), 1.0);
        assert!(second.planes[0][20 * 64 + 32] > 900, "it should be two pixels to the right");
        assert_eq!(second.planes[0][20 * 64 + 30], 0);
    }
}
