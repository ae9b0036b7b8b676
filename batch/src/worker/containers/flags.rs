// SPDX-License-Identifier: MIT OR Apache-2.0

//! The flags of tracks.

/// How a player treats a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// It plays if the user does not choose another track.
    pub default: bool,
    /// It always plays, such as subtitles for foreign speech.
    pub forced: bool,
}
