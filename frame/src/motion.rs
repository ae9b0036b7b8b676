// SPDX-License-Identifier: MIT OR Apache-2.0

//! Motion estimation: full-search block matching, refined to half pixels.

use cyclegan_contract::Size;
use std::sync::LazyLock;

/// Side of a block, in pixels of the generator's image.
pub const BLOCK: usize = 8;
/// The largest motion of a block, in pixels.
const REACH: isize = 7;
/// A block counts as still unless another position matches better by this many grey levels per pixel, so
/// that noise does not move flat areas.
const STILLNESS: u32 = 1;

/// A motion vector, right and down, in half pixels.
type Step = (isize, isize);

/// All full-pixel vectors, the shortest first: most blocks hardly move, and an early good match ends the
/// evaluation of the others sooner.
static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    let reach = || (-REACH..=REACH).map(|step| 2 * step);
    let mut steps: Vec<Step> = reach().flat_map(|y| reach().map(move |x| (x, y))).collect();
    steps.sort_by_key(|(x, y)| x * x + y * y);
    steps
});

const HALF_STEPS: [Step; 8] =
    [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)];

/// The luma of an image, with rows without padding.
#[derive(Clone, Debug)]
pub struct LumaPlane {
    /// Width and height.
    pub size: Size,
    /// The rows, 0 to 255.
    pub pixels: Vec<u8>,
}

impl LumaPlane {
    /// A black image.
    pub fn new(size: Size) -> Self {
        Self { size, pixels: vec![0; size.width as usize * size.height as usize] }
    }

    /// Changes the size. The pixels are undefined until it is updated.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.pixels.resize(size.width as usize * size.height as usize, 0);
    }

    /// Copies one of three interleaved components from rows that are `stride` bytes apart.
    pub fn update(&mut self, picture: &[u8], stride: usize, component: usize) {
        let width = self.size.width as usize;
        for (row, source) in self.pixels.chunks_exact_mut(width).zip(picture.chunks(stride)) {
            for (luma, pixel) in row.iter_mut().zip(source.chunks_exact(3)) {
                *luma = pixel[component];
            }
        }
    }

    /// Its blocks. Those at the right and bottom edges may be smaller.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let side = |from: usize, end: usize| BLOCK.min(end - from);
        (0..height).step_by(BLOCK).flat_map(move |top| {
            (0..width).step_by(BLOCK).map(move |left| Block {
                left,
                top,
                width: side(left, width),
                height: side(top, height),
            })
        })
    }
}

/// A block of an image, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

/// The position of a block in the previous image, entirely inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Position of its top left pixel, in half pixels.
    x: usize,
    y: usize,
    /// The mean difference there, in grey levels.
    pub difference: u32,
}

impl Origin {
    /// Finds the position of `block` of `now` in `before`, an image of the same size.
    pub fn of(block: Block, now: &LumaPlane, before: &LumaPlane) -> Self {
        let count = (block.width * block.height) as u32;
        let still = Self { x: 2 * block.left, y: 2 * block.top, difference: 0 };
        let unmoved = still.total_difference(block, now, before, u32::MAX);
        let (mut best, mut least) = (still, unmoved.saturating_sub(STILLNESS * count));
        for steps in [STEPS.as_slice(), &HALF_STEPS] {
            let centre = best;
            let places = steps.iter().filter_map(|step| centre.moved(*step, block, now.size));
            for place in places {
                let difference = place.total_difference(block, now, before, least);
                if difference < least {
                    (best, least) = (place, difference);
                }
            }
        }
        let difference = if best == still { unmoved } else { least };
        Self { difference: difference / count, ..best }
    }

    fn moved(self, (right, down): Step, block: Block, size: Size) -> Option<Self> {
        let inside = |at: usize, step: isize, length: usize, side: u32| {
            at.checked_add_signed(step).filter(|at| *at <= 2 * (side as usize - length))
        };
        let x = inside(self.x, right, block.width, size.width)?;
        let y = inside(self.y, down, block.height, size.height)?;
        Some(Self { x, y, ..self })
    }

