// SPDX-License-Identifier: MIT OR Apache-2.0

//! Progress output: bars and lines of text, or JSON.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::{
    lock::lock,
    text::{and_counts, counted, shown},
};

/// Time between two JSON progress objects of a file.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// The result of a file.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum FileResult {
    /// It was translated.
    #[serde(rename = "done")]
    Translated {
        frames: u64,
        #[serde(serialize_with = "as_tenths")]
        seconds: f64,
    },
    /// Its output is up to date.
    Skipped { frames: u64 },
    /// It would be translated into this many frames and segments.
    Planned { frames: Option<u64>, segments: usize },
    /// It failed.
    Failed { cause: String },
    /// Another process holds it, or failed with it in this run; `text` says which.
    Elsewhere { text: String },
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub translated: u64,
    pub skipped: u64,
    pub failed: u64,
    pub planned: u64,
    pub elsewhere: u64,
    /// Frames that were translated.
    pub frames: u64,
}

impl Counts {
    fn ended(&self) -> u64 {
        self.translated + self.skipped + self.failed + self.planned + self.elsewhere
    }
}

/// A file in progress.
struct Active {
    /// Also keeps its frames, how many there are in total, and when it began.
    bar: ProgressBar,
    size: u64,
    reported: Instant,
}

#[derive(Default)]
struct State {
    active: HashMap<usize, Active>,
    /// Bytes of the finished inputs.
    ended: u64,
    counts: Counts,
}

pub struct Events {
    json: bool,
    /// Whether all lines go to standard error, because standard output carries y4m.
    uses_stderr: bool,
    files: usize,
    bars: MultiProgress,
    total_bar: ProgressBar,
    begun: Instant,
    state: Mutex<State>,
}

impl Events {
    /// For `files` files of `bytes` bytes in total.
    pub fn new(json: bool, files: usize, bytes: u64) -> Self {
        let bars = MultiProgress::new();
        let total_bar = bars.add(ProgressBar::new(bytes));
        total_bar.set_style(style("{wide_bar} {msg}"));
        let (begun, state) = (Instant::now(), Mutex::default());
        Self { json, uses_stderr: false, files, bars, total_bar, begun, state }
    }

    /// Prints everything to standard error.
    pub fn on_standard_error(self) -> Self {
        Self { uses_stderr: true, ..self }
    }

    pub fn begin(&self, share: Option<String>, found: usize, provider: Option<&str>) {
        let files = self.files;
        if self.json {
            self.line(&json!({"event": "begin", "files": files, "found": found, "share": share,
                              "provider": provider}));
        } else if let Some(share) = share {
            self.line(&format!("share {share}: {files} of {found} files"));
        }
    }

    pub fn start(&self, number: usize, file: &Path, size: u64) {
        let bar = self.bars.insert_before(&self.total_bar, ProgressBar::no_length());
        bar.set_style(style("{spinner} {msg} {pos} frames"));
        bar.set_message(shown(file));
        let active = Active { bar, size, reported: Instant::now() };
        lock(&self.state).active.insert(number, active);
        if self.json {
            self.line(&json!({"event": "start", "file": shown(file)}));
        }
    }

    pub fn progress(&self, number: usize, file: &Path, frames: u64, total: Option<u64>) {
        let mut state = lock(&self.state);
        let Some(active) = state.active.get_mut(&number) else { return };
        let bar = &active.bar;
        if bar.position() == 0 && frames > 0 {
            // The speed does not count the time to open the file.
            bar.reset_elapsed();
        }
        if let Some(total) = total.filter(|_| bar.length().is_none()) {
            bar.set_length(total);
            let template = "{bar:20} {msg} {pos}/{len} frames, {rate} frames/s, {eta} left";
            bar.set_style(style(template));
        }
        bar.set_position(frames);
        if self.json && active.reported.elapsed() >= JSON_INTERVAL {
            active.reported = Instant::now();
            let rate = frames as f64 / bar.elapsed().as_secs_f64().max(0.001);
            let left = total.map(|total| total.saturating_sub(frames) as f64 / rate.max(0.001));
            self.line(&json!({"event": "progress", "file": shown(file), "frames": frames,
                              "total": total, "frames_per_second": tenths(rate),
                              "seconds_left": left.map(tenths)}));
        }
        self.show_total(&state);
    }

    pub fn notice(&self, file: &Path, text: &str) {
        let file = shown(file);
        match self.json {
            true => self.line(&json!({"event": "notice", "file": file, "text": text})),
            false => self.error_line(&format!("note: {file}: {text}")),
        }
    }

    /// Reports a warning that is not about a file.
    pub fn warn(&self, text: &str) {
        match self.json {
            true => self.line(&json!({"event": "warning", "text": text})),
            false => self.error_line(&format!("warning: {text}")),
        }
    }

