// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bilinear enlarging of a change to the size of a frame's plane, a row at a time.

use std::ops::Range;

use super::plane::Plane;

/// Parts of a weight: 256 is the whole.
pub const WEIGHT_ONE: i32 = 256;

/// Where one output position lies between two input positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tap {
    /// The input position before it.
    before: u32,
    /// The input position after it, or the same at the edges.
    after: u32,
    /// The share of `after`, in parts of [`WEIGHT_ONE`].
    weight: u16,
}

/// The taps that stretch `input` positions over `output` positions, centre on centre; of these a
/// `part`.
fn taps(input: u32, output: u32, part: Range<u32>) -> Vec<Tap> {
    let last = input - 1;
    let tap = |x: u32| {
        let centre = (f64::from(x) + 0.5) * f64::from(input) / f64::from(output) - 0.5;
        let centre = centre.clamp(0.0, f64::from(last));
        let before = centre.floor() as u32;
        let weight = ((centre - centre.floor()) * f64::from(WEIGHT_ONE)).round() as u16;
        Tap { before, after: (before + 1).min(last), weight }
    };
    part.map(tap).collect()
}

/// Stretches planes of numbers over one plane of a frame, interleaved as its components are.
#[derive(Debug)]
pub struct Upsampler {
    components: Vec<StretchedComponent>,
    rows: Vec<Tap>,
    is_sample: Vec<bool>,
    /// The two input rows in use, stretched: row `i` stands in `stretched[i % 2]`.
    stretched: [Vec<i16>; 2],
    /// Which input rows these are.
    held: [Option<u32>; 2],
}

#[derive(Debug)]
struct StretchedComponent {
    component: usize,
    offset: usize,
    stride: usize,
    /// `None` where the numbers have the component's width already.
    columns: Option<Vec<Tap>>,
}

/// Two stretched rows, between which a row of the plane lies. One entry for each byte
/// or word of the plane's row, 0 where no sample stands.
pub struct RowLerp<'a> {
    /// The row before.
    pub before: &'a [i16],
    /// The row after.
    pub after: &'a [i16],
    /// The share of `after`, in parts of [`WEIGHT_ONE`].
    pub weight: i32,
    /// Where samples stand.
    pub is_sample: &'a [bool],
}

impl Upsampler {
    /// From planes of width×height `input`, which are stretched over `whole`, to `part` of it.
    pub fn new(input: (u32, u32), whole: &Plane, part: &Plane) -> Self {
        let length = part.row_length();
        let components = part.components.iter().zip(&whole.components).map(|(component, whole)| {
            StretchedComponent {
                component: component.number,
                offset: component.offset,
                stride: component.stride,
                columns: (input.0 != component.width || component.width != whole.width).then(
                    || {
                        let first = component.first - whole.first;
                        taps(input.0, whole.width, first..first + component.width)
                    },
                ),
            }
        });
        let mut is_sample = vec![false; length];
        for component in &part.components {
            let samples = is_sample[component.offset..].iter_mut().step_by(component.stride);
            samples.take(component.width as usize).for_each(|is_sample| *is_sample = true);
        }
        let first = part.first_row - whole.first_row;
        Self {
            components: components.collect(),
            rows: taps(input.1, whole.height, first..first + part.height),
            is_sample,
            stretched: [vec![0; length], vec![0; length]],
            held: [None; 2],
        }
    }

    /// Forgets the rows in use: the numbers have changed.
    pub fn restart(&mut self) {
        self.held = [None; 2];
    }

    /// The rows around row `y` of the plane, from a function that gives the input's row for a
    /// component and a position.
    pub fn row<'a>(&mut self, rows: impl Fn(usize, usize) -> &'a [i16], y: usize) -> RowLerp<'_> {
        let Tap { before, after, weight } = self.rows[y];
        for row in [before, after] {
            let slot = row as usize % 2;
            if self.held[slot] != Some(row) {
                for component in &self.components {
                    component.stretch(
                        rows(component.component, row as usize),
                        &mut self.stretched[slot],
                    );
                }
                self.held[slot] = Some(row);
            }
        }
        RowLerp {
            before: &self.stretched[before as usize % 2],
            after: &self.stretched[after as usize % 2],
            weight: i32::from(weight),
            is_sample: &self.is_sample,
        }
    }
}

