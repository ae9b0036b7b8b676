// SPDX-License-Identifier: MIT OR Apache-2.0

//! What this program decodes itself, because GStreamer 1.22 cannot, or not all of it.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Media, Track};
use crate::worker::{
    containers::y4m::read::Y4m,
    picture::animation::source::{self, Animation},
};

/// The media type of y4m.
pub const Y4M: &str = "application/x-yuv4mpeg";

#[derive(Clone, Debug)]
pub enum Builtin {
    Animation(Animation),
    Y4m(Y4m),
}

impl Builtin {
    /// What is in a file; `None` if GStreamer decodes it.
    pub fn of_file(input: &Path) -> Result<Option<Self>> {
        if let Some(animation) = source::probe(input).context("is damaged")? {
            return Ok(Some(Self::Animation(animation)));
        }
        Ok(Y4m::of_file(input)?.map(Self::Y4m))
    }

    /// Metadata that a video cannot hold.
    pub fn losses(&self) -> &[&'static str] {
        match self {
            Self::Animation(animation) => &animation.losses,
            Self::Y4m(_) => &[],
        }
    }

    /// A source of the frames of `input`, those of y4m from the time `from` on.
    pub fn source(&self, input: &Path, from: gst::ClockTime) -> Result<gst::Element> {
        match self {
            Self::Animation(_) => source::source(input),
            Self::Y4m(y4m) => y4m.source(input, from),
        }
    }
}

impl Media {
    /// What this program decodes itself, as the only track.
    pub fn of_builtin(builtin: Builtin) -> Result<Self> {
        let mut media = Self::default();
        let (kind, caps) = match &builtin {
            Builtin::Animation(animation) => (animation.media_type, animation.caps()),
            Builtin::Y4m(y4m) => {
                (media.duration, media.missing_bytes) = (y4m.duration(), y4m.missing_bytes());
                media.is_seekable = true;
                (Y4M, y4m.caps()?)
            }
        };
        media.container = Some(gst::Caps::new_empty_simple(kind));
        media.tracks = vec![Track::new(String::new(), caps)];
        media.builtin = Some(builtin);
        Ok(media)
    }
}
