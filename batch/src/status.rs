// SPDX-License-Identifier: MIT OR Apache-2.0

//! The state of an output folder, whichever machines work on it: `--status`.

use std::{
    collections::HashSet,
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    entry::{Recorded, State},
    events::shown,
    inputs::Item,
};

/// The number of outputs in each state.
#[derive(Default)]
struct Counts {
    done: usize,
    failed: usize,
    held: usize,
    unfinished: usize,
}

/// Prints the state of the outputs in `out`, and how many of `items` are not begun.
pub fn print(out: &Path, items: &[Item], as_json: bool) {
    let recorded = Recorded::all(out);
    let mut counts = Counts::default();
    for record in &recorded {
        let line = match as_json {
            true => Some(object(record).to_string()),
            false => line(out, record),
        };
        line.into_iter().for_each(|line| say(&line));
        *match record.state {
            State::Done { .. } => &mut counts.done,
            State::Failed { .. } => &mut counts.failed,
            State::Held(_) => &mut counts.held,
            State::Unfinished => &mut counts.unfinished,
        } += 1;
    }
    let begun: HashSet<&Path> = recorded.iter().filter_map(|r| r.output.as_deref()).collect();
    let waiting = items.iter().filter(|item| !begun.contains(&*item.output)).count();
    let Counts { done, failed, held, unfinished } = counts;
    if as_json {
        let summary = json!({"event": "summary", "done": done, "failed": failed, "translating": held,
                             "unfinished": unfinished, "not_begun": waiting});
        return say(&summary.to_string());
    }
    let more = [(unfinished, "begun and not finished"), (waiting, "not begun")];
    let more = more.iter().filter(|(count, _)| *count > 0);
    let more: String = more.map(|(count, what)| format!(", {count} {what}")).collect();
    say(&format!("{done} done, {failed} failed, {held} being translated{more}"));
}

/// The lines on an output: none on one that is done without a note.
fn line(out: &Path, record: &Recorded) -> Option<String> {
    let name = shown(&out.join(record.name()));
    let state = match &record.state {
        State::Done { .. } => None,
        State::Failed { cause, host } => Some(format!("{name}: failed on {host}: {cause}")),
        State::Held(holder) => Some(format!("{name}: is being translated by {holder}")),
        State::Unfinished => Some(format!("{name}: not finished")),
    };
    let notices = record.notices.iter().map(|text| format!("note: {name}: {text}"));
    let lines: Vec<String> = state.into_iter().chain(notices).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn object(record: &Recorded) -> Value {
    let mut object = json!({"event": "status", "output": record.name(),
                            "input": record.input.as_deref().map(shown), "notes": record.notices});
    let more = match &record.state {
        State::Done { frames, seconds, host } => {
            json!({"state": "done", "frames": frames, "seconds": seconds, "host": host})
        }
        State::Failed { cause, host } => json!({"state": "failed", "cause": cause, "host": host}),
        State::Held(holder) => {
            json!({"state": "translating", "host": holder.host, "pid": holder.pid})
        }
        State::Unfinished => json!({"state": "unfinished"}),
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn say(line: &str) {
    // `println!` would panic on a closed pipe, as with `| head`.
    let _ = writeln!(io::stdout(), "{line}");
}