    /// Undoes the start of a file, so that it can start again; returns its size.
    pub fn cancel_start(&self, number: usize) -> u64 {
        let Some(active) = lock(&self.state).active.remove(&number) else { return 0 };
        active.bar.finish_and_clear();
        self.bars.remove(&active.bar);
        active.size
    }

    pub fn end(&self, number: usize, file: &Path, output: &Path, result: &FileResult) {
        let size = self.cancel_start(number);
        let mut state = lock(&self.state);
        state.ended += size;
        let counts = &mut state.counts;
        *match result {
            FileResult::Translated { .. } => &mut counts.translated,
            FileResult::Skipped { .. } => &mut counts.skipped,
            FileResult::Planned { .. } => &mut counts.planned,
            FileResult::Failed { .. } => &mut counts.failed,
            FileResult::Elsewhere { .. } => &mut counts.elsewhere,
        } += 1;
        if let FileResult::Translated { frames, .. } = result {
            counts.frames += frames;
        }
        self.show_total(&state);
        drop(state);
        self.report_end(file, output, result);
    }

    fn report_end(&self, file: &Path, output: &Path, result: &FileResult) {
        let (file, output) = (shown(file), shown(output));
        if self.json {
            let mut event = json!(result);
            event["file"] = file.into();
            event["output"] = output.into();
            return self.line(&event);
        }
        self.line(&match result {
            FileResult::Translated { frames, seconds } => {
                format!("{output}: {} in {seconds:.1} s", counted(*frames, "frame"))
            }
            FileResult::Skipped { .. } => format!("{output}: up to date"),
            FileResult::Planned { frames, segments } => {
                // An estimate from the duration, except for images.
                let count = match frames {
                    None => "some frames".to_owned(),
                    Some(1) => counted(1, "frame"),
                    Some(frames) => format!("about {}", counted(*frames, "frame")),
                };
                format!("{output}: would be {count} in {}", counted(*segments as u64, "segment"))
            }
            FileResult::Failed { cause } => {
                return self.error_line(&format!("error: {file}: {cause}"));
            }
            FileResult::Elsewhere { text } => format!("{output}: {text}"),
        });
    }

    pub fn summary(&self) -> Counts {
        self.total_bar.finish_and_clear();
        let counts = lock(&self.state).counts;
        let Counts { translated, skipped, failed, planned, elsewhere, frames } = counts;
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = frames as f64 / seconds.max(0.001);
        let unfinished = self.files as u64 - counts.ended();
        if self.json {
            self.line(&json!({"event": "summary", "files": self.files, "translated": translated,
                              "skipped": skipped, "failed": failed, "planned": planned, "elsewhere": elsewhere,
                              "unfinished": unfinished, "frames": frames, "seconds": tenths(seconds),
                              "frames_per_second": tenths(rate)}));
            return counts;
        }
        let left =
            and_counts(&[(elsewhere, "handled by other processes"), (unfinished, "not finished")]);
        let files = counted(self.files as u64, "file");
        let results = format!("{skipped} up to date, {failed} failed{left}");
        self.line(&match planned {
            0 => format!(
                "{files}: {translated} translated, {results}; {} in {seconds:.1} s, {rate:.1} frames/s",
                counted(frames, "frame")
            ),
            planned => format!("{files}: {planned} would be translated, {results}"),
        });
        counts
    }

    /// Estimates the work by bytes, since the number of frames in unopened files is unknown.
    fn show_total(&self, state: &State) {
        let part = |active: &Active| {
            let total = active.bar.length().filter(|&total| total > 0).unwrap_or(u64::MAX);
            active.size as f64 * (active.bar.position() as f64 / total as f64).min(1.0)
        };
        let now: f64 = state.active.values().map(part).sum();
        self.total_bar.set_position(state.ended + now as u64);
        let frames =
            state.counts.frames + state.active.values().map(|a| a.bar.position()).sum::<u64>();
        let rate = frames as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let done = state.counts.ended();
        let left = indicatif::HumanDuration(self.total_bar.eta());
        let files = counted(self.files as u64, "file");
        self.total_bar.set_message(format!("{done} of {files}, {rate:.1} frames/s, {left:#} left"));
    }

    fn line(&self, line: &impl fmt::Display) {
        if self.uses_stderr {
            return self.error_line(line);
        }
        // `println!` would panic on a closed pipe, as with `| head`; the work continues.
        self.bars.suspend(|| drop(writeln!(io::stdout(), "{line}")));
    }

    fn error_line(&self, line: &impl fmt::Display) {
        self.bars.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }
}

fn as_tenths<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(tenths(*value))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn style(template: &str) -> ProgressStyle {
    // Every template is a constant of this file.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that cannot be drawn does not stop the run.
            let _ = write!(out, "{:.1}", state.per_sec());
        })
}
