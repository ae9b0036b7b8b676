// SPDX-License-Identifier: MIT OR Apache-2.0

//! Styles of texts in MP4 and QuickTime (3GPP TS 26.245), such as italics and colours, which `qtdemux` leaves out.

use std::{fs::File, path::Path};

use super::{samples, trak::Trak};
use crate::worker::containers::bytes::read_at;

/// Whether texts of a `track` of `file` have styles.
pub fn has_styles(file: &Path, track: Trak<'_>) -> bool {
    let Ok(file) = File::open(file) else { return false };
    // The styles follow the text.
    let has_more =
        |(at, size)| Some(size > 2 + u32::from(u16::from_be_bytes(read_at(&file, at).ok()?)));
    samples::places(track).is_some_and(|all| all.map_while(has_more).any(|has_more| has_more))
}
