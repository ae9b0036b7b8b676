// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the program and its workers say to each other: JSON objects, one a line.
//!
//! Decoders and encoders are foreign code that may crash or hang on a bad file. They run in
//! processes of their own, so that such a file costs itself only, and each has its own generator, so
//! that the generators do not wait for each other.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::{container::Container, options::Recipe, picture::PictureFormat};

/// The argument that makes this program a worker.
pub const ARGUMENT: &str = "--worker";

/// The first line that a worker reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// How files are translated.
    pub recipe: Recipe,
    /// Threads for the generator and the encoder.
    pub threads: u32,
    /// Nanoseconds of a segment; 0 for no segments.
    pub piece: u64,
    /// What runs the generator, if the user says so.
    pub provider: Option<String>,
    /// The device of this worker.
    pub device: Option<u32>,
    /// Whether outputs are decoded before they get their names.
    pub verify: bool,
}

/// Something to do. Outputs are unfinished files that the program renames when all is well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Probe a video, and say into which segments it is cut: more than one only with `may_cut`.
    Probe { input: OsString, container: Container, may_cut: bool },
    /// Translate a segment of a video.
    Segment { input: OsString, output: OsString, container: Container, span: Span },
    /// Put translated segments together, and everything else of the input along with them.
    Mux {
        input: OsString,
        output: OsString,
        container: Container,
        segments: Vec<OsString>,
        spans: Vec<Span>,
    },
    /// Translate a picture.
    Picture { input: OsString, output: OsString, format: PictureFormat },
    /// Show a few frames before and after.
    Thumbnails { input: OsString, output: OsString },
}

/// A segment of a video, from one key frame to another. Times are stream times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where translation begins, so that smoothing has its past; these frames are not kept.
    pub lead: u64,
    /// The first frame.
    pub start: u64,
    /// The first frame of the next segment; none for the last.
    pub stop: Option<u64>,
    /// How many frames lie between, if the file has been read for it.
    pub frames: Option<u64>,
    /// When its first frame is shown, once it is translated.
    #[serde(default)]
    pub first: Option<u64>,
    /// Whether a seek finds `lead`, so that nothing before it is decoded.
    pub may_seek: bool,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is ready for tasks, with the generator in this file.
    Ready { model: OsString, provider: String },
    /// So many frames are translated, of so many as far as is known.
    Progress { frames: u64, total: Option<u64> },
    /// Something that a user should know of the file.
    Notice { text: String },
    /// The task is done; the first frame of a segment is shown at `first` nanoseconds.
    Done { frames: u64, first: u64 },
    /// The segments of a probed video, and how many frames it has as far as is known.
    Plan { spans: Vec<Span>, frames: Option<u64> },
    /// An image element with frames before and after.
    Thumbnails { html: String },
    /// The task has failed. `by_cutting` says that it may go well in one segment.
    Failed { cause: String, by_cutting: bool },
}
