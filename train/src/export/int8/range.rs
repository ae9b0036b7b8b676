// SPDX-License-Identifier: MIT OR Apache-2.0

//! Chooses the 256 levels of a quantised activation.

/// Bins of a histogram, half of them below zero.
const BINS: usize = 4096;
/// Steps of the search for either end of a grid.
const STEPS: u32 = 64;

/// The values of a quantised tensor, which include 0: (q − `zero_point`)·`scale` for q from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Distance between neighbours.
    pub scale: f32,
    /// The q of the value 0.
    pub zero_point: u8,
}

impl Grid {
    /// The grid from about `low` to about `high`, shifted so that it includes 0.
    fn spanning(low: f32, high: f32) -> Self {
        let span = high.max(0.0) - low.min(0.0);
        let scale = if span > f32::MIN_POSITIVE { span / 255.0 } else { 1.0 };
        Self { scale, zero_point: (-low.min(0.0) / scale).round() as u8 }
    }
}

/// A histogram of the values of a tensor.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Bins of equal width from −`reach` to `reach`; exact zeros are in none of them.
    counts: Vec<u64>,
    reach: f32,
    low: f32,
    high: f32,
    /// Values seen, zeros included.
    pub seen: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = vec![0; BINS];
        // A power of two, so that widening by doubling is exact.
        Self { counts, reach: 2f32.powi(-20), low: 0.0, high: 0.0, seen: 0 }
    }
}

impl Histogram {
    /// Adds values; returns false if one of them is not finite.
    pub fn add(&mut self, values: &[f32]) -> bool {
        let ends = values.iter().fold((0f32, 0f32), |(low, high), &v| (low.min(v), high.max(v)));
        if !ends.0.is_finite() || !ends.1.is_finite() || values.iter().any(|v| v.is_nan()) {
            return false;
        }
        self.low = self.low.min(ends.0);
        self.high = self.high.max(ends.1);
        while self.reach <= self.high.max(-self.low) {
            self.widen();
        }
        let per_unit = BINS as f32 / 2.0 / self.reach;
        for &value in values.iter().filter(|&&v| v != 0.0) {
            // The largest float below `reach` may be rounded up to the end of the last bin.
            let bin = ((value + self.reach) * per_unit) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
        self.seen += values.len() as u64;
        true
    }

    /// Doubles the reach: two bins become one.
    fn widen(&mut self) {
        let mut counts = vec![0; BINS];
        for (i, count) in self.counts.iter().enumerate() {
            counts[BINS / 4 + i / 2] += count;
        }
        self.counts = counts;
        self.reach *= 2.0;
    }

    /// The grid with the least expected squared error. This is the error of rounding, `scale`²/12 for each value
    /// within the grid, plus that of clipping (Sakr et al. 2022, arXiv 2206.06501, equation 3). The ends are
    /// optimised one after the other, since they hardly affect each other.
    pub fn grid(&self) -> Grid {
        let (mut low, mut high) = (self.low, self.high);
        let share = |step: u32| step as f32 / STEPS as f32;
        for _ in 0..2 {
            let error_of = |step: &u32| self.error(low, self.high * share(*step));
            high = self.high * share(best(error_of));
            let error_of = |step: &u32| self.error(self.low * share(*step), high);
            low = self.low * share(best(error_of));
        }
        Grid::spanning(low, high)
    }

    /// Expected squared error, summed over all values, of the grid from `low` to `high`.
    fn error(&self, low: f32, high: f32) -> f64 {
        let step = f64::from(high - low) / 255.0;
        let width = self.reach * 2.0 / BINS as f32;
        let bins = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let errors = bins.map(|(i, &count)| {
            let value = (i as f32 + 0.5) * width - self.reach;
            let outside = f64::from((low - value).max(value - high).max(0.0));
            count as f64 * (step * step / 12.0 + outside * outside)
        });
        errors.sum()
    }
}

/// The step from 1 to [`STEPS`] with the least error.
fn best(error_of: impl Fn(&u32) -> f64) -> u32 {
    let errors = (1..=STEPS).map(|step| (step, error_of(&step)));
    errors.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(STEPS, |(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(values: &[f32]) -> Grid {
        let mut histogram = Histogram::default();
        assert!(histogram.add(values));
        histogram.grid()
    }

    /// Mean squared error of quantising `values`, by the specification of `QuantizeLinear`.
    fn rounding_error(values: &[f32], grid: Grid) -> f64 {
        let error = |&v: &f32| {
            let zero = f32::from(grid.zero_point);
            let q = ((v / grid.scale).round_ties_even() + zero).clamp(0.0, 255.0);
            f64::from((q - zero) * grid.scale - v).powi(2)
        };
        values.iter().map(error).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn a_grid_for_uniform_values_spans_their_range() {
        let values: Vec<f32> = (0..1000).map(|i| i as f32 / 500.0 - 0.5).collect();
        let Grid { scale, zero_point } = grid(&values);
        assert!((scale * 255.0 - 2.0).abs() < 0.1, "{scale}");
        assert!((60..=68).contains(&zero_point), "{zero_point}");
    }

    #[test]
    fn a_grid_for_positive_values_starts_at_0() {
        let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
        assert_eq!(grid(&values).zero_point, 0);
        let below: Vec<f32> = values.iter().map(|v| -v).collect();
        assert_eq!(grid(&below).zero_point, 255);
    }

    #[test]
    fn an_outlier_is_clipped_if_that_reduces_the_error() {
        let values: Vec<f32> = (0..10_000).map(|i| (i % 1000) as f32 / 500.0 - 1.0).collect();
        let mut histogram = Histogram::default();
        assert!((0..100).all(|_| histogram.add(&values)) && histogram.add(&[5.0]));
        let found = histogram.grid();
        assert!(found.scale * 255.0 < 3.0, "{found:?}");
        let whole = Grid::spanning(-1.0, 5.0);
        assert!(rounding_error(&values, found) < 0.5 * rounding_error(&values, whole));
    }

    #[test]
    fn zeros_and_empty_tensors_have_a_grid() {
        assert_eq!(grid(&[0.0; 9]), Grid { scale: 1.0, zero_point: 0 });
        assert_eq!(grid(&[]), Grid { scale: 1.0, zero_point: 0 });
    }

    #[test]
    fn nan_and_infinity_are_detected() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!Histogram::default().add(&[1.0, bad, 0.0]));
        }
    }

    #[test]
    fn widening_keeps_the_sign_of_values() {
        let mut histogram = Histogram::default();
        assert!(histogram.add(&[1e-7, -1e-7]) && histogram.add(&[3.0, -9.0, 0.0]));
        let below: u64 = histogram.counts[..BINS / 2].iter().sum();
        let above: u64 = histogram.counts[BINS / 2..].iter().sum();
        assert_eq!((below, above, histogram.seen), (2, 2, 5));
    }
}
