// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of tags that all containers share.

/// What describes the file or its encoding and is not true of the output. ffmpeg copies the first three from MP4, and those
/// after the encoder to tracks; the last are statistics of mkvmerge.
const OF_THE_FILE: [&str; 14] = [
    "MAJOR_BRAND",
    "MINOR_VERSION",
    "COMPATIBLE_BRANDS",
    "ENCODER",
    "ENCODER_SETTINGS",
    "HANDLER_NAME",
    "VENDOR_ID",
    "ALPHA_MODE",
    "DURATION",
    "BITSPS",
    "FPS",
    "BPS",
    "NUMBER_OF_FRAMES",
    "NUMBER_OF_BYTES",
];

/// Whether a tag describes the file or its encoding. Other statistics of mkvmerge begin with an underscore.
pub fn is_of_encoding(name: &str) -> bool {
    // Old versions of mkvmerge append a language.
    OF_THE_FILE.contains(&name.trim_end_matches("-eng")) || name.starts_with('_')
}
