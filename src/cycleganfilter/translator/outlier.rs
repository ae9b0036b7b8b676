// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds generators whose output has another range than their metadata says.

use cyclegan_contract::ValueRange;
use cyclegan_runtime::Values;

/// Generators without a final tanh exceed −1 to 1 too, but not by this much.
const FAR: f32 = 4.0;
/// One value in so many is examined: bright areas have many pixels. Prime, so that the values are of
/// different columns.
const STEP: usize = 61;

/// The value of a generator's output that is furthest from zero, if it is far outside of `range`.
pub fn outlier(output: Values<'_>, range: ValueRange) -> Option<f32> {
    let furthest = match (range, output) {
        (ValueRange::ZeroTo255, _) => return None,
        (_, Values::F32(values)) => furthest(values),
        (_, Values::F16(values)) => furthest(values),
    };
    (furthest.abs() > FAR).then_some(furthest)
}

fn furthest<T: Copy + Into<f32>>(values: &[T]) -> f32 {
    let values = values.iter().step_by(STEP).map(|&value| value.into());
    values.fold(0.0, |most: f32, value: f32| if value.abs() > most.abs() { value } else { most })
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn only_values_far_outside_of_the_range_are_outliers() {
        for (range, values, expected) in [
            (ValueRange::MinusOneToOne, [-1.0, 3.9], None),
            (ValueRange::MinusOneToOne, [1.0, -4.5], Some(-4.5)),
            (ValueRange::ZeroToOne, [0.5, 240.0], Some(240.0)),
            (ValueRange::ZeroTo255, [0.0, 300.0], None),
        ] {
            let image: Vec<f32> = values.into_iter().flat_map(|value| [value; 100]).collect();
            assert_eq!(outlier(Values::F32(&image), range), expected, "{values:?}");
            let image: Vec<f16> = image.into_iter().map(f16::from_f32).collect();
            let found = outlier(Values::F16(&image), range);
            assert_eq!(found, expected.map(|value| f16::from_f32(value).into()), "{values:?}");
        }
    }
}