    /// Sum of absolute differences; may stop early once it is at least `enough`.
    fn total_difference(
        self,
        block: Block,
        now: &LumaPlane,
        before: &LumaPlane,
        enough: u32,
    ) -> u32 {
        let width = now.size.width as usize;
        let is_whole = self.x.is_multiple_of(2) && self.y.is_multiple_of(2);
        let mut sum = 0;
        for y in 0..block.height {
            let row = &now.pixels[(block.top + y) * width + block.left..][..block.width];
            let around = self.around(&before.pixels, width, y, block.width);
            // Nearly all positions are whole pixels.
            sum += if is_whole {
                row_difference(row, around[0])
            } else {
                row_difference(row, &between(around)[..block.width])
            };
            if sum >= enough {
                break;
            }
        }
        sum
    }

    /// Row `y` of the block as it was in a plane of rows `width` long: the four rows of `count`
    /// pixels whose [`mean`] is the pixel between them. On whole pixels they are the same.
    pub fn around<T>(self, plane: &[T], width: usize, y: usize, count: usize) -> [&[T]; 4] {
        let first = (self.y / 2 + y) * width + self.x / 2;
        let (right, below) = (self.x % 2, self.y % 2 * width);
        [0, right, below, below + right].map(|further| &plane[first + further..][..count])
    }
}

fn row_difference(row: &[u8], other: &[u8]) -> u32 {
    let difference = |a: &[u8], b: &[u8]| -> u32 {
        u32::from(a.iter().zip(b).map(|(a, b)| u16::from(a.abs_diff(*b))).sum::<u16>())
    };
    // A constant length lets the compiler use one instruction for the sum.
    match (<&[u8; BLOCK]>::try_from(row), <&[u8; BLOCK]>::try_from(other)) {
        (Ok(row), Ok(other)) => difference(row, other),
        _ => difference(row, other),
    }
}

/// A row between pixels.
pub fn between(around: [&[u8]; 4]) -> [u8; BLOCK] {
    let mut row = [0; BLOCK];
    for (x, pixel) in row.iter_mut().enumerate().take(around[0].len()) {
        *pixel = mean(around.map(|row| i32::from(row[x]))) as u8;
    }
    row
}

/// The rounded mean of the four neighbours.
pub fn mean(around: [i32; 4]) -> i32 {
    (around.iter().sum::<i32>() + 2) >> 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture without repetition, smooth between points 4 pixels apart, moved by half pixels.
    fn picture(right: i32, down: i32) -> LumaPlane {
        let size = Size { width: 48, height: 40 };
        let mut random = fastrand::Rng::with_seed(4);
        let points: Vec<[f32; 20]> = (0..20).map(|_| [(); 20].map(|()| random.f32())).collect();
        let value = |x: f32, y: f32| {
            let (left, top) = (x as usize, y as usize);
            let across = |row: &[f32]| row[left] + (row[left + 1] - row[left]) * x.fract();
            let (above, below) = (across(&points[top]), across(&points[top + 1]));
            above + (below - above) * y.fract()
        };
        let at = |place: i32, moved: i32| (2 * place - moved + 16) as f32 / 8.0;
        let places = (0..40).flat_map(|y| (0..48).map(move |x| (x, y)));
        let pixels = places.map(|(x, y)| (value(at(x, right), at(y, down)) * 255.0) as u8);
        LumaPlane { size, pixels: pixels.collect() }
    }

    proptest! {
        #[test]
        fn a_shift_is_found_to_half_a_pixel(x in -14i32..=14, y in -14i32..=14) {
            let block = Block { left: 16, top: 16, width: 8, height: 8 };
            let origin = Origin::of(block, &picture(x, y), &picture(0, 0));
            let error = (origin.x as i32 + x - 32).abs().max((origin.y as i32 + y - 32).abs());
            prop_assert!(error <= 1 && origin.difference <= 6, "{:?}", origin);
        }
    }

    #[test]
    fn flat_areas_do_not_move_and_blocks_cover_the_image() {
        let luma = LumaPlane::new(Size { width: 20, height: 13 });
        let mut covered = vec![0; 20 * 13];
        for block in luma.blocks() {
            let origin = Origin::of(block, &luma, &luma);
            assert_eq!((origin.x, origin.y), (2 * block.left, 2 * block.top));
            for y in block.top..block.top + block.height {
                covered[y * 20 + block.left..][..block.width].iter_mut().for_each(|n| *n += 1);
            }
        }
        assert!(covered.iter().all(|n| *n == 1));
    }
}
