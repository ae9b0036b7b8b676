// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line.

use std::{ffi::OsString, path::PathBuf, thread};

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{container::Container, shard::Shard};

/// Translates videos and pictures with cycleganfilter
///
/// Outputs go to --out under the names that the inputs have below their folder. A file appears
/// there when it is whole; run the same command again and it goes on where it was stopped.
#[derive(Debug, Parser)]
#[command(
    version,
    args_override_self = true,
    after_help = "Exit code: 0 if all went well, 1 if a file failed, 2 for a command \
                                 that makes no sense, 130 if it was stopped."
)]
pub struct Options {
    /// Files, folders (with all below them), patterns such as 'clips/**/*.mp4', or - for a list on
    /// standard input: a path a line, or separated by NUL as find -print0 does
    #[arg(required = true)]
    pub inputs: Vec<OsString>,
    /// The folder for the outputs, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Outputs keep the path that inputs have below this folder [default: below the folder given, the
    /// fixed part of a pattern, the current folder for a list; a file given alone keeps its name]
    #[arg(long, value_name = "DIR")]
    pub base: Option<PathBuf>,

    /// The generator: an ONNX file, a folder with G.onnx and F.onnx, or the name of a pair [default:
    /// horse2zebra]
    #[arg(long, help_heading = "Translation")]
    pub model: Option<String>,
    /// G (A to B) or F (B to A)
    #[arg(long, value_enum, default_value = "forward", help_heading = "Translation")]
    pub direction: Direction,
    /// What runs the generator: cpu, cuda, tensorrt, openvino … [default: the first that works]
    #[arg(long, value_name = "NAME", help_heading = "Translation")]
    pub provider: Option<String>,
    /// Devices of the provider, over which the workers are spread: 0,1
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Translation")]
    pub device: Vec<u32>,
    /// Further properties of cycleganfilter, as gst-launch-1.0 takes them: 'strength=0.8 smoothing=0.3'
    #[arg(long, value_name = "PROPERTIES", default_value = "", help_heading = "Translation")]
    pub filter: String,

    /// How videos are encoded
    #[arg(long, value_enum, default_value = "web", help_heading = "Encoding")]
    pub preset: Preset,
    /// The container of videos [default: the input's, Matroska where it cannot be written]
    #[arg(long, value_enum, help_heading = "Encoding")]
    pub container: Option<Container>,
    /// Constant quality instead of the preset's: 0 is the best, and 51 (H.264, H.265) or 63 (VP9, AV1) the
    /// smallest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=63), help_heading = "Encoding")]
    pub crf: Option<u32>,
    /// How much time the encoder takes for a smaller file, instead of the preset's choice
    #[arg(long, value_enum, help_heading = "Encoding")]
    pub speed: Option<Speed>,
    /// The video encoder instead of the preset's: 'x265enc bitrate=4000 speed-preset=slow'
    #[arg(long, value_name = "ELEMENT", help_heading = "Encoding")]
    pub video_encoder: Option<String>,
    /// The encoder of audio that the container cannot hold as it is: 'opusenc bitrate=128000'
    #[arg(long, value_name = "ELEMENT", help_heading = "Encoding")]
    pub audio_encoder: Option<String>,

    /// Translate only what comes after this many seconds of each video
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Part of each video")]
    pub start: Option<f64>,
    /// Translate only what comes before this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Part of each video")]
    pub end: Option<f64>,
    /// Translate at most this many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Part of each video")]
    pub frames: Option<u64>,

    /// Which audio tracks the outputs have
    #[arg(long, value_enum, default_value = "all", help_heading = "Tracks")]
    pub audio: Tracks,
    /// Which subtitles they have
    #[arg(long, value_enum, default_value = "all", help_heading = "Tracks")]
    pub subtitles: Tracks,

    /// Of folders, patterns and lists, only files whose path matches one of these: '*.mov'
    #[arg(long, value_name = "PATTERN", value_parser = pattern, help_heading = "Files")]
    pub include: Vec<glob::Pattern>,
    /// Leave out files whose path matches one of these: 'old/**'
    #[arg(long, value_name = "PATTERN", value_parser = pattern, help_heading = "Files")]
    pub exclude: Vec<glob::Pattern>,
    /// The names of outputs, of {dir}, {stem}, {ext} and {name}, which is {stem}.{ext}:
    /// '{dir}/{stem}.zebra.{ext}' [default: {dir}/{name}]
    #[arg(long, value_name = "TEMPLATE", help_heading = "Files")]
    pub name: Option<String>,
    /// Say what would be done, and what would be lost, and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Decode each output before it gets its name
    #[arg(long)]
    pub verify: bool,

