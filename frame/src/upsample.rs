// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bilinear upsampling of a residual to the size of a frame's plane, row by row.

use super::{
    kernel::RowLerp,
    lerp::{RowTaps, Tap, taps},
    plane::{Component, Plane},
};

/// Upsampling of a residual's planes to one plane of frames, or of crops of one size.
#[derive(Clone, Debug)]
pub struct Upsampler {
    /// One per component of the plane; `None` if the input already has its width.
    columns: [Option<RowTaps>; 3],
    rows: Vec<Tap>,
}

impl Upsampler {
    /// From planes of width×height `input` to all of `whole`.
    pub fn new(input: (u32, u32), whole: &Plane) -> Self {
        let columns = |component: &Component| {
            let width = component.width;
            (input.0 != width).then(|| RowTaps::new(input.0, width))
        };
        let mut components = whole.components().iter();
        Self {
            columns: std::array::from_fn(|_| components.next().and_then(columns)),
            rows: taps(input.1, whole.height).collect(),
        }
    }
}

/// A part of an [`Upsampler`]'s output.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The part.
    pub part: Plane,
    first_row: usize,
    first_columns: [usize; 3],
}

impl Window {
    /// The window for `part` of `whole`.
    pub fn new(whole: &Plane, part: &Plane) -> Self {
        let pairs = part.components().iter().zip(whole.components());
        let mut columns = pairs.map(|(part, whole)| (part.first - whole.first) as usize);
        Self {
            part: *part,
            first_row: (part.first_row - whole.first_row) as usize,
            first_columns: std::array::from_fn(|_| columns.next().unwrap_or(0)),
        }
    }
}

/// The two current rows of an [`Upsampler`]'s input, upsampled. Its memory is reused from window to window.
#[derive(Debug, Default)]
pub struct UpsampledRows {
    /// Row `i` is in `stretched[i % 2]`.
    stretched: [Vec<i16>; 2],
    /// Which input rows these are.
    held: [Option<u32>; 2],
    /// Rows of the components before they are interleaved, and one of zeros for alpha.
    lines: [Vec<i16>; 4],
}

impl UpsampledRows {
    /// Starts another input or window.
    pub fn restart(&mut self, window: &Window) {
        self.held = [None; 2];
        for row in &mut self.stretched {
            row.clear();
            row.resize(window.part.row_length(), 0);
        }
        let widths = window.part.components().iter().map(|component| component.width as usize);
        let width = widths.max().unwrap_or(0);
        self.lines.iter_mut().for_each(|line| line.resize(width, 0));
        self.lines[ZEROS].fill(0);
    }

    /// The rows around row `y` of `window`, from a function that gives the input's row for a
    /// component and a position.
    pub fn row<'a>(
        &mut self,
        upsampler: &Upsampler,
        window: &Window,
        rows: impl Fn(usize, usize) -> &'a [i16],
        y: usize,
    ) -> RowLerp<'_> {
        let Tap { before, after, weight } = upsampler.rows[window.first_row + y];
        for row in [before, after] {
            let slot = row as usize % 2;
            if self.held[slot] != Some(row) {
                self.stretch(slot, upsampler, window, |component| rows(component, row as usize));
                self.held[slot] = Some(row);
            }
        }
        RowLerp {
            before: &self.stretched[before as usize % 2],
            after: &self.stretched[after as usize % 2],
            weight: i32::from(weight),
        }
    }

    fn stretch<'a>(
        &mut self,
        slot: usize,
        upsampler: &Upsampler,
        window: &Window,
        row: impl Fn(usize) -> &'a [i16],
    ) {
        let Window { part, first_columns, .. } = window;
        let target = &mut self.stretched[slot];
        let components = part.components();
        let layout = Layout::of(part);
        for (i, component) in components.iter().enumerate() {
            let columns = first_columns[i]..first_columns[i] + component.width as usize;
            let line = match layout {
                Layout::Alone => &mut target[..columns.len()],
                _ => &mut self.lines[i][..columns.len()],
            };
            let source = row(component.number);
            match &upsampler.columns[i] {
                None => line.copy_from_slice(&source[columns]),
                Some(taps) => taps.stretch(source, columns, line),
            }
        }
        match layout {
            Layout::Alone => {}
            Layout::Interleaved(2, order) => interleave::<2>(&self.lines, order, target),
            Layout::Interleaved(3, order) => interleave::<3>(&self.lines, order, target),
            Layout::Interleaved(_, order) => interleave::<4>(&self.lines, order, target),
            Layout::Mixed => {
                for (component, line) in components.iter().zip(&self.lines) {
                    scatter(part, component, line, target);
                }
            }
        }
    }
}

