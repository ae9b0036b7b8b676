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
    /// Nanoseconds of a piece; 0 for no pieces.
    pub piece: u64,
}

/// Something to do. Outputs are unfinished files that the program renames when all is well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Translate a video, or say into which pieces it is to be cut.
    Video { input: OsString, output: OsString, container: Container, may_cut: bool },
    /// Translate a piece of a video.
    Piece { input: OsString, output: OsString, container: Container, span: Span },
    /// Put translated pieces together, and audio and subtitles along with them.
    Join { input: OsString, output: OsString, container: Container, pieces: Vec<OsString> },
    /// Translate a picture.
    Picture { input: OsString, output: OsString, format: PictureFormat },
    /// Show a few frames before and after.
    Strip { input: OsString, output: OsString },
}

/// A piece of a video, from one key frame to another. Times are stream times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where translation begins, so that smoothing has its past; these frames are not kept.
    pub lead: u64,
    /// The first frame.
    pub start: u64,
    /// The first frame of the next piece; none for the last.
    pub stop: Option<u64>,
    /// How many frames lie between.
    pub frames: u64,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is ready for tasks, with the generator in this file.
    Ready { model: OsString, provider: String },
    /// So many frames are translated, of so many as far as is known.
    Progress { frames: u64, total: Option<u64> },
    /// Something was done otherwise than one might expect.
    Notice { text: String },
    /// The task is done.
    Done { frames: u64 },
    /// The video is long and has not been translated: these are its pieces.
    Cut { spans: Vec<Span> },
    /// An image element with frames before and after.
    Strip { html: String },
    /// The task has failed. `by_cutting` says that it may go well in one piece.
    Failed { cause: String, by_cutting: bool },
}
