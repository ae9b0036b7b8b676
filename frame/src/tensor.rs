// SPDX-License-Identifier: MIT OR Apache-2.0

//! Packs the rows of an image into a generator's input tensor.

use cyclegan_contract::ValueRange;
use half::{f16, slice::HalfFloatSliceExt};

use super::{
    color::ColorTransform,
    geometry::{Letterbox, mirror},
    workers::Workers,
};

/// An element of a tensor: float32 or float16.
///
/// The arithmetic is in float32. float16 is converted in blocks, for which CPUs have instructions.
pub trait Element: Copy + Send + Sync {
    /// Fills `row` block by block: `make` gets the block's position in the row.
    fn fill_blocks(row: &mut [Self], make: impl FnMut(usize, &mut [f32]));
    /// Calls `visit` for each block of `row` with its position.
    fn for_each_block(row: &[Self], visit: impl FnMut(usize, &[f32]));
}

impl Element for f32 {
    #[inline]
    fn fill_blocks(row: &mut [Self], mut make: impl FnMut(usize, &mut [f32])) {
        make(0, row);
    }

    #[inline]
    fn for_each_block(row: &[Self], mut visit: impl FnMut(usize, &[f32])) {
        visit(0, row);
    }
}

/// Number of values per block.
const BLOCK: usize = 256;

impl Element for f16 {
    #[inline]
    fn fill_blocks(row: &mut [Self], mut make: impl FnMut(usize, &mut [f32])) {
        let mut wide = [0.0; BLOCK];
        for (k, block) in row.chunks_mut(BLOCK).enumerate() {
            let wide = &mut wide[..block.len()];
            make(k * BLOCK, wide);
            block.convert_from_f32_slice(wide);
        }
    }

    #[inline]
    fn for_each_block(row: &[Self], mut visit: impl FnMut(usize, &[f32])) {
        let mut wide = [0.0; BLOCK];
        for (k, block) in row.chunks(BLOCK).enumerate() {
            let wide = &mut wide[..block.len()];
            block.convert_to_f32_slice(wide);
            visit(k * BLOCK, wide);
        }
    }
}

/// The map from the components of an 8-bit image to tensor values.
#[derive(Clone, Copy, Debug)]
pub struct ToTensor {
    /// One row each for R, G and B.
    matrix: [[f32; 3]; 3],
    offset: [f32; 3],
    /// The values of black and white, the limits of all values.
    ends: (f32, f32),
}

impl ToTensor {
    /// The map for images of `color` and tensors of `range`.
    pub fn new(color: &ColorTransform, range: ValueRange) -> Self {
        let ColorTransform { matrix, offset, .. } = color.inverse();
        let (black, scale) = (range.black(), range.per_grey_level());
        Self {
            matrix: matrix.map(|row| row.map(|weight| weight * scale)),
            offset: offset.map(|grey| black + grey * scale),
            ends: (black, black + 255.0 * scale),
        }
    }
}

/// Packs an image of three interleaved 8-bit components into a planar 1×3×H×W tensor.
///
/// `picture` has the rows of `letterbox.content`, `stride` bytes apart. The rest of the tensor is filled
/// by mirroring, so that the generator sees no artificial edge.
pub fn pack<T: Element>(
    picture: &[u8],
    stride: usize,
    letterbox: &Letterbox,
    to_tensor: &ToTensor,
    workers: &Workers,
    tensor: &mut [T],
) {
    // A sample costs about half as much as in a frame.
    let bands = workers.bands(tensor.len() / 2);
    pack_in_bands((picture, stride), letterbox, to_tensor, (workers, bands), tensor);
}

/// Maximum number of threads per tensor.
const MAX_BANDS: usize = 64;

fn pack_in_bands<T: Element>(
    (picture, stride): (&[u8], usize),
    letterbox: &Letterbox,
    to_tensor: &ToTensor,
    (workers, bands): (&Workers, usize),
    tensor: &mut [T],
) {
    let (width, height) = (letterbox.tensor.width as usize, letterbox.tensor.height as usize);
    let content = letterbox.content;
    let columns = content.x as usize..(content.x + content.size.width) as usize;
    // The rows of all three channels, one after the other.
    let bands = bands.min(MAX_BANDS);
    let first_row = |band: usize| 3 * height * band / bands;
    workers.in_bands(
        &mut [(); MAX_BANDS][..bands],
        (0, tensor),
        |(start, rows): (usize, &mut [T]), band| {
            let end = first_row(band + 1);
            let (upper, lower) = rows.split_at_mut((end - start) * width);
            ((start, upper), (end, lower))
        },
        |(), (start, rows)| {
            for (number, row) in (start..).zip(rows.chunks_exact_mut(width)) {
                let (channel, y) = (number / height, number % height);
                let weights = (to_tensor.matrix[channel], to_tensor.offset[channel]);
                let source_y = mirror(y as i64 - i64::from(content.y), content.size.height);
                let source = &picture[source_y as usize * stride..][..columns.len() * 3];
                T::fill_blocks(&mut row[columns.clone()], |x, block| {
                    pack_row(&source[x * 3..], weights, to_tensor.ends, block);
                });
                for x in (0..columns.start).chain(columns.end..width) {
                    let source_x = mirror(x as i64 - i64::from(content.x), content.size.width);
                    row[x] = row[columns.start + source_x as usize];
                }
            }
        },
    );
}

