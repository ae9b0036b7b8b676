// SPDX-License-Identifier: MIT OR Apache-2.0

//! The containers that can be written.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
    /// The container for a file's extension, if it can be written.
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

    /// Its extension, its name in messages and its muxer.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Mp4 => ["mp4", "MP4", "mp4mux"],
            Self::Mov => ["mov", "QuickTime", "qtmux"],
            Self::Mkv => ["mkv", "Matroska", "matroskamux"],
            Self::Webm => ["webm", "WebM", "webmmux"],
            Self::Ts => ["ts", "an MPEG transport stream", "mpegtsmux"],
        }
    }

    pub fn extension(self) -> &'static str {
        self.names()[0]
    }

    pub fn name(self) -> &'static str {
        self.names()[1]
    }

    pub fn muxer(self) -> &'static str {
        self.names()[2]
    }

    /// The encoder, and its codec, for audio that the container does not accept. `channels` is 0 if unknown.
    pub fn audio_encoder(self, channels: i32) -> (String, &'static str) {
        let is_stereo = matches!(channels, 1 | 2);
        let channels = channels.clamp(2, 8);
        match self {
            Self::Mp4 | Self::Mov => (format!("avenc_aac bitrate={}", 96_000 * channels), "AAC"),
            // AAC with more than two channels cannot be decoded from the files of mpegtsmux.
            Self::Ts if !is_stereo => ("avenc_ac3 bitrate=448000".to_owned(), "AC-3"),
            Self::Ts => (format!("avenc_aac bitrate={}", 96_000 * channels), "AAC"),
            Self::Mkv => ("flacenc".to_owned(), "FLAC"),
            Self::Webm => (format!("opusenc bitrate={}", 80_000 * channels), "Opus"),
        }
    }

    /// Whether its files consist of ISO/IEC 14496-12 boxes.
    pub fn is_isobmff(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov)
    }

    /// Whether this is a form of Matroska.
    pub fn is_matroska(self) -> bool {
        matches!(self, Self::Mkv | Self::Webm)
    }

    /// Whether our encoders write no B-frames for it. `qtmux` of GStreamer 1.22 shifts those with uneven timestamps, and
    /// hides the first ones. `mpegtsmux` needs their decoding times, which segments in Matroska do not have.
    pub fn is_without_b_frames(self) -> bool {
        self.is_isobmff() || self == Self::Ts
    }

    /// Whether this is the media type of the container's files.
    pub fn is_inside(self, media_type: &str) -> bool {
        match self {
            Self::Mp4 | Self::Mov => ["video/quicktime", "application/x-3gp"].contains(&media_type),
            Self::Mkv => ["video/x-matroska", "video/webm"].contains(&media_type),
            Self::Webm => media_type == "video/webm",
            Self::Ts => media_type == "video/mpegts",
        }
    }
}

/// Extensions of videos that are read but not written.
const OTHER_VIDEO: [&str; 51] = [
    "avi", "divx", "flv", "f4v", "wmv", "asf", "wm", "mpg", "mpeg", "mpe", "m2p", "vob", "vro",
    "tod", "mpv", "m1v", "m2v", "ogv", "ogg", "ogm", "ogx", "3gp", "3g2", "3gpp", "insv", "mk3d",
    "mxf", "gxf", "dv", "dif", "gif", "apng", "m2t", "trp", "tp", "y4m", "rm", "rmvb", "ivf",
    "mjpg", "mjpeg", "h263", "263", "h264", "x264", "264", "avc", "h265", "x265", "265", "hevc",
];

/// Whether a file name has the extension of a video.
pub fn is_video_name(path: &Path) -> bool {
    Container::of_name(path).is_some() || OTHER_VIDEO.contains(&extension(path).as_str())
}

/// The extension of a file's name in lower case.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}
