// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way of the video: decoded frames through the filter into an encoder.

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;

use super::{
    elements::{configure, filter_description},
    muxer::pad,
    protocol::Setup,
};
use crate::{container::Container, encoding::Encoding};

/// Raw frames that wait between two threads.
const FRAMES: &str = "queue max-size-buffers=3 max-size-bytes=0 max-size-time=0";

/// `deinterlace` knows 8-bit formats only, and lets others through as they are.
const DEINTERLACED: &str = "capsfilter caps=\"video/x-raw,interlace-mode=progressive; \
     video/x-raw,format=(string){I420,YV12,NV12,NV21,Y42B,Y444,YUY2,UYVY,Y41B,AYUV,BGRA,RGBA,RGB,BGR}\"";

/// A row of elements with one pad at each end.
pub struct Chain {
    /// The elements.
    pub bin: gst::Element,
    /// What comes out.
    pub caps: gst::Caps,
    /// The encoder's name.
    pub encoder: String,
}

impl Chain {
    /// Decoded video in, translated and encoded video out. Named parts: `decoded`, where the frames come
    /// in, and `filter`.
    pub fn new(setup: &Setup, container: Container) -> Result<Self> {
        let encoding = Encoding::new(&setup.recipe, container, setup.threads);
        // What a decoder's memory is, videoconvert settles; upright frames for the generator.
        let description = format!(
            "{FRAMES} name=decoded ! videoconvert ! videoflip video-direction=auto \
             ! {DEINTERLACED} ! deinterlace fields=top method=greedyh ! videoscale add-borders=true \
             ! capsfilter name=size ! {before} {filter} ! {FRAMES} ! videocrop name=even \
             ! videoconvert ! {raw} ! {encoder} ! identity name=end",
            before = encoding.before,
            filter = filter_description(setup),
            raw = encoding.raw,
            encoder = encoding.encoder,
        );
        let bin = gst::parse::bin_from_description(&description, false)
            .map_err(|error| anyhow!("`{description}`: {}", error.message()))?;
        let part = |name: &str| bin.by_name(name).with_context(|| format!("no element '{name}'"));
        bin.add_pad(&gst::GhostPad::with_target(&pad(&part("decoded")?, "sink")?)?)?;
        let end = pad(&part("end")?, "src")?;
        bin.add_pad(&gst::GhostPad::with_target(&end)?)?;
        configure(&part("filter")?, setup);
        keep_size(&part("size")?)?;
        correct_aspect(&pad(&part("decoded")?, "sink")?);
        if !encoding.takes_odd_sizes {
            crop_to_even(&part("even")?)?;
        }
        let encoder = encoding.encoder.split_whitespace().next().unwrap_or_default().to_owned();
        Ok(Self { caps: end.query_caps(None), bin: bin.upcast(), encoder })
    }

    /// An element of it.
    pub fn part(&self, name: &str) -> Result<gst::Element> {
        let bin = self.bin.downcast_ref::<gst::Bin>().context("no bin")?;
        bin.by_name(name).with_context(|| format!("no element '{name}'"))
    }
}

/// Calls `with` with the caps that arrive at `pad`, and puts in their place what it returns.
fn on_caps(pad: &gst::Pad, with: impl Fn(&gst::Caps) -> Option<gst::Caps> + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(caps) = event.view()
            && let Some(caps) = with(&caps.caps_owned())
        {
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Holds the size of the first frames where a video changes its size: containers hold one.
fn keep_size(size: &gst::Element) -> Result<()> {
    let element = size.downgrade();
    on_caps(&pad(size, "sink")?, move |caps| {
        if let (Some(size), Some(caps)) = (element.upgrade(), caps.structure(0)) {
            let mut fixed = gst::Structure::new_empty("video/x-raw");
            for field in ["width", "height", "pixel-aspect-ratio"] {
                if let Ok(value) = caps.value(field) {
                    fixed.set_value(field, value.clone());
                }
            }
            // Whatever memory the frames are in.
            let fixed = gst::Caps::builder_full().structure_with_any_features(fixed).build();
            size.set_property("caps", fixed);
        }
        None
    });
    Ok(())
}

/// Takes pixels for square where a file gives them a ratio that none can have, as an AVI without a
/// density in its header does.
fn correct_aspect(pad: &gst::Pad) {
    on_caps(pad, |caps| {
        let ratio = caps.structure(0)?.get::<gst::Fraction>("pixel-aspect-ratio").ok()?;
        if ratio.numer() > 0 && ratio.denom() > 0 {
            return None;
        }
        let mut caps = caps.clone();
        caps.make_mut().set("pixel-aspect-ratio", gst::Fraction::new(1, 1));
        Some(caps)
    });
}

/// Has `crop` take a column and a row off frames of odd width and height.
fn crop_to_even(crop: &gst::Element) -> Result<()> {
    let element = crop.downgrade();
    on_caps(&pad(crop, "sink")?, move |caps| {
        if let (Some(crop), Ok(video)) = (element.upgrade(), gst_video::VideoInfo::from_caps(caps))
        {
            crop.set_property("right", (video.width() % 2) as i32);
            crop.set_property("bottom", (video.height() % 2) as i32);
        }
        None
    });
    Ok(())
}
