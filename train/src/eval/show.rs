// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scores as a table, as JSON and as a page.

use anyhow::Result;
use cyclegan_output::page;

use super::score::Score;

/// Heading, meaning and value.
type Column = (&'static str, &'static str, fn(&Score) -> Option<String>);

const COLUMNS: [Column; 11] = [
    ("model", "file or run", |s| Some(s.model.clone())),
    ("direction", "A2B or B2A", |s| Some(s.direction.clone())),
    ("images", "images translated", |s| Some(s.images.to_string())),
    ("KID×100", "against the target domain, ± standard error", |s| {
        Some(format!("{:.2} ± {:.2}", s.kid_x100?, s.kid_x100_error?))
    }),
    ("to the first", "KID×100 minus that of the first model, ± standard error, paired", |s| {
        Some(format!("{:+.2} ± {:.2}", s.kid_x100_above_first?, s.kid_x100_above_first_error?))
    }),
    ("target class", "share classified as the target class", |s| {
        Some(format!("{:.1} %", s.target_class? * 100.0))
    }),
    ("source class", "share still classified as the source class", |s| {
        Some(format!("{:.1} %", s.source_class? * 100.0))
    }),
    ("cycle", "mean absolute error after both generators, grey levels", |s| {
        Some(format!("{:.2}", s.cycle?))
    }),
    ("change in / out", "mean absolute change inside and outside the masks, grey levels", |s| {
        Some(format!("{:.1} / {:.1}", s.change_inside?, s.change_outside?))
    }),
    (
        "negatives",
        "images of neither domain: mean absolute change, grey levels, and share that changes visibly",
        |s| Some(format!("{:.1} ({:.0} %)", s.negatives_change?, s.negatives_changed? * 100.0)),
    ),
    (
        "flicker (input)",
        "warping error of the translated clip, of the clip itself, and their difference, grey levels",
        |s| {
            let (error, of_input) = (s.warping_error?, s.warping_error_of_input?);
            Some(format!("{error:.2} ({of_input:.2}, {:+.2})", s.warping_error_above_input?))
        },
    ),
];

/// A Markdown table.
pub fn table(scores: &[Score]) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let headings = COLUMNS.iter().map(|c| c.0.to_owned()).collect();
    let rule = COLUMNS.iter().map(|_| "---".to_owned()).collect();
    let rows = scores.iter().map(|s| row(cells(s)));
    [row(headings), row(rule)].into_iter().chain(rows).collect()
}

/// A list of objects.
pub fn json(scores: &[Score]) -> Result<String> {
    Ok(serde_json::to_string_pretty(scores)? + "\n")
}

/// A self-contained page with the table and images.
pub fn html(scores: &[Score]) -> Result<String> {
    let mut body = "<table><tr>".to_owned();
    for (heading, meaning, _) in COLUMNS {
        body += &format!("<th title=\"{}\">{}</th>", page::escape(meaning), page::escape(heading));
    }
    body += "</tr>";
    for score in scores {
        let cells = cells(score).into_iter().map(|c| format!("<td>{}</td>", page::escape(&c)));
        body += &format!("<tr>{}</tr>", cells.collect::<String>());
    }
    body += "</table>";
    for score in scores {
        let title = format!("{} {}", score.direction, score.model);
        body += &format!("<h2>{}</h2><div class=\"grid\">", page::escape(&title));
        for [real, generated] in &score.pictures {
            body += &format!("<figure>{}{}</figure>", page::image(real)?, page::image(generated)?);
        }
        body += "</div>";
    }
    Ok(page::page("cyclegan-train eval", None, &body))
}

fn cells(score: &Score) -> Vec<String> {
    COLUMNS.iter().map(|c| (c.2)(score).unwrap_or_else(|| "–".to_owned())).collect()
}