impl StretchedComponent {
    fn stretch(&self, source: &[i16], target: &mut [i16]) {
        let target = target[self.offset..].iter_mut().step_by(self.stride);
        let Some(columns) = &self.columns else {
            return target.zip(source).for_each(|(sample, step)| *sample = *step);
        };
        for (sample, tap) in target.zip(columns) {
            let before = i32::from(source[tap.before as usize]);
            let after = i32::from(source[tap.after as usize]);
            *sample = (before + (((after - before) * i32::from(tap.weight)) >> 8)) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{geometry::Rect, residual::Residual};
    use cyclegan_contract::Size;
    use gst_video::{VideoFormat, VideoInfo};

    fn plane(format: VideoFormat, width: u32, height: u32) -> Plane {
        gst::init().unwrap();
        let info = VideoInfo::builder(format, width, height).build().unwrap();
        Plane::all(&info).unwrap().swap_remove(0)
    }

    #[test]
    fn the_same_size_is_left_alone_and_interleaved() {
        let mut change = Residual::new(Size { width: 2, height: 2 });
        for (component, plane) in change.planes.iter_mut().enumerate() {
            plane.iter_mut().zip(1..).for_each(|(step, i)| *step = i * 10 + component as i16);
        }
        let plane = plane(VideoFormat::Argb, 2, 2);
        let mut upsampler = Upsampler::new((2, 2), &plane, &plane);
        let between = upsampler.row(|component, y| change.row(component, y), 1);
        assert_eq!((between.before, between.weight), (&[0, 30, 31, 32, 0, 40, 41, 42][..], 0));
        assert_eq!(between.is_sample, [false, true, true, true, false, true, true, true]);
    }

    #[test]
    fn doubling_blends_a_quarter_and_three_quarters() {
        let weights: Vec<_> = taps(2, 4, 0..4).iter().map(|tap| (tap.before, tap.weight)).collect();
        assert_eq!(weights, [(0, 0), (0, 64), (0, 192), (1, 0)]);
    }

    #[test]
    fn halving_is_the_mean_of_two() {
        assert!(
            taps(8, 4, 0..4).iter().all(|tap| tap.weight == 128 && tap.after == tap.before + 1)
        );
    }

    #[test]
    fn one_sample_spreads_everywhere() {
        assert!(taps(1, 5, 0..5).iter().all(|tap| *tap == Tap { before: 0, after: 0, weight: 0 }));
    }
    /// A part is stretched as it would be in the whole.
    #[test]
    fn a_part_agrees_with_the_whole() {
        for format in [VideoFormat::Rgb, VideoFormat::I420, VideoFormat::Yuy2] {
            let whole = plane(format, 40, 30);
            let rect = Rect { x: 8, y: 6, size: Size { width: 14, height: 10 } };
            let part = whole.part(&rect);
            let mut change = Residual::new(Size { width: 7, height: 5 });
            for (component, plane) in change.planes.iter_mut().enumerate() {
                plane
                    .iter_mut()
                    .zip(0..)
                    .for_each(|(step, i)| *step = i * 97 % 301 + component as i16);
            }
            let rows = |component: usize, y: usize| change.row(component, y);
            let mut all = Upsampler::new((7, 5), &whole, &whole);
            let mut some = Upsampler::new((7, 5), &whole, &part);
            for y in 0..10 {
                let expected = all.row(rows, 6 + y);
                let found = some.row(rows, y);
                let columns = part.start..part.start + part.row_length();
                assert_eq!(found.before, &expected.before[columns.clone()], "{format:?} {y}");
                assert_eq!(found.after, &expected.after[columns], "{format:?} {y}");
                assert_eq!(found.weight, expected.weight);
            }
        }
    }
}