/// The number of the line of zeros.
const ZEROS: usize = 3;

/// The layout of a plane's components in a row.
enum Layout {
    /// One component, without gaps.
    Alone,
    /// Interleaved: the line index for each entry of a pixel.
    Interleaved(usize, [usize; 4]),
    /// Components with different spacing, or three per word.
    Mixed,
}

impl Layout {
    fn of(part: &Plane) -> Self {
        let components = part.components();
        let Component { stride, width, .. } = components[0];
        let is_same = |other: &Component| (other.stride, other.width) == (stride, width);
        let is_uniform = !part.is_packed() && components.iter().all(is_same);
        match stride {
            1 if is_uniform => Self::Alone,
            2..=4 if is_uniform && components.iter().all(|other| other.offset < stride) => {
                let mut order = [ZEROS; 4];
                for (line, component) in components.iter().enumerate() {
                    order[component.offset] = line;
                }
                Self::Interleaved(stride, order)
            }
            _ => Self::Mixed,
        }
    }
}

/// Interleaves `N` lines into `target`; the last pixel may be incomplete.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn interleave<const N: usize>(lines: &[Vec<i16>; 4], order: [usize; 4], target: &mut [i16]) {
    let (pixels, rest) = target.as_chunks_mut::<N>();
    let count = pixels.len();
    let lines: [&[i16]; N] = std::array::from_fn(|component| lines[order[component]].as_slice());
    for (entry, line) in rest.iter_mut().zip(lines) {
        *entry = line[count];
    }
    let lines = lines.map(|line| &line[..count]);
    for (i, pixel) in pixels.iter_mut().enumerate() {
        *pixel = std::array::from_fn(|component| lines[component][i]);
    }
}

/// Writes the samples of `line` to the positions of `component` in a row of entries. For packed samples,
/// the first of all words come first, then the second, then the third.
pub fn scatter(part: &Plane, component: &Component, line: &[i16], target: &mut [i16]) {
    let Component { offset, stride, width, .. } = *component;
    let line = &line[..width as usize];
    if !part.is_packed() {
        return spread(line, 1, &mut target[offset..], stride);
    }
    let words = target.len() / 3;
    // Every third sample is in the same third of the words.
    let turns = if stride.is_multiple_of(3) { 1 } else { 3 };
    for turn in 0..turns.min(line.len()) {
        let first = offset + turn * stride;
        let target = &mut target[first % 3 * words + first / 3..];
        spread(&line[turn..], turns, target, stride * turns / 3);
    }
}

/// Copies every `from`th entry of `source` to every `to`th entry of `target`.
fn spread(source: &[i16], from: usize, target: &mut [i16], to: usize) {
    match (from, to) {
        (1, 2) => spread_by::<1, 2>(source, target),
        (1, 4) => spread_by::<1, 4>(source, target),
        (3, 2) => spread_by::<3, 2>(source, target),
        (3, 4) => spread_by::<3, 4>(source, target),
        _ => {
            let places = target.iter_mut().step_by(to);
            places.zip(source.iter().step_by(from)).for_each(|(place, number)| *place = *number);
        }
    }
}

