// SPDX-License-Identifier: MIT OR Apache-2.0

//! Chains of elements with one pad at each end.

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;

use super::pad;

pub struct Chain {
    /// The elements, with the pads `sink` and `src`.
    pub bin: gst::Bin,
    /// Caps of the output.
    pub caps: gst::Caps,
}

impl Chain {
    /// From a description whose first and last elements are named `begin` and `end`.
    pub fn new(description: &str) -> Result<Self> {
        let bin = gst::parse::bin_from_description(description, false)
            .map_err(|error| anyhow!("`{description}`: {}", error.message()))?;
        let chain = Self { bin, caps: gst::Caps::new_any() };
        let (sink, src) = (chain.pad("begin", "sink")?, chain.pad("end", "src")?);
        chain.bin.add_pad(&gst::GhostPad::with_target(&sink)?)?;
        chain.bin.add_pad(&gst::GhostPad::with_target(&src)?)?;
        Ok(Self { caps: src.query_caps(None), ..chain })
    }

    pub fn part(&self, name: &str) -> Result<gst::Element> {
        self.bin.by_name(name).with_context(|| format!("no element '{name}'"))
    }

    pub fn pad(&self, part: &str, name: &str) -> Result<gst::Pad> {
        pad(&self.part(part)?, name)
    }

    pub fn sink(&self) -> Result<gst::Pad> {
        pad(self.bin.upcast_ref(), "sink")
    }

    pub fn src(&self) -> Result<gst::Pad> {
        pad(self.bin.upcast_ref(), "src")
    }
}
