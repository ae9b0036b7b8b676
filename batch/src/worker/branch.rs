// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ways of the tracks through the pipeline: video through the filter, audio and subtitles that
//! have to change.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;

use super::{
    asked::{configure, filter_description},
    muxer::pad,
    protocol::{Setup, Span},
    span, subtitles,
};
use crate::{container::Container, encoding::Encoding};

/// Raw frames that wait between two threads.
const FRAMES: &str = "queue max-size-buffers=3 max-size-bytes=0 max-size-time=0";

/// `deinterlace` knows 8-bit formats only, and lets others through as they are.
const DEINTERLACED: &str = "capsfilter caps=\"video/x-raw,interlace-mode=progressive; \
     video/x-raw,format=(string){I420,YV12,NV12,NV21,Y42B,Y444,YUY2,UYVY,Y41B,AYUV,BGRA,RGBA,RGB,BGR}\"";

/// A row of elements with one pad at each end.
pub struct Branch {
    /// The elements.
    pub bin: gst::Element,
    /// What comes out.
    pub caps: gst::Caps,
}

impl Branch {
    /// From a description whose ends, or the one that is to be linked, have the names `begin` and `end`.
    fn new(description: &str) -> Result<Self> {
        let bin = gst::parse::bin_from_description(description, false)
            .map_err(|error| anyhow!("`{description}`: {}", error.message()))?;
        // By name: what decodebin will be linked to later has pads without a link, too.
        let mut caps = gst::Caps::new_any();
        for (name, pad_name) in [("begin", "sink"), ("end", "src")] {
            if let Some(element) = bin.by_name(name) {
                let pad = pad(&element, pad_name)?;
                caps = pad.query_caps(None);
                bin.add_pad(&gst::GhostPad::with_target(&pad)?)?;
            }
        }
        Ok(Self { bin: bin.upcast(), caps })
    }

    /// Where decoded frames of [`Branch::video`] go in.
    pub fn decoded(&self) -> Result<gst::Pad> {
        pad(&self.part("decoded")?, "sink")
    }

    fn part(&self, name: &str) -> Result<gst::Element> {
        let bin = self.bin.downcast_ref::<gst::Bin>().context("no bin")?;
        bin.by_name(name).with_context(|| format!("no element '{name}'"))
    }

    /// Decodes, translates and encodes video. `frames` counts what leaves the filter and, with a
    /// `span`, lies in it.
    pub fn video(
        setup: &Setup,
        container: Container,
        span: Option<&Span>,
        frames: Arc<AtomicU64>,
    ) -> Result<Self> {
        let encoding = Encoding::new(&setup.recipe, container, setup.threads);
        // What a decoder's memory is, videoconvert settles; upright frames for the generator.
        let branch = Self::new(&format!(
            "decodebin name=begin ! {FRAMES} name=decoded ! videoconvert ! videoflip video-direction=auto \
             ! {DEINTERLACED} ! deinterlace fields=top ! {before} {filter} ! {FRAMES} ! videocrop name=even \
             ! videoconvert ! {raw} ! {encoder} ! identity name=end",
            before = encoding.before,
            filter = filter_description(setup),
            raw = encoding.raw,
            encoder = encoding.encoder,
        ))?;
        let filter = branch.part("filter")?;
        configure(&filter, setup);
        if !encoding.takes_odd_sizes {
            crop_to_even(&branch.part("even")?)?;
        }
        span::count_frames(&pad(&filter, "src")?, span, frames);
        if let Some(span) = span {
            span::cut(&branch.decoded()?, span);
        }
        Ok(branch)
    }

    /// Encodes audio anew.
    pub fn audio(setup: &Setup, container: Container) -> Result<Self> {
        let own = setup.recipe.audio_encoder.as_deref();
        let encoder = own.unwrap_or(container.audio_encoder().0);
        Self::new(&format!(
            "decodebin name=begin ! audioconvert ! audioresample ! {encoder} ! identity name=end"
        ))
    }

    /// Brings subtitles into plain text.
    pub fn plain_text(kind: &str, container: Container) -> Result<Self> {
        let parse = match kind {
            "application/x-ass" | "application/x-ssa" => "ssaparse",
            "text/x-raw" => "identity",
            _ => "subparse",
        };
        let branch = Self::new(&format!(
            "{parse} name=begin ! capssetter name=plain replace=true caps=text/x-raw,format=utf8 ! identity name=end"
        ))?;
        let keeps_tags = container == Container::Mkv;
        subtitles::make_plain(&pad(&branch.part("plain")?, "src")?, keeps_tags);
        Ok(branch)
    }
}

/// Decodes a picture, translates and encodes it.
pub fn picture(setup: &Setup, decoder: &str, encoder: &str, output: &Path) -> Result<Branch> {
    let branch = Branch::new(&format!(
        "{decoder} ! videoconvert ! videoflip video-direction=auto ! {filter} ! videoconvert \
         ! {encoder} ! filesink name=file",
        filter = filter_description(setup)
    ))?;
    configure(&branch.part("filter")?, setup);
    branch.part("file")?.set_property("location", output);
    Ok(branch)
}

/// Has `crop` take a column and a row off frames of odd width and height.
fn crop_to_even(crop: &gst::Element) -> Result<()> {
    let element = crop.downgrade();
    pad(crop, "sink")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) else {
            return gst::PadProbeReturn::Ok;
        };
        if let (Some(crop), Ok(video)) =
            (element.upgrade(), gst_video::VideoInfo::from_caps(caps.caps()))
        {
            crop.set_property("right", (video.width() % 2) as i32);
            crop.set_property("bottom", (video.height() % 2) as i32);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