/// One channel of as many pixels as there are values.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2+fma"))]
fn pack_row(
    pixels: &[u8],
    (weights, offset): ([f32; 3], f32),
    (black, white): (f32, f32),
    values: &mut [f32],
) {
    for (value, pixel) in values.iter_mut().zip(pixels.chunks_exact(3)) {
        let [a, b, c] = [0, 1, 2].map(|i| f32::from(pixel[i]) * weights[i]);
        *value = (offset + a + b + c).clamp(black, white);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use cyclegan_contract::Size;
    use proptest::prelude::*;

    const RGB: ColorTransform = ColorTransform::SRGB;

    fn one() -> Workers {
        Workers::new(1).unwrap()
    }

    /// Packs pixel by pixel, straight from the definition.
    fn pack_reference(rgb: &[u8], stride: usize, letterbox: &Letterbox) -> Vec<f32> {
        let Letterbox { tensor, content } = *letterbox;
        let mut values = Vec::new();
        for channel in 0..3 {
            for y in 0..tensor.height {
                for x in 0..tensor.width {
                    let source_x = mirror(i64::from(x) - i64::from(content.x), content.size.width);
                    let source_y = mirror(i64::from(y) - i64::from(content.y), content.size.height);
                    let grey = rgb[source_y as usize * stride + source_x as usize * 3 + channel];
                    values.push(f32::from(grey) * (2.0 / 255.0) - 1.0);
                }
            }
        }
        values
    }

    #[test]
    fn black_and_white_are_the_ends_of_the_range() {
        for (range, black, white) in [
            (ValueRange::MinusOneToOne, -1.0, 1.0),
            (ValueRange::ZeroToOne, 0.0, 1.0),
            (ValueRange::ZeroTo255, 0.0, 255.0),
        ] {
            let size = Size { width: 2, height: 1 };
            let letterbox = Letterbox { tensor: size, content: Rect { x: 0, y: 0, size } };
            let mut packed = [f32::NAN; 6];
            let picture = [0, 0, 0, 255, 255, 255];
            pack(&picture, 6, &letterbox, &ToTensor::new(&RGB, range), &one(), &mut packed);
            for pixel in packed.chunks_exact(2) {
                assert!((pixel[0] - black).abs() < 1e-6 && (pixel[1] - white).abs() < 1e-6);
            }
        }
    }

    /// Also of rows that are longer than a block, and no whole number of blocks.
    #[test]
    fn float16_is_float32_rounded() {
        let size = Size { width: 2 * BLOCK as u32 + 5, height: 2 };
        let letterbox = Letterbox { tensor: size, content: Rect { x: 0, y: 0, size } };
        let stride = size.width as usize * 3;
        let picture: Vec<_> = (0..2 * stride).map(|i| (i * 7 % 256) as u8).collect();
        let to_tensor = ToTensor::new(&RGB, ValueRange::MinusOneToOne);
        let mut exact = vec![f32::NAN; 2 * stride];
        pack(&picture, stride, &letterbox, &to_tensor, &one(), &mut exact);
        let mut packed = vec![f16::NAN; 2 * stride];
        pack(&picture, stride, &letterbox, &to_tensor, &one(), &mut packed);
        let mut shown = vec![f32::NAN; packed.len()];
        f16::for_each_block(&packed, |x, block| shown[x..][..block.len()].copy_from_slice(block));
        for ((exact, packed), shown) in exact.iter().zip(&packed).zip(shown) {
            assert_eq!((*packed, shown), (f16::from_f32(*exact), packed.to_f32()));
        }
    }

    proptest! {
        #[test]
        fn packing_agrees_with_its_definition(
            width in 1u32..24, height in 1u32..24, left in 0u32..30, right in 0u32..30,
            top in 0u32..30, bottom in 0u32..30, padding in 0usize..9, seed in any::<u8>(),
            bands in 1usize..9,
        ) {
            let size = Size { width, height };
            let tensor = Size { width: left + width + right, height: top + height + bottom };
            let letterbox = Letterbox { tensor, content: Rect { x: left, y: top, size } };
            let stride = width as usize * 3 + padding;
            let byte = |i: usize| (i as u8).wrapping_mul(37).wrapping_add(seed);
            let rgb: Vec<_> = (0..stride * height as usize).map(byte).collect();

            let mut packed = vec![f32::NAN; 3 * (tensor.width * tensor.height) as usize];
            let to_tensor = ToTensor::new(&RGB, ValueRange::MinusOneToOne);
            let workers = Workers::new(3).unwrap();
            pack_in_bands((&rgb, stride), &letterbox, &to_tensor, (&workers, bands), &mut packed);
            let expected = pack_reference(&rgb, stride, &letterbox);
            for (packed, expected) in packed.iter().zip(&expected) {
                prop_assert!((packed - expected).abs() < 1e-6);
            }
        }
    }
}
