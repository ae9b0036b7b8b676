// SPDX-License-Identifier: MIT OR Apache-2.0

//! `--status`: the state of an output folder that any number of machines work on.

use std::{
    collections::HashSet,
    io::{self, Write},
    path::Path,
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    entry::{Recorded, State, count_states, folder_of},
    item::Item,
    text::{and_counts, shown},
};

/// Prints the state of the outputs in `out`, and how many of `items` have not started. Fails if the records cannot be read.
pub fn print(out: &Path, items: &[Item], as_json: bool) -> Result<()> {
    let recorded = Recorded::all(out)?;
    let line = |record| match as_json {
        true => Some(object(record).to_string()),
        false => line(out, record),
    };
    recorded.iter().filter_map(line).for_each(|line| say(&line));
    let [done, failed, translating, unfinished] = count_states(recorded.iter().map(|r| &r.state));
    let begun: HashSet<&Path> = recorded.iter().map(|record| &*record.folder).collect();
    // Problems known before a file is opened are never recorded.
    let (bad, good): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.problem.is_some());
    let waiting = good.iter().filter(|item| !begun.contains(&*folder_of(out, &item.output)));
    let (waiting, failed) = (waiting.count() as u64, failed + bad.len() as u64);
    bad.iter().for_each(|item| say(&problem(item, as_json)));
    if as_json {
        let summary = json!({"event": "summary", "done": done, "failed": failed, "translating": translating,
                             "unfinished": unfinished, "not_started": waiting});
        say(&summary.to_string());
        return Ok(());
    }
    let more = and_counts(&[(unfinished, "unfinished"), (waiting, "not started")]);
    say(&format!("{done} done, {failed} failed, {translating} being translated{more}"));
    Ok(())
}

/// The line for an item that cannot be translated.
fn problem(item: &Item, as_json: bool) -> String {
    let (input, cause) = (shown(&item.input), item.problem.as_deref().unwrap_or_default());
    match as_json {
        true => json!({"event": "status", "state": "failed", "input": input, "cause": cause})
            .to_string(),
        false => format!("{input}: cannot be translated: {cause}"),
    }
}

/// The lines for an output; `None` if it is done without notices.
fn line(out: &Path, record: &Recorded) -> Option<String> {
    let name = shown(&out.join(record.name()));
    let state = match &record.state {
        State::Done { .. } => None,
        State::Failed { cause, host } => Some(format!("{name}: failed on {host}: {cause}")),
        State::Translating(holder) => Some(format!("{name}: is being translated by {holder}")),
        State::Unfinished => Some(format!("{name}: not finished")),
    };
    let notices = record.notices.iter().map(|text| format!("note: {name}: {text}"));
    let lines: Vec<String> = state.into_iter().chain(notices).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn object(record: &Recorded) -> Value {
    let mut object = json!(record.state);
    object["event"] = "status".into();
    object["output"] = record.name().into();
    object["input"] = record.paths.input.as_deref().map(shown).into();
    object["notes"] = json!(record.notices);
    object
}

fn say(line: &str) {
    // `println!` would panic on a closed pipe, as with `| head`.
    let _ = writeln!(io::stdout(), "{line}");
}
