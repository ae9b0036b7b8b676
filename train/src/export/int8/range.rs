// SPDX-License-Identifier: MIT OR Apache-2.0

//! Chooses the 256 levels of a quantised activation.

/// Bins of a histogram, half of them below zero.
const BINS: usize = 4096;
/// Steps of the search for either end of a grid.
const STEPS: u32 = 64;

/// Evenly spaced values with 0 among them: (q − `zero_point`)·`scale` for q from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Distance between neighbours.
    pub scale: f32,
    /// The q that stands for 0.
    pub zero_point: u8,
}

impl Grid {
    /// The grid from about `low` to about `high`; moved so that 0 lies on it.
    fn spanning(low: f32, high: f32) -> Self {
        let span = high.max(0.0) - low.min(0.0);
        let scale = if span > f32::MIN_POSITIVE { span / 255.0 } else { 1.0 };
        Self { scale, zero_point: (-low.min(0.0) / scale).round() as u8 }
    }
}

/// How often the values of a tensor occur.
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
    /// Counts values; false if one of them is not finite.
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

    /// The grid of the least expected squared error: that of rounding, `scale`²/12 for each value
    /// that lies on the grid's span, and that of clipping (Sakr et al. 2022, arXiv 2206.06501,
    /// equation 3). Each end in turn, since clipping one hardly moves the best place of the other.
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

    /// Mean squared error of rounding `values` to a grid, as the specification of
    /// `QuantizeLinear` has it.
    fn rounding_error(values: &[f32], grid: Grid) -> f64 {
        let error = |&v: &f32| {
            let zero = f32::from(grid.zero_point);
            let q = ((v / grid.scale).round_ties_even() + zero).clamp(0.0, 255.0);
            f64::from((q - zero) * grid.scale - v).powi(2)
        };
        values.iter().map(error).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn evenly_spread_values_keep_their_ends() {
        let values: Vec<f32> = (0..1000).map(|i| i as f32 / 500.0 - 0.5).collect();
        let Grid { scale, zero_point } = grid(&values);
        assert!((scale * 255.0 - 2.0).abs() < 0.1, "{scale}");
        assert!((60..=68).contains(&zero_point), "{zero_point}");
    }

    #[test]
    fn nothing_below_zero_is_no_room_below_zero() {
        let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
        assert_eq!(grid(&values).zero_point, 0);
        let below: Vec<f32> = values.iter().map(|v| -v).collect();
        assert_eq!(grid(&below).zero_point, 255);
    }

    #[test]
    fn a_stray_value_is_clipped_where_that_costs_less_than_a_coarse_grid() {
        let values: Vec<f32> = (0..10_000).map(|i| (i % 1000) as f32 / 500.0 - 1.0).collect();
        let mut histogram = Histogram::default();
        assert!((0..100).all(|_| histogram.add(&values)) && histogram.add(&[5.0]));
        let found = histogram.grid();
        assert!(found.scale * 255.0 < 3.0, "{found:?}");
        let whole = Grid::spanning(-1.0, 5.0);
        assert!(rounding_error(&values, found) < 0.5 * rounding_error(&values, whole));
    }

    #[test]
    fn zeros_alone_and_nothing_at_all_still_make_a_grid() {
        assert_eq!(grid(&[0.0; 9]), Grid { scale: 1.0, zero_point: 0 });
        assert_eq!(grid(&[]), Grid { scale: 1.0, zero_point: 0 });
    }

    #[test]
    fn what_is_no_number_is_noticed() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!Histogram::default().add(&[1.0, bad, 0.0]));
        }
    }

    #[test]
    fn widening_moves_no_value_to_another_side() {
        let mut histogram = Histogram::default();
        assert!(histogram.add(&[1e-7, -1e-7]) && histogram.add(&[3.0, -9.0, 0.0]));
        let below: u64 = histogram.counts[..BINS / 2].iter().sum();
        let above: u64 = histogram.counts[BINS / 2..].iter().sum();
        assert_eq!((below, above, histogram.seen), (2, 2, 5));
    }
}
