// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report: one page with thumbnails of each file before and after translation.
//!
//! It is made from the records in the output folder, so it includes what other machines and earlier runs did.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use cyclegan_output::{
    page::{self, escape},
    write_atomically_with,
};

use crate::{
    entry::{OWN_FOLDER, Recorded, State, count_states},
    files::{create_folder, ensure_writable},
    item::Item,
    text::{counted, shown},
};

/// A file and what is known about it.
struct Row {
    name: String,
    problem: Option<String>,
    recorded: Option<Recorded>,
}

/// Fails if the page cannot be written, rather than after hours of work. A dry run creates no folder for it.
pub fn check(path: &Path, is_dry: bool) -> Result<()> {
    ensure!(!path.is_dir(), "--report {}: a folder, expected a file", path.display());
    // A device or a pipe would be replaced.
    let is_new_or_file = path.metadata().map_or(true, |found| found.is_file());
    ensure!(is_new_or_file, "--report {}: a device or a pipe, expected a file", path.display());
    // `--report *.mp4` would replace the first video.
    let is_page = path.extension().is_some_and(|extension| {
        ["html", "htm", "xhtml"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    ensure!(is_page, "--report {}: expected a name that ends in .html", path.display());
    let path = target(path);
    let folder = path.parent().unwrap_or(&path);
    match is_dry {
        true => Ok(()),
        false => create_folder(folder).and_then(|()| ensure_writable(folder)),
    }
}

/// The file itself if `path` is a link to it.
fn target(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or_else(|_| absolute())
}

/// Writes the page on `items`, or on all records in the output folder `out` if there are none.
pub fn write(path: &Path, out: &Path, items: &[Item]) -> Result<()> {
    // If several machines end at the same time, the last one sees the results of all. Without locks, it may miss one.
    let lock = File::create(out.join(OWN_FOLDER).join("report.lock"));
    let _held = lock.and_then(|file| file.lock().map(|()| file));
    let rows: Vec<Row> = match items.is_empty() {
        true => Recorded::all(out)?.into_iter().map(Row::of_record).collect(),
        false => items.iter().map(|item| Row::of_item(out, item)).collect(),
    };
    write_atomically_with(&target(path), |file| {
        file.write_all(page::begin("cyclegan-batch", None).as_bytes())?;
        file.write_all(summary(&rows).as_bytes())?;
        rows.iter().try_for_each(|row| row.write(file))?;
        file.write_all(page::END.as_bytes())
    })
}

impl Row {
    fn of_item(out: &Path, item: &Item) -> Self {
        let recorded = item.problem.is_none().then(|| Recorded::of(out, item)).flatten();
        let is_done = recorded.as_ref().is_some_and(|r| matches!(r.state, State::Done { .. }));
        let name = match (item.sample.is_some(), is_done && item.output != item.relative) {
            (true, _) => shown(&item.output),
            (false, true) => format!("{} → {}", shown(&item.relative), shown(&item.output)),
            (false, false) => shown(&item.relative),
        };
        Self { name, problem: item.problem.clone(), recorded }
    }

    fn of_record(recorded: Recorded) -> Self {
        Self { name: recorded.name(), problem: None, recorded: Some(recorded) }
    }

    fn write(&self, page: &mut dyn io::Write) -> io::Result<()> {
        let warning = |cause: &str| format!("<p class=\"warning\">{}</p>", escape(cause));
        let state = match (&self.problem, &self.recorded) {
            (Some(problem), _) => warning(problem),
            (None, None) => "<p>Not started</p>".to_owned(),
            (None, Some(recorded)) => match &recorded.state {
                State::Done { frames, seconds, host } => {
                    let rate = *frames as f64 / seconds.max(0.001);
                    format!(
                        "<p>{} in {seconds:.1} s on {}, {rate:.1} frames/s</p>",
                        counted(*frames, "frame"),
                        escape(host)
                    )
                }
                State::Failed { cause, .. } => warning(cause),
                State::Translating(holder) => {
                    format!("<p>Being translated by {}</p>", escape(&holder.to_string()))
                }
                State::Unfinished => "<p>Not finished</p>".to_owned(),
            },
        };
        let notices = self.recorded.iter().flat_map(|recorded| &recorded.notices);
        let notices: String =
            notices.map(|text| format!("<p>Note: {}</p>", escape(text))).collect();
        // Read one at a time: together they may not fit in memory.
        let thumbnails = self.recorded.as_ref().and_then(Recorded::thumbnails);
        write!(
            page,
            "<section><h2>{}</h2>{state}{notices}{}</section>",
            escape(&self.name),
            thumbnails.unwrap_or_default()
        )
    }
}

fn summary(rows: &[Row]) -> String {
    let mut recorded = rows.iter().filter_map(|row| row.recorded.as_ref());
    let has_thumbnails = recorded.any(Recorded::has_thumbnails);
    let states = rows.iter().filter_map(|row| Some(&row.recorded.as_ref()?.state));
    let [done, failed, translating, _] = count_states(states);
    let failed = failed + rows.iter().filter(|row| row.problem.is_some()).count() as u64;
    let rows = [
        ("Translated", done),
        ("Failed", failed),
        ("Being translated", translating),
        ("Not finished", rows.len() as u64 - done - failed - translating),
    ];
    let rows = rows.iter().filter(|(_, count)| *count > 0);
    let rows = rows.map(|(name, count)| format!("<tr><th>{name}</th><td>{count}</td></tr>"));
    let legend = match has_thumbnails {
        true => "<p>Thumbnails: the input above, the output below.</p>",
        false => "",
    };
    format!("{legend}<table>{}</table>", rows.collect::<String>())
}
