// SPDX-License-Identifier: MIT OR Apache-2.0

//! A generator's change to a frame, in the frame's own colour components.

use cyclegan_contract::Size;
use cyclegan_contract::ValueRange;

use super::{
    color::ColorTransform, geometry::Letterbox, tensor::Element, tone::ToneMap, workers::Workers,
};

/// Steps of a [`Residual`] in one step of an 8-bit component. Six bits below the point leave
/// ±511 steps in an `i16`, twice the range of a component.
pub const STEPS: f32 = 64.0;

/// A generator's output holds NaN or an infinite value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its output has values that are not finite, expected numbers within its range")]
pub struct NotFinite;

/// How a generator's output is combined with a frame: output = keep · frame + upscaled residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Upscale {
    /// The residual is output minus input, so that unchanged pixels stay sharp.
    Residual {
        /// 0 is the frame, 1 the translation.
        strength: f32,
    },
    /// The residual is the output itself.
    Plain {
        /// 0 is the frame, 1 the translation.
        strength: f32,
    },
}

impl Upscale {
    /// The same at strength 1.
    pub fn at_full_strength(self) -> Self {
        match self {
            Self::Residual { .. } => Self::Residual { strength: 1.0 },
            Self::Plain { .. } => Self::Plain { strength: 1.0 },
        }
    }

    /// The share of the frame's own samples in the result.
    pub fn keep(self) -> f32 {
        match self {
            Self::Residual { .. } => 1.0,
            Self::Plain { strength } => 1.0 - strength,
        }
    }
}

/// The residual to add to a frame, at the generator's size.
///
/// Three planes of width×height, in the order of the frame's components, in `STEPS` of an 8-bit
/// step.
#[derive(Debug)]
pub struct Residual {
    /// Width and height of each plane.
    pub size: Size,
    /// The planes, rows without padding.
    pub planes: [Vec<i16>; 3],
    /// One per band of rows.
    bands: Vec<Band>,
}

/// Scratch memory for the rows of a band.
#[derive(Clone, Debug, Default)]
struct Band {
    /// One row of R'G'B' in grey levels.
    rgb: [Vec<f32>; 3],
    /// The same for the generator's input, if it is tone-mapped.
    input_rgb: [Vec<f32>; 3],
    /// Whether all values were finite.
    is_finite: bool,
}

impl Band {
    fn resize(&mut self, width: usize) {
        let rows = self.rgb.iter_mut().chain(&mut self.input_rgb);
        rows.for_each(|row| row.resize(width, 0.0));
    }
}

/// A tensor of a generator and its value range.
pub struct Picture<'a, T> {
    /// 1×3×H×W.
    pub values: &'a [T],
    /// Black and white.
    pub range: ValueRange,
}

impl<'a, T> From<(&'a [T], ValueRange)> for Picture<'a, T> {
    fn from((values, range): (&'a [T], ValueRange)) -> Self {
        Self { values, range }
    }
}

impl<T: Element> Picture<'_, T> {
    /// Three rows, R, G and B, of the frame's part.
    fn rows(&self, y: usize, letterbox: &Letterbox) -> [&[T]; 3] {
        let (width, height) = (letterbox.tensor.width as usize, letterbox.tensor.height as usize);
        let first = (letterbox.content.y as usize + y) * width + letterbox.content.x as usize;
        let length = letterbox.content.size.width as usize;
        std::array::from_fn(|channel| &self.values[channel * width * height + first..][..length])
    }

    /// Scale and offset from tensor values to grey levels.
    fn to_grey(&self) -> (f32, f32) {
        let scale = 1.0 / self.range.per_grey_level();
        (scale, -self.range.black() * scale)
    }
}

impl Residual {
    /// A zero residual of `size`.
    pub fn new(size: Size) -> Self {
        let mut residual = Self { size, planes: Default::default(), bands: Vec::new() };
        residual.resize(size);
        residual
    }

    /// Changes the size. The values are undefined until it is updated.
    pub fn resize(&mut self, size: Size) {
        let width = size.width as usize;
        self.size = size;
        self.planes.iter_mut().for_each(|plane| plane.resize(width * size.height as usize, 0));
        self.bands.resize_with(self.bands.len().max(1), Band::default);
        self.bands.iter_mut().for_each(|band| band.resize(width));
    }