/// The same with constant steps, which takes half the time.
fn spread_by<const FROM: usize, const TO: usize>(source: &[i16], target: &mut [i16]) {
    let (numbers, last) = source.as_chunks::<FROM>();
    let (places, end) = target.as_chunks_mut::<TO>();
    for (place, number) in places.iter_mut().zip(numbers) {
        place[0] = number[0];
    }
    // The remainders of `source` and `target`, which may end at different chunks.
    let mut numbers = numbers.iter().map(|chunk| chunk[0]).chain(last.first().copied());
    if let (Some(place), Some(number)) = (end.first_mut(), numbers.nth(places.len())) {
        *place = number;
    } else if let (Some(place), Some(number)) = (places.get_mut(source.len() / FROM), last.first())
    {
        place[0] = *number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{geometry::Rect, residual::Residual};
    use cyclegan_contract::Size;
    use gst_video::{VideoFormat, VideoInfo};
    use proptest::prelude::*;

    fn plane(format: VideoFormat, width: u32, height: u32) -> Plane {
        gst::init().unwrap();
        let info = VideoInfo::builder(format, width, height).build().unwrap();
        Plane::all(&info).unwrap().swap_remove(0)
    }

    /// A residual with different values everywhere.
    fn residual(width: u32, height: u32) -> Residual {
        let mut residual = Residual::new(Size { width, height });
        for (component, plane) in residual.planes.iter_mut().enumerate() {
            plane.iter_mut().zip(0..).for_each(|(step, i): (&mut i16, i32)| {
                *step = (i * 9973 % 30_011 - 15_000) as i16 + component as i16;
            });
        }
        residual
    }

    fn stretched(residual: &Residual, whole: &Plane, part: &Plane, y: usize) -> [Vec<i16>; 2] {
        let upsampler = Upsampler::new((residual.size.width, residual.size.height), whole);
        let window = Window::new(whole, part);
        let mut rows = UpsampledRows::default();
        rows.restart(&window);
        let row = rows.row(&upsampler, &window, |component, y| residual.row(component, y), y);
        [row.before.to_vec(), row.after.to_vec()]
    }

    /// The reference, one entry at a time.
    fn reference(residual: &Residual, whole: &Plane, part: &Plane, y: usize) -> [Vec<i16>; 2] {
        let row = part.first_row as usize - whole.first_row as usize + y;
        let tap = taps(residual.size.height, whole.height).nth(row).unwrap();
        [tap.before, tap.after].map(|y| {
            let mut entries = vec![0; part.row_length()];
            for (component, whole) in part.components().iter().zip(whole.components()) {
                let first = (component.first - whole.first) as usize;
                let row = residual.row(component.number, y as usize);
                let taps = taps(residual.size.width, whole.width).skip(first);
                for (i, tap) in taps.take(component.width as usize).enumerate() {
                    let [before, after] =
                        [tap.before, tap.after].map(|x| i32::from(row[x as usize]));
                    let step = before + (((after - before) * i32::from(tap.weight)) >> 8);
                    let entry = component.offset + i * component.stride;
                    let words = entries.len() / 3;
                    let place =
                        if part.is_packed() { entry % 3 * words + entry / 3 } else { entry };
                    entries[place] = step as i16;
                }
            }
            entries
        })
    }

    #[test]
    fn equal_sizes_are_only_interleaved() {
        let mut residual = Residual::new(Size { width: 2, height: 2 });
        for (component, plane) in residual.planes.iter_mut().enumerate() {
            plane.iter_mut().zip(1..).for_each(|(step, i)| *step = i * 10 + component as i16);
        }
        let plane = plane(VideoFormat::Argb, 2, 2);
        let [_, row] = stretched(&residual, &plane, &plane, 1);
        assert_eq!(row, [0, 30, 31, 32, 0, 40, 41, 42]);
    }

    const FORMATS: [VideoFormat; 10] = [
        VideoFormat::I420,
        VideoFormat::Nv12,
        VideoFormat::Rgb,
        VideoFormat::Rgba,
        VideoFormat::Argb,
        VideoFormat::Yuy2,
        VideoFormat::Uyvy,
        VideoFormat::P01010le,
        VideoFormat::V210,
        VideoFormat::Y410,
    ];

    proptest! {
        /// Also for a part of a plane, which is upsampled as in the whole plane.
        #[test]
        fn rows_agree_with_the_definition(
            format in prop::sample::select(FORMATS.as_slice()),
            width in 1u32..100, height in 1u32..12, from_width in 1u32..50, from_height in 1u32..6,
            x in 0u32..99, y in 0u32..11, part_width in 1u32..99, part_height in 1u32..11,
        ) {
            gst::init().unwrap();
            let info = VideoInfo::builder(format, width, height).build().unwrap();
            let residual = residual(from_width, from_height);
            let (x, y) = ((x % width) & !3, (y % height) & !1);
            let size = Size {
                width: part_width.min(width - x),
                height: part_height.min(height - y),
            };
            for whole in Plane::all(&info).unwrap() {
                for part in [whole, whole.part(&Rect { x, y, size })] {
                    for y in 0..part.height as usize {
                        let found = stretched(&residual, &whole, &part, y);
                        prop_assert_eq!(found, reference(&residual, &whole, &part, y));
                    }
                }
            }
        }
    }
}
