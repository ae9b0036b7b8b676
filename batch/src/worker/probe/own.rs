// SPDX-License-Identifier: MIT OR Apache-2.0

//! What this program decodes itself, because GStreamer 1.22 cannot, or not all of it.

use std::path::Path;

use anyhow::{Context, Result};
use gst_video::VideoFormat;

use crate::worker::{
    containers::y4m::read::Y4m,
    picture::animation::{self, Animation},
};

/// The media type of y4m.
pub const Y4M: &str = "application/x-yuv4mpeg";

#[derive(Clone, Debug)]
pub enum Own {
    Animation(Animation),
    Y4m(Y4m),
}

impl Own {
    /// What is in a file; `None` if GStreamer decodes it.
    pub fn of_file(input: &Path) -> Result<Option<Self>> {
        if let Some(animation) = animation::probe(input).context("is damaged")? {
            return Ok(Some(Self::Animation(animation)));
        }
        Ok(Y4m::of_file(input)?.map(Self::Y4m))
    }

    /// The media type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Animation(animation) => animation.media_type,
            Self::Y4m(_) => Y4M,
        }
    }

    /// The caps of its frames, as far as they are known.
    pub fn caps(&self) -> Result<gst::Caps> {
        match self {
            Self::Animation(animation) => {
                let caps = gst::Caps::builder(animation.media_type);
                let alpha = animation.has_alpha.then(|| VideoFormat::Rgba.to_str());
                Ok(caps.field_if_some("format", alpha).build())
            }
            Self::Y4m(y4m) => y4m.caps(),
        }
    }

    pub fn duration(&self) -> Option<gst::ClockTime> {
        match self {
            Self::Animation(_) => None,
            Self::Y4m(y4m) => y4m.duration(),
        }
    }

    /// How many bytes are missing at the end.
    pub fn missing_bytes(&self) -> u64 {
        match self {
            Self::Animation(_) => 0,
            Self::Y4m(y4m) => y4m.missing_bytes(),
        }
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
            Self::Animation(_) => animation::source(input),
            Self::Y4m(y4m) => y4m.source(input, from),
        }
    }
}