    /// Files, or pieces of long files, translated at the same time [default: one for every two
    /// cores, or two for each device of a GPU]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Cut files of more than twice this length at key frames, and translate the pieces in parallel;
    /// 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub piece: f64,
    /// Do only the I-th of N shares of the files, I from 1 [default: the place in a Slurm array or a
    /// Kubernetes indexed job, see docs/batch.md]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Replace files in --out that this program did not make
    #[arg(long)]
    pub overwrite: bool,
    /// Write a page with a strip of frames before and after for each file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print a JSON object for each event, one a line, instead of text
    #[arg(long)]
    pub json: bool,
}

/// Which generator of a pair translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// G, from A to B
    Forward,
    /// F, from B to A
    Reverse,
}

/// Which tracks of a kind are taken along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracks {
    /// All
    #[default]
    All,
    /// The first
    First,
    /// None
    None,
}

/// What an encoding is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For players and browsers: H.264 (VP9 in WebM), 8-bit 4:2:0
    Web,
    /// To keep: H.264, hardly a visible loss, bit depth and chroma as in the input
    Archive,
    /// To cut with: H.264, at most 540 lines, small, quick to seek in
    Proxy,
    /// H.265, bit depth and chroma as in the input
    Hevc,
    /// AV1, 8- or 10-bit 4:2:0
    Av1,
    /// Apple ProRes 422 HQ, to cut with at full quality; in QuickTime or Matroska
    Prores,
}

impl Preset {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Archive => "archive",
            Self::Proxy => "proxy",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Prores => "prores",
        }
    }

    /// Whether its videos have 8 bits a colour, whatever the input has.
    pub fn is_eight_bit(self) -> bool {
        matches!(self, Self::Web | Self::Proxy)
    }
}

/// How much time an encoder takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// The largest files
    Fast,
    /// Between the two
    Medium,
    /// The smallest files
    Slow,
}

/// What makes an output what it is; a change of it makes the output anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The generator as the user names it; none for the element's own default.
    pub model: Option<String>,
    /// G or F.
    pub direction: Direction,
    /// Further properties of the filter.
    pub filter: String,
    /// How videos are encoded.
    pub preset: Preset,
    /// The container, if not the input's.
    pub container: Option<Container>,
    /// The constant quality, if not the preset's.
    #[serde(default)]
    pub crf: Option<u32>,
    /// How much time the encoder takes, if not the preset's choice.
    #[serde(default)]
    pub speed: Option<Speed>,
    /// Which audio tracks are taken along.
    #[serde(default)]
    pub audio: Tracks,
    /// Which subtitles.
    #[serde(default)]
    pub subtitles: Tracks,
    /// Where the part of each video begins, seconds.
    #[serde(default)]
    pub start: Option<f64>,
    /// Where it ends, seconds.
    #[serde(default)]
    pub end: Option<f64>,
    /// How many frames it has at most.
    #[serde(default)]
    pub frames: Option<u64>,
    /// The video encoder, if not the preset's.
    pub video_encoder: Option<String>,
    /// The audio encoder, if not the container's.
    pub audio_encoder: Option<String>,
}

impl Options {
    /// What makes the outputs what they are.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            model: self.model.clone(),
            direction: self.direction,
            filter: self.filter.clone(),
            preset: self.preset,
            container: self.container,
            crf: self.crf,
            speed: self.speed,
            audio: self.audio,
            subtitles: self.subtitles,
            start: self.start,
            end: self.end,
            frames: self.frames,
            video_encoder: self.video_encoder.clone(),
            audio_encoder: self.audio_encoder.clone(),
        }
    }

    /// How many files are translated at the same time.
    pub fn jobs(&self) -> u32 {
        self.jobs.unwrap_or_else(|| cores().div_ceil(2))
    }

    /// The same, where `provider` runs the generator: a GPU's memory holds a few of them.
    pub fn jobs_with(&self, provider: &str) -> u32 {
        let on_devices = || 2 * self.device.len().max(1) as u32;
        match provider.eq_ignore_ascii_case("cpu") || provider.is_empty() {
            true => self.jobs(),
            false => self.jobs.unwrap_or_else(|| on_devices().min(self.jobs())),
        }
    }

    /// Threads of each of them.
    pub fn threads(&self) -> u32 {
        (cores() / self.jobs()).max(1)
    }
}

fn cores() -> u32 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

fn pattern(text: &str) -> Result<glob::Pattern, String> {
    glob::Pattern::new(text).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
    seconds.ok_or_else(|| "expected a number of seconds, 0 or more".to_owned())
}
