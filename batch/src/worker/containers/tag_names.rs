// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of tags that all containers share.

/// What describes the file or its encoding and is not true of the output. ffmpeg copies the first three from MP4.
const OF_THE_FILE: [&str; 9] = [
    "MAJOR_BRAND",
    "MINOR_VERSION",
    "COMPATIBLE_BRANDS",
    "ENCODER",
    "ENCODER_SETTINGS",
    "DURATION",
    "BPS",
    "BITSPS",
    "FPS",
];

/// Whether a tag describes the file or its encoding. Statistics of mkvmerge begin with an underscore.
pub fn is_of_encoding(name: &str) -> bool {
    OF_THE_FILE.contains(&name) || name.starts_with('_')
}
