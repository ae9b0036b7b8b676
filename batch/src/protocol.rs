// SPDX-License-Identifier: MIT OR Apache-2.0

//! The protocol between the program and its workers: one JSON object per line.
//!
//! Decoders and encoders may crash or hang on a bad file. They run in separate processes, so that only
//! that file fails, and each process has its own generator, so that they do not wait for each other.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::{
    container::Container,
    options::{Options, Recipe, Sample, time},
    picture::PictureFormat,
};

/// The argument that starts this program as a worker.
pub const ARGUMENT: &str = "--worker";

/// The first line that a worker reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    pub recipe: Recipe,
    /// Threads for the generator and the encoder.
    pub threads: u32,
    /// Length of a segment; 0 for no segments.
    pub piece: gst::ClockTime,
    /// The execution provider, if the user named one.
    pub provider: Option<String>,
    pub device: Option<u32>,
    /// Whether outputs are decoded before they get their final names.
    pub verify: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
}

impl Setup {
    /// From the command line, with this many threads.
    pub fn new(options: &Options, threads: u32) -> Self {
        Self {
            recipe: options.recipe.clone(),
            threads,
            piece: time(options.piece),
            provider: options.provider.clone(),
            device: options.device.first().copied(),
            verify: options.verify,
            dry_run: options.dry_run,
        }
    }

    /// Whether long videos are cut into segments.
    pub fn may_cut(&self) -> bool {
        !self.piece.is_zero()
    }
}

/// A task about the file `input`. Paths are OS strings, since a `PathBuf` in JSON must be UTF-8.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    pub input: OsString,
    pub action: Action,
}

/// What to do with a file. Outputs are unfinished files that the program renames on success.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Probe a video, or a sample of it, and plan its segments: more than one only with `may_cut`.
    Probe { container: Container, may_cut: bool, sample: Option<Sample> },
    /// Translate a segment of a video.
    Segment { output: OsString, container: Container, span: Span },
    /// Join translated segments and add the other tracks of the input.
    Mux { output: OsString, container: Container, segments: Vec<Segment> },
    /// Translate an image. A dry run has no output.
    Picture { output: OsString, format: PictureFormat },
    /// Make thumbnails before and after translation. The output starts `start` after the input.
    Thumbnails { output: OsString, start: gst::ClockTime },
}

/// A translated segment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Segment {
    pub file: OsString,
    pub span: Span,
    /// Its number of frames.
    pub frames: u64,
    /// The stream time of its first frame.
    pub first: gst::ClockTime,
}

/// The part of the input that a segment covers, from one key frame to another. Times are stream times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where translation starts, so that smoothing has previous frames, which are not kept.
    pub lead: gst::ClockTime,
    /// The first frame.
    pub start: gst::ClockTime,
    /// The first frame of the next segment; `None` for the last.
    pub stop: Option<gst::ClockTime>,
    /// The number of frames from `start` to `stop`, if the file was scanned for them.
    pub frames: Option<u64>,
    /// The key frame at which decoding starts; `None` for the start of the file.
    pub seek: Option<gst::ClockTime>,
}

/// Receives what happens during a task.
pub type Say<'a> = &'a mut dyn FnMut(Event);

/// Sends a notice for the user.
pub fn send_notice(say: Say, text: impl Into<String>) {
    say(Event::Notice { text: text.into() });
}

pub fn send_notices(say: Say, texts: impl IntoIterator<Item = String>) {
    texts.into_iter().for_each(|text| send_notice(say, text));
}

/// A line of a worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Event(Event),
    Reply(Reply),
}

/// What happens during a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Translated frames so far, and the total if known.
    Progress { frames: u64, total: Option<u64> },
    /// A notice for the user about the file.
    Notice { text: String },
}

/// The answer to the setup or to a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The worker is ready for tasks, with the generator in this file.
    Ready { model: OsString, provider: String },
    /// The output of this many frames is written.
    Done { frames: u64 },
    /// A segment of this many frames is written; its first frame has the timestamp `first`.
    Segment { frames: u64, first: gst::ClockTime },
    /// The segments of a probed video, and its number of frames if known.
    Plan { spans: Vec<Span>, frames: Option<u64> },
    /// An HTML image element with frames before and after.
    Thumbnails { html: String },
    /// The task has failed. With `by_cutting` it may succeed in one segment.
    Failed { cause: String, by_cutting: bool },
}
