// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a container states about a track and GStreamer does not report.

use super::flags::Flags;

#[derive(Clone, Debug, Default)]
pub struct Stated {
    /// Whether it is default or forced, if the file states it.
    pub flags: Option<Flags>,
    /// Its name in MP4 and QuickTime, unless it is a generic one that programs write.
    pub name: Option<String>,
    /// Its end in MP4 and QuickTime; `None` if it is unknown, as in a fragmented file.
    pub end: Option<gst::ClockTime>,
    /// Its direction for `videoflip`, if GStreamer 1.22 has no tag for it.
    pub turn: Option<&'static str>,
    /// What GStreamer ignores of how it is shown.
    pub ignored: Vec<String>,
    /// Whether its texts have styles that GStreamer leaves out.
    pub has_styles: bool,
    /// Whether its raw audio in MP4 and QuickTime is little-endian (`enda`).
    pub is_little_endian: bool,
}

/// A projection that is ignored.
pub const SPHERE: &str = "spherical projection (360° video)";

/// The boxes with the configuration of Dolby Vision, which Matroska has as well.
pub const DOLBY_VISION: [&[u8; 4]; 3] = [b"dvcC", b"dvvC", b"dvwC"];
/// Profile 5 of Dolby Vision, whose colours are those of no other format.
pub const DOLBY_VISION_5: &str = "Dolby Vision of profile 5";

/// What is ignored of a configuration of Dolby Vision: two numbers of its version precede the seven bits of its profile.
pub fn dolby_vision(record: &[u8]) -> String {
    let is_5 = record.get(2).is_some_and(|byte| byte >> 1 == 5);
    (if is_5 { DOLBY_VISION_5 } else { "Dolby Vision metadata" }).to_owned()
}

/// A crop that is ignored, to this size.
pub fn cropped(width: u64, height: u64) -> String {
    format!("crop to {width}×{height} pixels")
}
