// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where each part of a picture was in the picture before: block matching by three-step search
//! (Koga et al., 1981).

use super::geometry::Size;

/// Side of a block, in pixels of the picture that the generator sees.
pub const BLOCK: usize = 8;
/// The steps of the search, in pixels; together they reach 7 pixels in each direction.
const STEPS: [isize; 3] = [4, 2, 1];
/// A block keeps still unless another place is better by this much a pixel, in grey levels: noise
/// must not make flat parts wander.
const STILLNESS: u32 = 1;

/// How far a block has moved since the picture before, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Motion {
    /// To the right.
    pub x: isize,
    /// Downwards.
    pub y: isize,
}

/// A grey picture, rows without padding.
#[derive(Clone, Debug)]
pub struct Grey {
    /// Width and height.
    pub size: Size,
    /// The rows, 0 to 255.
    pub pixels: Vec<u8>,
}

impl Grey {
    /// A black picture.
    pub fn new(size: Size) -> Self {
        Self { size, pixels: vec![0; size.width as usize * size.height as usize] }
    }

    /// Makes it one of another size, and says nothing of what it shows.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.pixels.resize(size.width as usize * size.height as usize, 0);
    }

    /// Takes one of the three interleaved components of rows that are `stride` bytes apart.
    pub fn update(&mut self, picture: &[u8], stride: usize, component: usize) {
        let width = self.size.width as usize;
        for (row, source) in self.pixels.chunks_exact_mut(width).zip(picture.chunks(stride)) {
            for (grey, pixel) in row.iter_mut().zip(source.chunks_exact(3)) {
                *grey = pixel[component];
            }
        }
    }

    /// The pixel at `x`, `y`, or the nearest inside.
    pub fn nearest(&self, x: isize, y: isize) -> usize {
        let x = x.clamp(0, self.size.width as isize - 1) as usize;
        let y = y.clamp(0, self.size.height as isize - 1) as usize;
        y * self.size.width as usize + x
    }
}

/// The motion of the block whose top left pixel is `left`, `top`, and its mean difference there in
/// grey levels.
pub fn search(now: &Grey, before: &Grey, left: usize, top: usize) -> (Motion, u32) {
    let right = (left + BLOCK).min(now.size.width as usize);
    let bottom = (top + BLOCK).min(now.size.height as usize);
    let count = ((right - left) * (bottom - top)) as u32;
    let difference = |motion: Motion| -> u32 {
        let rows = (top..bottom).map(|y| {
            let row = &now.pixels[y * now.size.width as usize..][left..right];
            row_difference(row, before, left as isize - motion.x, y as isize - motion.y)
        });
        rows.sum()
    };
    let still = difference(Motion::default());
    let (mut best, mut least) = (Motion::default(), still);
    for step in STEPS {
        let centre = best;
        for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
            let motion = Motion { x: centre.x + dx * step, y: centre.y + dy * step };
            let difference = difference(motion);
            if difference < least {
                (best, least) = (motion, difference);
            }
        }
    }
    if least + STILLNESS * count >= still {
        (best, least) = (Motion::default(), still);
    }
    (best, least / count)
}

/// Sum of absolute differences between `row` and the pixels of `before` from `x`, `y` on.
fn row_difference(row: &[u8], before: &Grey, x: isize, y: isize) -> u32 {
    let is_inside = x >= 0 && x as usize + row.len() <= before.size.width as usize;
    if is_inside {
        let other = &before.pixels[before.nearest(x, y)..][..row.len()];
        return row.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    }
    let other = (x..).map(|x| before.pixels[before.nearest(x, y)]);
    row.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture without repetition, moved right and down.
    fn picture(right: isize, down: isize) -> Grey {
        let size = Size { width: 48, height: 40 };
        let mut grey = Grey::new(size);
        for y in 0..40isize {
            for x in 0..48isize {
                let (x0, y0) = ((x - right) as f64, (y - down) as f64);
                let value = 128.0 + 60.0 * (x0 / 9.0).sin() + 60.0 * (y0 / 8.0 + x0 / 23.0).cos();
                grey.pixels[(y * 48 + x) as usize] = value as u8;
            }
        }
        grey
    }

    #[test]
    fn a_shift_is_found_to_a_pixel() {
        for (x, y) in [(0, 0), (1, 0), (-3, 2), (4, -4), (7, 7)] {
            let (motion, difference) = search(&picture(x, y), &picture(0, 0), 16, 16);
            let error = (motion.x - x).abs().max((motion.y - y).abs());
            assert!(error <= 1 && difference <= 1, "{motion:?} for {x}, {y}: {difference}");
        }
    }

    #[test]
    fn flat_parts_keep_still() {
        let grey = Grey::new(Size { width: 16, height: 16 });
        let (motion, _) = search(&grey, &grey, 0, 8);
        assert_eq!(motion, Motion::default());
    }
}
