// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a container states about a track and GStreamer does not report.

#[derive(Clone, Debug, Default)]
pub struct TrackInfo {
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

/// The roles of tracks: the flag in Matroska (RFC 9559, section 5.1.4.1), and the value in MP4 (ISO/IEC 23009-1, section
/// 5.8.5.5), as ffmpeg maps them.
pub const ROLES: [(u32, &[u8]); 3] = [
    // For people who do not hear well.
    (0x55AB, b"caption"),
    // For people who do not see well.
    (0x55AC, b"description"),
    (0x55AF, b"commentary"),
];

/// How a player treats a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// It plays if the user does not choose another track.
    pub default: bool,
    /// It always plays, such as subtitles for foreign speech.
    pub forced: bool,
    /// Which of [`ROLES`] it has.
    pub roles: [bool; ROLES.len()],
}

impl Flags {
    /// The flags of a track about which nothing else is known.
    pub fn new(default: bool) -> Self {
        Self { default, forced: false, roles: [false; ROLES.len()] }
    }
}
