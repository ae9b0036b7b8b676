// SPDX-License-Identifier: MIT OR Apache-2.0

//! Curves over images as SVG.

use cyclegan_output::page::escape;
use serde_json::{Map, Value};

use crate::{metrics::images_of, terminal::count};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 220.0;
/// Margins for the numbers on the left and below, and for the names above.
const LEFT: f64 = 46.0;
const BELOW: f64 = 20.0;
const ABOVE: f64 = 18.0;
/// Width of a letter of a name, at most.
const LETTER: f64 = 8.0;
/// Points of a curve; more are averaged together.
const POINTS: usize = 240;
/// Colours that colour-blind readers can distinguish (Okabe and Ito 2008).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// A chart of some losses; `None` if no line has any of them.
pub fn chart(title: &str, names: &[&str], lines: &[Map<String, Value>]) -> Option<String> {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = names
        .iter()
        .map(|name| (*name, thinned(points(name, lines))))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let right = all().map(|p| p.0).fold(f64::NAN, f64::max);
    let bottom = all().map(|p| p.1).fold(0.0, f64::min);
    let top = all().map(|p| p.1).fold(f64::NAN, f64::max).max(1e-6) * 1.05;
    if !right.is_finite() {
        return None;
    }
    let place = |(x, y): (f64, f64)| {
        let x = LEFT + (WIDTH - LEFT) * x / right.max(1.0);
        let share = ((y - bottom) / (top - bottom)).clamp(0.0, 1.0);
        (x, height_of(share))
    };
    let mut svg = axes(bottom, top, right);
    let mut left = LEFT + 8.0;
    for (i, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        // A line through one point would be invisible.
        if let [point] = points[..] {
            let (x, y) = place(point);
            svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
        }
        let path = points.iter().map(|p| place(*p)).map(|(x, y)| format!("{x:.1},{y:.1}"));
        let x = left;
        left += LETTER * (name.len() + 2) as f64;
        svg += &format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\
             <text x=\"{x}\" y=\"12\" fill=\"{colour}\" font-size=\"12\">{}</text>",
            path.collect::<Vec<_>>().join(" "),
            escape(name)
        );
    }
    Some(format!(
        "<div class=\"chart\"><h3>{}</h3><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">{svg}</svg></div>",
        escape(title)
    ))
}

/// Where a share of the plot's height is, from its bottom.
fn height_of(share: f64) -> f64 {
    ABOVE + (HEIGHT - BELOW - ABOVE) * (1.0 - share)
}

fn axes(bottom: f64, top: f64, right: f64) -> String {
    let floor = HEIGHT - BELOW;
    let mut svg = String::new();
    for part in [0.0, 0.5, 1.0] {
        let y = height_of(part);
        let label = y.clamp(ABOVE + 10.0, floor - 2.0);
        svg += &format!(
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" stroke=\"currentColor\" opacity=\"0.2\"/>\
             <text x=\"{}\" y=\"{label}\" text-anchor=\"end\" font-size=\"11\" fill=\"currentColor\">{:.3}</text>",
            LEFT - 5.0,
            bottom + (top - bottom) * part
        );
    }
    svg + &format!(
        "<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\" font-size=\"11\" fill=\"currentColor\">{}</text>",
        HEIGHT - 5.0,
        count(right, "image")
    )
}

fn points(name: &str, lines: &[Map<String, Value>]) -> Vec<(f64, f64)> {
    let point = |line: &Map<String, Value>| {
        let value = line.get(name)?.as_f64()?;
        Some((images_of(line)? as f64, value))
    };
    lines.iter().filter_map(point).collect()
}

/// The means over stretches of equal length.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part[part.len() - 1].0, part.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(stretch).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_above_the_curves_and_apart() {
        let entries = ["images", "val_negative_A", "val_negative_B"].map(|name| (name, 1));
        let line = entries.map(|(k, v)| (k.to_owned(), Value::from(v))).into_iter().collect();
        let svg = chart("Both", &["val_negative_A", "val_negative_B"], &[line]).unwrap();
        let places = svg.split("<text x=\"").filter_map(|text| text.split_once("\" y=\"12\""));
        let places: Vec<f64> = places.map(|(x, _)| x.parse().unwrap()).collect();
        assert!(places[1] - places[0] > 14.0 * 7.0, "{places:?}");
        let circle = svg.split("cy=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(circle.parse::<f64>().unwrap() > 12.0, "{svg}");
    }

    /// The wgangp loss of a discriminator is negative.
    #[test]
    fn the_axis_starts_at_the_least_value() {
        let lines = [-3.0, -1.0].map(|value| {
            let entries = [("images", Value::from(1)), ("D_A", Value::from(value))];
            entries.map(|(k, v)| (k.to_owned(), v)).into_iter().collect()
        });
        let svg = chart("Negative", &["D_A"], &lines).unwrap();
        assert!(svg.contains(">-3.000<"), "{svg}");
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let heights: Vec<f64> =
            points.split(' ').map(|p| p.split(',').nth(1).unwrap().parse().unwrap()).collect();
        assert!(heights[0] == HEIGHT - BELOW && heights[1] < heights[0] - 100.0, "{heights:?}");
        assert!(heights[1] > 20.0, "{heights:?}");
    }

    #[test]
    fn long_curves_are_averaged_and_missing_ones_left_out() {
        let line = |images: u64| {
            let entries = [("images", Value::from(images)), ("G_A", Value::from(1.0))];
            entries.map(|(k, v)| (k.to_owned(), v)).into_iter().collect()
        };
        let lines: Vec<Map<String, Value>> = (1..=1000).map(line).collect();
        let svg = chart("Both", &["G_A", "G_B"], &lines).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert_eq!(svg.split("points=\"").nth(1).unwrap().matches(',').count(), 200);
        assert!(chart("None", &["D_A"], &lines).is_none());
        assert!(!svg.contains("<circle"));
        let svg = chart("Short", &["G_A"], &lines[..1]).unwrap();
        assert!(svg.contains("<circle"), "{svg}");
    }
}
