// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a container can hold.

use std::path::Path;

use anyhow::{Context, Result};
use gst::prelude::*;

use crate::container::Container;

/// The element that writes a container.
pub struct Muxer {
    /// The container.
    pub container: Container,
    element: gst::Element,
    /// What is asked for a track, which of its pads.
    templates: Vec<gst::PadTemplate>,
}

/// How a track gets into a container.
#[derive(Clone, Debug)]
pub struct WayIn {
    template: gst::PadTemplate,
    /// What brings the track into the form that the container wants.
    parser: Option<gst::ElementFactory>,
}

impl WayIn {
    /// What a track has to be where the way begins.
    pub fn begin(&self) -> gst::Caps {
        match &self.parser {
            None => self.template.caps().clone(),
            Some(_) => gst::Caps::new_any(),
        }
    }
}

impl Muxer {
    /// The muxer of a container.
    pub fn new(container: Container) -> Result<Self> {
        let element = make(container.muxer())?;
        let templates = element.pad_template_list().into_iter();
        let templates = templates.filter(|t| t.direction() == gst::PadDirection::Sink).collect();
        Ok(Self { container, element, templates })
    }

    /// The element.
    pub fn element(&self) -> &gst::Element {
        &self.element
    }

    /// How a track of these caps gets in, if it can be there at all.
    pub fn way_in(&self, caps: &gst::Caps) -> Option<WayIn> {
        let direct = self.templates.iter().find(|template| template.caps().can_intersect(caps));
        if let Some(template) = direct {
            return Some(WayIn { template: template.clone(), parser: None });
        }
        let parsers = gst::ElementFactory::factories_with_type(
            gst::ElementFactoryType::PARSER,
            gst::Rank::MARGINAL,
        );
        let of_kind = |factory: &&gst::ElementFactory| factory.can_sink_any_caps(caps);
        parsers.iter().filter(of_kind).find_map(|parser| {
            let fits = |template: &&gst::PadTemplate| {
                is_same_kind(template.caps(), caps) && parser.can_src_any_caps(template.caps())
            };
            let template = self.templates.iter().find(fits)?.clone();
            Some(WayIn { template, parser: Some(parser.clone()) })
        })
    }

    /// Links `track` to a new pad of the muxer, the `parser` of `way` between them.
    pub fn link(&self, pipeline: &gst::Pipeline, track: &gst::Pad, way: &WayIn) -> Result<()> {
        let mut track = track.clone();
        if let Some(factory) = &way.parser {
            let parser = factory.create().build()?;
            add(pipeline, &parser)?;
            track.link(&pad(&parser, "sink")?)?;
            track = pad(&parser, "src")?;
        }
        let sink = self.element.request_pad(&way.template, None, None);
        let sink = sink.with_context(|| format!("{} has no pad left", self.element.name()))?;
        track.link(&sink).with_context(|| {
            format!("{} refuses the track {}", self.element.name(), track.query_caps(None))
        })?;
        Ok(())
    }
}

fn is_same_kind(a: &gst::Caps, b: &gst::Caps) -> bool {
    let names = |caps: &gst::Caps| caps.iter().map(|s| s.name().to_string()).collect::<Vec<_>>();
    let b = names(b);
    names(a).iter().any(|name| b.contains(name))
}

/// An element of GStreamer, or what to do if it is not installed.
pub fn make(factory: &str) -> Result<gst::Element> {
    let element = gst::ElementFactory::make(factory).build();
    element.with_context(|| format!("GStreamer's element {factory} is not installed"))
}

/// What writes a file. It does not hold up the pipeline's start: tracks are linked while it runs, and
/// GStreamer loses a change of state that waits for a first buffer meanwhile.
pub fn file_sink(path: &Path) -> Result<gst::Element> {
    let file = make("filesink")?;
    file.set_property("location", path);
    file.set_property("async", false);
    Ok(file)
}

/// A pad that the element always has.
pub fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad> {
    let pad = element.static_pad(name);
    pad.with_context(|| format!("{} has no pad '{name}'", element.name()))
}

/// Adds an element to a pipeline that already runs.
pub fn add(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<()> {
    pipeline.add(element)?;
    element.sync_state_with_parent()?;
    Ok(())
}

/// A track that nobody took would stop the others.
pub fn discard(pipeline: &gst::Pipeline, track: &gst::Pad) -> Result<()> {
    let sink = make("fakesink")?;
    sink.set_property("async", false);
    sink.set_property("sync", false);
    add(pipeline, &sink)?;
    track.link(&pad(&sink, "sink")?)?;
    Ok(())
}
