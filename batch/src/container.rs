// SPDX-License-Identifier: MIT OR Apache-2.0

//! The containers that can be written.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A container of video, audio and subtitles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MP4
    Mp4,
    /// QuickTime
    Mov,
    /// Matroska
    Mkv,
    /// WebM
    Webm,
    /// MPEG transport stream
    Ts,
}

impl Container {
    /// The container that a file's name stands for, if it can be written.
    pub fn of_name(path: &Path) -> Option<Self> {
        match extension(path).as_str() {
            "mp4" | "m4v" => Some(Self::Mp4),
            "mov" | "qt" => Some(Self::Mov),
            "mkv" => Some(Self::Mkv),
            "webm" => Some(Self::Webm),
            "ts" | "mts" | "m2ts" => Some(Self::Ts),
            _ => None,
        }
    }

    /// What its files are called.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Mkv => "mkv",
            Self::Webm => "webm",
            Self::Ts => "ts",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Mov => "QuickTime",
            Self::Mkv => "Matroska",
            Self::Webm => "WebM",
            Self::Ts => "an MPEG transport stream",
        }
    }

    /// The element that writes it.
    pub fn muxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4mux",
            Self::Mov => "qtmux",
            Self::Mkv => "matroskamux",
            Self::Webm => "webmmux",
            Self::Ts => "mpegtsmux",
        }
    }

    /// The encoder of audio that it cannot hold as it is, and what that makes.
    pub fn audio_encoder(self) -> (&'static str, &'static str) {
        match self {
            Self::Mp4 | Self::Mov | Self::Ts => ("avenc_aac bitrate=192000", "AAC"),
            Self::Mkv => ("flacenc", "FLAC"),
            Self::Webm => ("opusenc bitrate=160000", "Opus"),
        }
    }

    /// Whether a file of this media type is what files of this container hold.
    pub fn is_inside(self, media_type: &str) -> bool {
        match self {
            Self::Mp4 | Self::Mov => ["video/quicktime", "application/x-3gp"].contains(&media_type),
            Self::Mkv => ["video/x-matroska", "video/webm"].contains(&media_type),
            Self::Webm => media_type == "video/webm",
            Self::Ts => media_type == "video/mpegts",
        }
    }
}

/// Endings of the files that a folder is searched for, besides those that can be written.
const OTHER_VIDEO: [&str; 14] = [
    "avi", "flv", "wmv", "asf", "mpg", "mpeg", "vob", "ogv", "ogg", "3gp", "mxf", "dv", "m2v",
    "f4v",
];

/// Whether a file of this name is taken for a video.
pub fn is_video_name(path: &Path) -> bool {
    Container::of_name(path).is_some() || OTHER_VIDEO.contains(&extension(path).as_str())
}

/// The ending of a file's name, in small letters.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}
