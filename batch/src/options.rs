// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line.

use std::{ffi::OsString, num::ParseIntError, path::PathBuf, thread};

use clap::{Args, Parser, ValueEnum, ValueHint};
use serde::{Deserialize, Serialize};

use crate::{container::Container, shard::Sharding, tracks::Tracks};

/// Translates videos and images with cycleganfilter
///
/// Outputs go to --out, with the paths that the inputs have below their folder. A file appears there
/// only when it is complete. Run the same command again to resume.
#[derive(Debug, Parser)]
#[command(
    version,
    args_override_self = true,
    after_help = "Exit code: 0 if everything succeeded, 1 if a file failed, 2 if nothing could be \
                                 started, 130 if it was stopped."
)]
pub struct Options {
    /// Files, folders (with subfolders), patterns such as 'clips/**/*.mp4', an image sequence such as
    /// shots/%04d.png, or - for a list on standard input: one path per line, or separated by NUL as from find
    /// -print0. If --out names one output, - is a video in y4m
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<OsString>,
    /// Folder for the outputs, created if it does not exist; for one input also the output itself: zebra.mp4,
    /// an image sequence such as zebra/%04d.png, or - for y4m on standard output
    #[arg(short, long, value_name = "DIR|FILE|-")]
    pub out: PathBuf,
    /// Folder to which the outputs' paths are relative [default: the given folder, the fixed part of a
    /// pattern, or the current folder for a list; a single file keeps only its name]
    #[arg(long, value_name = "DIR")]
    pub base: Option<PathBuf>,

    /// What changes the outputs
    #[command(flatten)]
    pub recipe: Recipe,

    /// Execution provider for the generator: cpu, cuda, tensorrt, openvino … [default: the first that
    /// works]
    #[arg(long, value_name = "NAME", help_heading = "Translation")]
    pub provider: Option<String>,
    /// Devices of the provider, among which the workers are distributed: 0,1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = device, help_heading = "Translation")]
    pub device: Vec<u32>,
    /// Frames per second of an image sequence that becomes a video: 24, 30000/1001
    #[arg(long, value_name = "N", default_value = "25", value_parser = rate, help_heading = "Encoding")]
    pub framerate: Rate,
    /// Translate only N samples of 5 seconds, spread evenly over each video, into separate files:
    /// a.sample-1.mp4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Part of each video")]
    pub sample: Option<u32>,

    /// Use only files of folders, patterns and lists that match one of these, or are in a folder that does: '*.mov'
    #[arg(long, value_name = "PATTERN", value_parser = pattern, help_heading = "Files")]
    pub include: Vec<glob::Pattern>,
    /// Leave out files that match one of these, or are in a folder that does: old, '*.part.mp4'
    #[arg(long, value_name = "PATTERN", value_parser = pattern, help_heading = "Files")]
    pub exclude: Vec<glob::Pattern>,
    /// Use only files that were changed after this file, or after this date: 2026-11-01, '2026-11-01 18:30'
    #[arg(long, value_name = "FILE|DATE", help_heading = "Files")]
    pub newer: Option<String>,
    /// Search this many levels of a folder; 1 leaves out its subfolders
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Files")]
    pub max_depth: Option<u32>,
    /// Template for the outputs' names with {dir}, {stem}, {ext}, {name} ({stem}.{ext}) and {from}, the extension of
    /// the input: '{dir}/{stem}.zebra.{ext}' [default: {dir}/{name}]
    #[arg(long, value_name = "TEMPLATE", help_heading = "Files")]
    pub name: Option<String>,
    /// Take options from a TOML file with the names of the long options, and `inputs`; those of the command
    /// line override them, and paths are relative to the file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print what would be done and what would be lost, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Decode each output before it gets its final name
    #[arg(long)]
    pub verify: bool,
    /// Count the outputs in --out that are done, with INPUTS also the files that have not started, and list those
    /// that failed, have notes or are being translated, and by which machine; with --json, list all. With --report,
    /// also rewrite the report
    #[arg(long)]
    pub status: bool,

    /// Number of files, or segments of long files, to translate at the same time [default: one per two
    /// cores, or two per GPU]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Cut videos longer than twice this at key frames and translate the segments in parallel; 0 never
    /// cuts
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub piece: f64,
    /// Share the files with other machines that run the same command: auto takes the next file that no other
    /// machine has locked in --out; I/N takes the I-th of N fixed shares, counted from 1 [default: the index in
    /// a Slurm array or a Kubernetes indexed job, see docs/batch.md]
    #[arg(long, value_name = "auto|I/N")]
    pub shard: Option<Sharding>,
    /// Replace files in --out that cyclegan-batch did not write, and image sequences with all of their images
    #[arg(long)]
    pub overwrite: bool,
    /// Write an HTML page with thumbnails of each file before and after translation, for all shares
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print one JSON object per line for each event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// Presets of the encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For players and browsers: H.264 (VP9 in WebM), 8-bit 4:2:0
    #[default]
    Web,
    /// For archives: H.264, almost no visible loss, bit depth and chroma of the input
    Archive,
    /// For editing with small files: H.264, at most 540 lines, fast to seek
    Proxy,
    /// H.265, bit depth and chroma of the input
    Hevc,
    /// AV1, 4:2:0, 8-bit, or 10-bit if the encoder can
    Av1,
    /// For editing at full quality: Apple ProRes 422 HQ, or 4444 for transparency and 4:4:4, in QuickTime or
    /// Matroska
    Prores,
}

/// Speed of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// Fastest, with the largest files
    Fast,
    /// Between the two
    Medium,
    /// Slowest, with the smallest files
    Slow,
}