    /// Row `y` of one component.
    pub fn row(&self, component: usize, y: usize) -> &[i16] {
        let width = self.size.width as usize;
        &self.planes[component][y * width..][..width]
    }

    /// Computes the residual from a generator's input and output tensors.
    ///
    /// # Errors
    /// If the output has a NaN or infinite value.
    pub fn update<I: Element, O: Element>(
        &mut self,
        input: &Picture<'_, I>,
        output: &Picture<'_, O>,
        letterbox: &Letterbox,
        color: &ColorTransform,
        upscale: Upscale,
        workers: &Workers,
    ) -> Result<(), NotFinite> {
        let samples = self.planes.iter().map(Vec::len).sum::<usize>();
        // A sample costs about half as much as in a frame, and much more in HDR.
        let bands = workers.bands(match color.transfer.tone_map() {
            None => samples / 2,
            Some(_) => samples * 16,
        });
        self.update_in_bands(&Update { input, output, letterbox, color, upscale }, workers, bands)
    }

    fn update_in_bands<I: Element, O: Element>(
        &mut self,
        update: &Update<'_, I, O>,
        workers: &Workers,
        count: usize,
    ) -> Result<(), NotFinite> {
        debug_assert_eq!(self.size, update.letterbox.content.size);
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        self.bands.resize_with(self.bands.len().max(count), Band::default);
        let bands = &mut self.bands[..count];
        bands.iter_mut().for_each(|band| band.resize(width));
        let planes = self.planes.each_mut().map(Vec::as_mut_slice);
        let first_row = |band: usize| height * band / count;
        workers.in_bands(
            bands,
            (0, planes),
            |(start, planes): (usize, [&mut [i16]; 3]), band| {
                let end = first_row(band + 1);
                let (mut upper, mut lower): ([&mut [i16]; 3], [&mut [i16]; 3]) = Default::default();
                for (i, plane) in planes.into_iter().enumerate() {
                    (upper[i], lower[i]) = plane.split_at_mut((end - start) * width);
                }
                ((start, upper), (end, lower))
            },
            |band, (start, mut planes)| {
                band.is_finite = true;
                for y in 0..planes[0].len() / width {
                    let row = planes.each_mut().map(|plane| &mut plane[y * width..][..width]);
                    update.row(band, start + y, row);
                }
            },
        );
        if bands.iter().all(|band| band.is_finite) { Ok(()) } else { Err(NotFinite) }
    }
}

/// The arguments of [`Residual::update`].
struct Update<'a, I, O> {
    input: &'a Picture<'a, I>,
    output: &'a Picture<'a, O>,
    letterbox: &'a Letterbox,
    color: &'a ColorTransform,
    upscale: Upscale,
}

impl<I: Element, O: Element> Update<'_, I, O> {
    /// Computes row `y` of each component.
    fn row(&self, band: &mut Band, y: usize, target: [&mut [i16]; 3]) {
        let Self { input, output, letterbox, color, upscale } = self;
        let (strength, offset) = match *upscale {
            Upscale::Residual { strength } => (strength, [0.0; 3]),
            Upscale::Plain { strength } => (strength, color.offset),
        };
        let is_residual = matches!(upscale, Upscale::Residual { .. });
        let (before, after) = (input.rows(y, letterbox), output.rows(y, letterbox));
        for (row, values) in band.rgb.iter_mut().zip(after) {
            O::for_each_block(values, |x, values| {
                band.is_finite &= grey_levels(values, output.to_grey(), &mut row[x..]);
            });
        }
        match color.transfer.tone_map() {
            None if is_residual => {
                for (row, values) in band.rgb.iter_mut().zip(before) {
                    I::for_each_block(values, |x, values| {
                        subtract(values, input.to_grey(), &mut row[x..])
                    });
                }
            }
            None => {}
            Some(tone) => {
                tone.rows_from_sdr(band.rgb.each_mut().map(Vec::as_mut_slice));
                if is_residual {
                    self.subtract_mapped(band, before, tone);
                }
            }
        }
        for (component, target) in target.into_iter().enumerate() {
            let weights = color.matrix[component].map(|weight| weight * strength * STEPS);
            let offset = offset[component] * strength * STEPS;
            dot(band.rgb.each_ref().map(Vec::as_slice), weights, offset, target);
        }
    }

    /// Subtracts the code values for an unchanged image. These differ from the frame's own where tone
    /// mapping has clipped light, but the residual of unchanged pixels is then zero.
    fn subtract_mapped(&self, band: &mut Band, before: [&[I]; 3], tone: &ToneMap) {
        for (row, values) in band.input_rgb.iter_mut().zip(before) {
            I::for_each_block(values, |x, values| {
                grey_levels(values, self.input.to_grey(), &mut row[x..]);
            });
        }
        tone.rows_from_sdr(band.input_rgb.each_mut().map(Vec::as_mut_slice));
        for (row, input) in band.rgb.iter_mut().zip(&band.input_rgb) {
            row.iter_mut().zip(input).for_each(|(grey, input)| *grey -= input);
        }
    }
}

