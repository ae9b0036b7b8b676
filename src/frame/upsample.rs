// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bilinear enlarging of a change, a row at a time.

/// Parts of a weight: 256 is the whole.
pub const WEIGHT_ONE: i32 = 256;

/// Where one output position lies between two input positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The input position before it.
    pub before: u32,
    /// The input position after it, or the same at the edges.
    pub after: u32,
    /// The share of `after`, in parts of [`WEIGHT_ONE`].
    pub weight: u16,
}

/// The taps that stretch `input` positions over `output` positions, centre on centre.
pub fn taps(input: u32, output: u32) -> Vec<Tap> {
    let last = input - 1;
    let tap = |x: u32| {
        let centre = (f64::from(x) + 0.5) * f64::from(input) / f64::from(output) - 0.5;
        let centre = centre.clamp(0.0, f64::from(last));
        let before = centre.floor() as u32;
        let weight = ((centre - centre.floor()) * f64::from(WEIGHT_ONE)).round() as u16;
        Tap { before, after: (before + 1).min(last), weight }
    };
    (0..output).map(tap).collect()
}

/// Stretches one plane of a change to the size of one component of a frame.
#[derive(Debug)]
pub struct Upsampler {
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// The two input rows in use, stretched: row `i` stands in `stretched[i % 2]`.
    stretched: [Vec<i16>; 2],
    /// Which input rows these are.
    held: [Option<u32>; 2],
}

/// Two rows, stretched to the output's width, between which an output row lies.
pub struct Between<'a> {
    /// The row before.
    pub before: &'a [i16],
    /// The row after.
    pub after: &'a [i16],
    /// The share of `after`, in parts of [`WEIGHT_ONE`].
    pub weight: i32,
}

impl Upsampler {
    /// From width×height `input` to width×height `output`, in samples.
    pub fn new(input: (u32, u32), output: (u32, u32)) -> Self {
        let row = vec![0; output.0 as usize];
        Self {
            columns: taps(input.0, output.0),
            rows: taps(input.1, output.1),
            stretched: [row.clone(), row],
            held: [None; 2],
        }
    }

    /// The output's height.
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// Forgets the rows of the last plane.
    pub fn restart(&mut self) {
        self.held = [None; 2];
    }

    /// The rows of `plane`, `width` samples wide, around output row `y`.
    pub fn row(&mut self, plane: &[i16], width: usize, y: usize) -> Between<'_> {
        let Tap { before, after, weight } = self.rows[y];
        for row in [before, after] {
            let slot = row as usize % 2;
            if self.held[slot] != Some(row) {
                let source = &plane[row as usize * width..][..width];
                stretch(source, &self.columns, &mut self.stretched[slot]);
                self.held[slot] = Some(row);
            }
        }
        Between {
            before: &self.stretched[before as usize % 2],
            after: &self.stretched[after as usize % 2],
            weight: i32::from(weight),
        }
    }
}

fn stretch(source: &[i16], columns: &[Tap], target: &mut [i16]) {
    for (sample, tap) in target.iter_mut().zip(columns) {
        let before = i32::from(source[tap.before as usize]);
        let after = i32::from(source[tap.after as usize]);
        *sample = (before + (((after - before) * i32::from(tap.weight)) >> 8)) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_is_left_alone() {
        let plane: Vec<i16> = (0..12).map(|i| i * 100 - 600).collect();
        let mut upsampler = Upsampler::new((4, 3), (4, 3));
        for y in 0..3 {
            let between = upsampler.row(&plane, 4, y);
            assert_eq!((between.before, between.weight), (&plane[y * 4..][..4], 0));
        }
    }

    #[test]
    fn doubling_blends_a_quarter_and_three_quarters() {
        let weights: Vec<_> = taps(2, 4).iter().map(|tap| (tap.before, tap.weight)).collect();
        assert_eq!(weights, [(0, 0), (0, 64), (0, 192), (1, 0)]);
    }

    #[test]
    fn halving_is_the_mean_of_two() {
        assert!(taps(8, 4).iter().all(|tap| tap.weight == 128 && tap.after == tap.before + 1));
    }

    #[test]
    fn one_sample_spreads_everywhere() {
        assert!(taps(1, 5).iter().all(|tap| *tap == Tap { before: 0, after: 0, weight: 0 }));
    }
}