/// One of the samples that --sample takes of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// From 0.
    pub index: u32,
    /// How many samples there are.
    pub count: u32,
}

impl Sample {
    /// Length of a sample.
    const LENGTH: gst::ClockTime = gst::ClockTime::from_seconds(5);

    /// Start and end of the sample of a part from `begin` to `end`. Each sample lies in the middle of an equal share of
    /// the part, and is at most as long as the share.
    pub fn range(
        self,
        begin: gst::ClockTime,
        end: gst::ClockTime,
    ) -> (gst::ClockTime, gst::ClockTime) {
        let share = end.saturating_sub(begin) / u64::from(self.count.max(1));
        let length = share.min(Self::LENGTH);
        let start = begin + share * u64::from(self.index) + (share - length) / 2;
        (start, start + length)
    }
}

/// All options that change an output; if one changes, the file is translated again.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The generator: an ONNX file, a folder with G.onnx and F.onnx, or the name of a pair [default:
    /// horse2zebra]
    #[arg(long, help_heading = "Translation")]
    pub model: Option<String>,
    /// The generator of the pair that translates: forward is G (A to B), reverse is F (B to A)
    #[arg(long, value_parser = ["forward", "reverse"], default_value = "forward", help_heading = "Translation")]
    pub direction: String,
    /// Other properties of cycleganfilter, in the syntax of gst-launch-1.0: 'strength=0.8 smoothing=0.3'
    #[arg(
        long,
        value_name = "PROPERTIES",
        default_value = "",
        hide_default_value = true,
        help_heading = "Translation"
    )]
    pub filter: String,
    /// Encoding of the videos
    #[arg(long, value_enum, default_value_t, help_heading = "Encoding")]
    pub preset: Preset,
    /// Container of the videos [default: the input's, or Matroska if that cannot be written]
    #[arg(long, value_enum, help_heading = "Encoding")]
    pub container: Option<Container>,
    /// Constant quality instead of the preset's: 0 is the best, 51 (H.264, H.265) or 63 (VP9, AV1) gives the
    /// smallest files; H.264 and H.265 take more for 51
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=63), help_heading = "Encoding")]
    pub crf: Option<u32>,
    /// Speed of the encoder instead of the preset's; slower gives smaller files
    #[arg(long, value_enum, help_heading = "Encoding")]
    pub speed: Option<Speed>,
    /// Hardware that encodes H.264 and H.265 with the quality of the preset: nvenc, qsv, vaapi, or auto for the
    /// first that is available. Or an element that encodes instead: 'x265enc bitrate=4000 speed-preset=slow'
    #[arg(long, value_name = "HARDWARE|ELEMENT", help_heading = "Encoding")]
    pub video_encoder: Option<String>,
    /// Encoder for audio that the container does not accept as it is: 'opusenc bitrate=128000'
    #[arg(long, value_name = "ELEMENT", help_heading = "Encoding")]
    pub audio_encoder: Option<String>,
    /// Start at this many seconds of each video
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Part of each video")]
    pub start: Option<f64>,
    /// Stop at this many seconds of each video
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Part of each video")]
    pub end: Option<f64>,
    /// Translate at most this many frames of each video
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Part of each video")]
    pub frames: Option<u64>,
    /// Audio tracks to keep: all, first, none, or those in these languages: en,fr; und are those without a language
    #[arg(long, value_name = "WHICH", default_value_t, help_heading = "Tracks")]
    pub audio: Tracks,
    /// Subtitle tracks to keep, as for --audio
    #[arg(long, value_name = "WHICH", default_value_t, help_heading = "Tracks")]
    pub subtitles: Tracks,
    /// The sample of that part to translate; `None` for all of it
    #[arg(skip)]
    pub sample: Option<Sample>,
}

impl Options {
    /// How many files are translated at the same time.
    pub fn jobs(&self) -> u32 {
        self.jobs.unwrap_or_else(|| cores().div_ceil(2))
    }

    /// The same if `provider` runs the generator: the memory of a GPU holds only a few.
    pub fn jobs_with(&self, provider: &str) -> u32 {
        let on_devices = || 2 * self.device.len().max(1) as u32;
        match provider.eq_ignore_ascii_case("cpu") || provider.is_empty() {
            true => self.jobs(),
            false => self.jobs.unwrap_or_else(|| on_devices().min(self.jobs())),
        }
    }
}

/// Parses the number of a device, with spaces around it.
fn device(text: &str) -> Result<u32, ParseIntError> {
    text.trim().parse()
}

/// Threads per file if this many are translated at the same time.
pub fn threads(jobs: u32) -> u32 {
    (cores() / jobs).max(1)
}

pub fn cores() -> u32 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

fn pattern(text: &str) -> Result<glob::Pattern, String> {
    glob::Pattern::new(text).map_err(|error| error.to_string())
}

/// Frames per second, as a fraction.
pub type Rate = (i32, i32);

fn rate(text: &str) -> Result<Rate, String> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let number = |text: &str| text.trim().parse::<i32>().ok().filter(|number| *number > 0);
    let rate = number(numerator).zip(number(denominator));
    rate.ok_or_else(|| "expected frames per second, such as 24 or 30000/1001".to_owned())
}

/// A number of seconds of an option as a time.
pub fn time(seconds: f64) -> gst::ClockTime {
    gst::ClockTime::try_from_seconds_f64(seconds).unwrap_or(gst::ClockTime::MAX)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
    seconds.ok_or_else(|| "expected a number of seconds, 0 or more".to_owned())
}
