// SPDX-License-Identifier: MIT OR Apache-2.0

//! The flags of tracks.

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
    /// Those of a track about which nothing else is known.
    pub fn new(default: bool) -> Self {
        Self { default, forced: false, roles: [false; ROLES.len()] }
    }
}