/// Converts a generator's output to grey levels and clamps it to black and white. Returns whether every
/// value was finite.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2+fma"))]
fn grey_levels(values: &[f32], (scale, offset): (f32, f32), greys: &mut [f32]) -> bool {
    let mut is_finite = true;
    for (grey, value) in greys.iter_mut().zip(values) {
        is_finite &= value.is_finite();
        *grey = (value * scale + offset).clamp(0.0, 255.0);
    }
    is_finite
}

/// Subtracts a generator's input, in grey levels.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2+fma"))]
fn subtract(values: &[f32], (scale, offset): (f32, f32), greys: &mut [f32]) {
    for (grey, value) in greys.iter_mut().zip(values) {
        *grey -= value * scale + offset;
    }
}

/// target = weights · rgb + offset.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2+fma"))]
fn dot(rgb: [&[f32]; 3], weights: [f32; 3], offset: f32, target: &mut [i16]) {
    let [red, green, blue] = rgb;
    for (step, (r, (g, b))) in target.iter_mut().zip(red.iter().zip(green.iter().zip(blue))) {
        let value = weights[0] * r + weights[1] * g + weights[2] * b + offset;
        *step = rounded(value.clamp(f32::from(i16::MIN), f32::from(i16::MAX)));
    }
}

/// The integer nearest to `value`, which is in the range of an `i16`.
///
/// In a sum with 1.5·2²³ the last bit of the mantissa is worth 1, so its lower half is the integer. A
/// conversion with `as` checks each value's range and made `dot` four times as slow.
#[inline]
fn rounded(value: f32) -> i16 {
    (value + 12_582_912.0).to_bits() as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{geometry::Rect, tone::Transfer};
    use proptest::prelude::*;

    const SIZE: Size = Size { width: 3, height: 2 };
    const LETTERBOX: Letterbox = Letterbox {
        tensor: Size { width: 5, height: 4 },
        content: Rect { x: 1, y: 1, size: SIZE },
    };
    const RGB: ColorTransform = ColorTransform::SRGB;

    fn one() -> Workers {
        Workers::new(1).unwrap()
    }

    fn residual_of(input: &[f32], output: &[f32], upscale: Upscale) -> Result<Residual, NotFinite> {
        let range = ValueRange::MinusOneToOne;
        let mut residual = Residual::new(SIZE);
        let (input, output) = (Picture { values: input, range }, Picture { values: output, range });
        residual.update(&input, &output, &LETTERBOX, &RGB, upscale, &one())?;
        Ok(residual)
    }

    #[test]
    fn rounded_gives_the_nearest_integer() {
        for i in (-327_680..=327_670).step_by(7) {
            let value = i as f32 / 10.0;
            assert!((f32::from(rounded(value)) - value).abs() <= 0.5, "{value}");
        }
        assert_eq!([-32768.0, -0.4, 32767.0].map(rounded), [i16::MIN, 0, i16::MAX]);
    }

    #[test]
    fn an_identity_generator_changes_nothing() {
        let tensor: Vec<f32> = (0..60).map(|i| i as f32 / 30.0 - 1.0).collect();
        let residual = residual_of(&tensor, &tensor, Upscale::Residual { strength: 1.0 }).unwrap();
        assert!(residual.planes.iter().flatten().all(|&step| step == 0));
    }

    /// Below the knee of the tone curve, a generator that doubles the light doubles that of the frame.
    #[test]
    fn a_tone_mapped_residual_is_in_the_frames_code_values() {
        for transfer in [Transfer::Pq, Transfer::Hlg] {
            let tone = transfer.tone_map().unwrap();
            let color = ColorTransform { transfer, ..RGB };
            let range = ValueRange::ZeroTo255;
            let (before, after) = ([100.0f32; 60], [130.0f32; 60]);
            let mut residual = Residual::new(SIZE);
            let picture = |values| Picture { values, range };
            let (before, after) = (picture(before.as_slice()), picture(after.as_slice()));
            let upscale = Upscale::Residual { strength: 1.0 };
            residual.update(&before, &before, &LETTERBOX, &color, upscale, &one()).unwrap();
            assert!(residual.planes.iter().flatten().all(|&step| step == 0));
            residual.update(&before, &after, &LETTERBOX, &color, upscale, &one()).unwrap();
            let codes = [100.0, 130.0].map(|sdr| tone.from_sdr([sdr; 3])[0]);
            let expected = (codes[1] - codes[0]) * STEPS;
            let steps = residual.planes.iter().flatten();
            assert!(steps.clone().all(|&step| (f32::from(step) - expected).abs() < 1.0));
            assert!(expected > 5.0 * STEPS);
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_number_of_bands(
            width in 1u32..40, height in 1u32..40, margin in 0u32..5, bands in 2usize..7, seed: u64,
            strength in 0f32..=1.0, is_plain: bool,
            transfer in prop::sample::select(vec![Transfer::Sdr, Transfer::Pq, Transfer::Hlg]),
        ) {
            let size = Size { width, height };
            let tensor = Size { width: width + 2 * margin, height: height + margin };
            let letterbox = Letterbox { tensor, content: Rect { x: margin, y: margin, size } };
            let mut random = fastrand::Rng::with_seed(seed);
            let count = 3 * (tensor.width * tensor.height) as usize;
            let mut tensor = || -> Vec<f32> { (0..count).map(|_| random.f32() * 2.2 - 1.1).collect() };
            let (input, output) = (tensor(), tensor());
            let range = ValueRange::MinusOneToOne;
            let input = &Picture { values: input.as_slice(), range };
            let output = &Picture { values: output.as_slice(), range };
            let upscale = match is_plain {
                true => Upscale::Plain { strength },
                false => Upscale::Residual { strength },
            };
            let color = &ColorTransform { transfer, ..RGB };
            let update = Update { input, output, letterbox: &letterbox, color, upscale };
            let workers = Workers::new(3).unwrap();
            let [one, many] = [1, bands].map(|bands| {
                let mut residual = Residual::new(size);
                residual.update_in_bands(&update, &workers, bands).unwrap();
                residual.planes
            });
            prop_assert_eq!(one, many);
        }
    }

    #[test]
    fn strength_scales_the_residual() {
        let upscale = Upscale::Residual { strength: 0.5 };
        let residual = residual_of(&[-1.0; 60], &[1.0; 60], upscale).unwrap();
        let expected = (255.0 * 0.5 * STEPS) as i16;
        assert!(residual.planes.iter().flatten().all(|&step| (step - expected).abs() <= 1));
    }

    #[test]
    fn plain_upscaling_uses_the_output_itself() {
        let upscale = Upscale::Plain { strength: 1.0 };
        let residual = residual_of(&[0.3; 60], &[0.0; 60], upscale).unwrap();
        assert!(
            residual
                .planes
                .iter()
                .flatten()
                .all(|&step| (step - (127.5 * STEPS) as i16).abs() <= 1)
        );
        assert_eq!(upscale.keep(), 0.0);
    }

    #[test]
    fn nan_and_infinity_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut output = [0.0; 60];
            output[6] = bad;
            let result = residual_of(&[0.0; 60], &output, Upscale::Residual { strength: 1.0 });
            assert_eq!(result.err(), Some(NotFinite));
        }
    }
}
