// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report: one page with thumbnails of frames before and after for each file.

use std::path::Path;

use anyhow::Result;
use cyclegan_output::{
    page::{self, escape},
    write_beside,
};

use crate::{
    events::{Verdict, counted, shown},
    inputs::Item,
    options::{Direction, Options},
    scheduler::Outcome,
};

/// Writes the page.
pub fn write(path: &Path, items: &[Item], outcomes: &[Outcome], options: &Options) -> Result<()> {
    let sections = items.iter().zip(outcomes).map(|(item, outcome)| section(item, outcome));
    let body = [summary(outcomes, options), sections.collect()].concat();
    write_beside(path, page::page("cyclegan-batch", None, &body).as_bytes())
}

fn summary(outcomes: &[Outcome], options: &Options) -> String {
    let count = |is: fn(&Verdict) -> bool| {
        outcomes.iter().filter(|outcome| outcome.verdict.as_ref().is_some_and(is)).count()
    };
    let rows = [
        ("Translated", count(|v| matches!(v, Verdict::Translated { .. }))),
        ("Finished before", count(|v| matches!(v, Verdict::Skipped { .. }))),
        ("Failed", count(|v| matches!(v, Verdict::Failed { .. }))),
        ("Not finished", outcomes.iter().filter(|outcome| outcome.verdict.is_none()).count()),
    ];
    let rows = rows.iter().filter(|(_, count)| *count > 0);
    let rows = rows.map(|(name, count)| format!("<tr><th>{name}</th><td>{count}</td></tr>"));
    let model = options.model.as_deref().unwrap_or("horse2zebra");
    format!(
        "<p>Generator {}, {}. Thumbnails: the input above, the output below.</p><table>{}</table>",
        escape(model),
        match options.direction {
            Direction::Forward => "A to B",
            Direction::Reverse => "B to A",
        },
        rows.collect::<String>()
    )
}

fn section(item: &Item, outcome: &Outcome) -> String {
    let state = match &outcome.verdict {
        Some(Verdict::Translated { frames, seconds }) => {
            let rate = *frames as f64 / seconds.max(0.001);
            format!("<p>{} in {seconds:.1} s, {rate:.1} frames/s</p>", counted(*frames, "frame"))
        }
        Some(Verdict::Skipped { frames }) => {
            format!("<p>{}, finished before</p>", counted(*frames, "frame"))
        }
        Some(Verdict::Failed { cause }) => format!("<p class=\"alarm\">{}</p>", escape(cause)),
        Some(Verdict::Planned { .. }) | None => "<p>Not finished</p>".to_owned(),
    };
    let notices = outcome.notices.iter().map(|text| format!("<p>Note: {}</p>", escape(text)));
    format!(
        "<section><h2>{}</h2>{state}{}{}</section>",
        escape(&shown(&item.relative)),
        notices.collect::<String>(),
        outcome.thumbnails.as_deref().unwrap_or_default()
    )
}
