// SPDX-License-Identifier: MIT OR Apache-2.0

//! Warnings of known training failures, with advice.

use serde_json::{Map, Value};

use crate::metrics::{images_of, is_of_training};

/// Number of metrics lines for a warning.
const WINDOW: usize = 20;
/// Number of images before which there are no warnings.
const SETTLED: u64 = 2000;

/// The warnings for the last lines of metrics.
pub fn warnings(lines: &[Map<String, Value>]) -> Vec<String> {
    let lines: Vec<_> = lines.iter().filter(|line| is_of_training(line)).collect();
    let last = &lines[lines.len().saturating_sub(WINDOW)..];
    let mean = |name: &str| {
        let values: Option<Vec<f64>> = last.iter().map(|l| l.get(name)?.as_f64()).collect();
        let values = values.filter(|v| !v.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    };
    let images = last.last().and_then(|line| images_of(line)).unwrap_or(0);
    if last.len() < WINDOW || images < SETTLED {
        return Vec::new();
    }
    let below = |name: String, limit: f64| mean(&name).is_some_and(|v| v < limit);
    let above = |name: String, limit: f64| mean(&name).is_some_and(|v| v > limit);
    let mut found = Vec::new();
    for (letter, generator) in [("A", "G"), ("B", "F")] {
        if below(format!("correlation_{letter}"), -0.3) {
            found.push(format!(
                "Colours are inverted: the output of {generator} is dark where its input is light. \
                 Restart with another --seed, a smaller --init-gain, or --lambda-identity 0.5."
            ));
        }
        if below(format!("change_{letter}"), 0.005) {
            found.push(format!(
                "{generator} leaves its input as it is. Lower --lambda-identity and the cycle \
                 weights, or --lambda-mask if the mask is not supervised."
            ));
        }
        if above(format!("D_{letter}_accuracy"), 0.98) {
            found.push(format!(
                "The discriminator of {generator} is always right, so {generator} learns \
                 little. Lower --ndf, raise --pool-size, or show it less: --look-at foreground."
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(entries: &[(&str, f64)]) -> Vec<Map<String, Value>> {
        let line = |k: u64| {
            let images = ("images".to_owned(), Value::from(5000 + k));
            let rest = entries.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v)));
            let epoch = ("epoch".to_owned(), Value::from(1));
            rest.chain([images, epoch]).collect()
        };
        (0..WINDOW as u64).map(line).collect()
    }

    #[test]
    fn each_failure_has_a_warning_and_a_good_run_has_none() {
        let healthy = [("correlation_A", 0.8), ("change_A", 0.05), ("D_A_accuracy", 0.7)];
        assert!(warnings(&lines(&healthy)).is_empty());
        for (name, value, word) in [
            ("correlation_A", -0.8, "inverted"),
            ("change_B", 0.001, "as it is"),
            ("D_B_accuracy", 1.0, "always right"),
        ] {
            let found = warnings(&lines(&[(name, value)]));
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].contains(word), "{found:?}");
        }
    }

    #[test]
    fn a_new_run_has_no_warnings() {
        let young: Vec<_> = lines(&[("change_A", 0.0)]).into_iter().take(5).collect();
        assert!(warnings(&young).is_empty());
    }
}
