// SPDX-License-Identifier: MIT OR Apache-2.0

//! Muxers, and the tracks that they accept.
//!
//! `encodebin2` cannot be used here: in GStreamer 1.22 it only has pads for audio, video and private data,
//! so subtitles would be lost, and it cannot say in advance which tracks a container refuses.

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use crate::{
    container::Container,
    encoding::Encoding,
    worker::{
        elements::{
            add,
            caps::{VORBIS, codec_name, field, is_raw, is_same_kind, media_type, with_field},
            make, output_caps, pad,
        },
        pads::probes::{drop_events, on_caps},
    },
};

pub struct Muxer {
    pub container: Container,
    pub element: gst::Element,
    /// Its request pads.
    templates: Vec<gst::PadTemplate>,
}

/// How to link a track to a muxer.
#[derive(Clone, Debug)]
pub struct MuxPad {
    template: gst::PadTemplate,
    /// The parser that converts the track to a stream format that the container accepts, or adds times.
    parser: Option<gst::ElementFactory>,
    /// Whether the channel layout is lost.
    pub loses_layout: bool,
    /// Whether it is raw audio.
    is_raw_audio: bool,
    /// The caps of another codec as which the muxer gets the track.
    pub carrier: Option<gst::Caps>,
}

impl MuxPad {
    /// The same through the parser that corrects what `matroskademux` outputs of a track with these caps, if any.
    pub fn corrected(self, caps: &gst::Caps, is_laced: bool) -> Self {
        let parser = match media_type(caps) {
            // Only the first packet of a common block has a time, and they last for different times.
            VORBIS if is_laced => "vorbisparse",
            // Version 1.22 doubles the sample rate if the header of the codec says that there is no SBR.
            "audio/mpeg" if field(caps, "mpegversion") == Some(4) => "aacparse",
            _ => return self,
        };
        Self { parser: gst::ElementFactory::find(parser), ..self }
    }
}

/// Whether a muxer that accepts `accepted` wants a parser before `caps`, which lack a field that parsers add: after
/// encoders of MPEG-2 and AV1.
fn wants_parser(accepted: &gst::Caps, caps: &gst::Caps) -> bool {
    let lacks = |name: &&str| caps.structure(0).is_some_and(|fields| !fields.has_field(*name));
    let missing = ["parsed", "stream-format"].into_iter().filter(lacks).collect::<Vec<_>>();
    accepted.iter().any(|fields| {
        let is_wanted = |name: &&str| fields.has_field(*name);
        fields.name() == media_type(caps) && missing.iter().any(is_wanted)
    })
}

/// Whether muxers of GStreamer 1.22 accept tracks of these caps but corrupt them.
fn is_corrupted(caps: &gst::Caps) -> bool {
    match media_type(caps) {
        // No parser extracts AAC from LATM.
        "audio/mpeg" => field(caps, "stream-format") == Some("loas"),
        // ADPCM gets timestamps that go backwards, and Speex a codec name that only GStreamer knows.
        "audio/x-adpcm" | "audio/x-speex" => true,
        _ => false,
    }
}

/// Makes the times of raw audio follow from its number of samples, from where it starts. Adds silence in gaps.
pub const AUDIO_RATE: &str = "audiorate skip-to-first=true tolerance=40000000";
/// Removes the channel layout from caps of raw audio.
pub const WITHOUT_LAYOUT: &str = "capssetter caps=audio/x-raw,channel-mask=(bitmask)0";

impl Muxer {
    pub fn new(container: Container) -> Result<Self> {
        let element = make(container.muxer())?;
        let templates = element.pad_template_list().into_iter();
        let templates = templates.filter(|t| t.direction() == gst::PadDirection::Sink).collect();
        Ok(Self { container, element, templates })
    }

    /// The pads for tracks with these caps.
    fn template(&self, caps: &gst::Caps) -> Option<&gst::PadTemplate> {
        self.templates.iter().find(|template| template.caps().can_intersect(caps))
    }

    /// How to link a track with these caps, if the container accepts it.
    pub fn pad_for(&self, caps: &gst::Caps) -> Option<MuxPad> {
        // `mpegtsmux` of GStreamer 1.26 takes it only as a mapping of its own.
        let is_av1_in_ts = self.container == Container::Ts && media_type(caps) == "video/x-av1";
        if is_corrupted(caps) || is_av1_in_ts {
            return None;
        }
        let pad = |template: &gst::PadTemplate, parser| MuxPad {
            template: template.clone(),
            parser,
            loses_layout: false,
            is_raw_audio: media_type(caps) == "audio/x-raw",
            carrier: None,
        };
        let loses_layout = self.loses_layout(caps);
        let accepted = match loses_layout {
            true => with_field(caps, "channel-mask", gst::Bitmask::new(0)),
            false => caps.clone(),
        };
        let direct =
            self.template(&accepted).map(|template| MuxPad { loses_layout, ..pad(template, None) });
        if direct.as_ref().is_some_and(|pad| !wants_parser(pad.template.caps(), caps)) {
            return direct;
        }
        let parsers = gst::ElementFactory::factories_with_type(
            gst::ElementFactoryType::PARSER,
            gst::Rank::MARGINAL,
        );
        let of_kind = |factory: &&gst::ElementFactory| factory.can_sink_any_caps(caps);
        let parsed = parsers.iter().filter(of_kind).find_map(|parser| {
            let fits = |template: &&gst::PadTemplate| {
                is_same_kind(template.caps(), caps) && parser.can_src_any_caps(template.caps())
            };
            Some(pad(self.templates.iter().find(fits)?, Some(parser.clone())))
        });
        parsed.or(direct)
    }

    /// How to link a track in a codec of Matroska that the muxer does not write: as another one, which it does not look
    /// into. The codec is corrected later.
    pub fn pad_for_codec(&self, caps: &gst::Caps) -> Option<MuxPad> {
        if self.container != Container::Mkv {
            return None;
        }
        let mut carrier = gst::Caps::new_empty_simple("application/x-usf");
        if media_type(caps).starts_with("audio/") {
            carrier = gst::Caps::builder("audio/x-dts")
                .field("channels", 2)
                .field("rate", 48_000)
                .build();
        }
        let pad = self.pad_for(&carrier)?;
        Some(MuxPad { carrier: Some(carrier), ..pad })
    }

    /// The same, or an error that ends with `advice`.
    pub fn require(&self, caps: &gst::Caps, advice: &str) -> Result<MuxPad> {
        self.pad_for(caps).with_context(|| {
            format!("{} cannot hold {}; {advice}", self.container.name(), codec_name(caps))
        })
    }

    /// Fails if the container cannot hold the output of `encoding`, or frames of this width and height.
    pub fn check_video(&self, encoding: &Encoding, size: Option<(i32, i32)>) -> Result<()> {
        let encoder = &encoding.encoder;
        let caps = output_caps(encoder).with_context(|| format!("cannot create `{encoder}`"))?;
        self.require(&caps, "use another --container")?;
        if let Some((width, height)) = size {
            ensure!(
                self.takes_size(&caps, width, height),
                "has frames of {width}×{height} pixels, which {} cannot hold; use --container mkv",
                self.container.name()
            );
        }
        Ok(())
    }

    /// The raw audio formats that the container accepts, if any.
    pub fn raw_audio(&self) -> Option<gst::Caps> {
        let raw = gst::Caps::new_empty_simple("audio/x-raw");
        let caps = self.templates.iter().map(|template| template.caps().intersect(&raw));
        caps.into_iter().find(|caps| !caps.is_empty())
    }

    /// Whether the container accepts frames of this size in the codec of `video`.
    fn takes_size(&self, video: &gst::Caps, width: i32, height: i32) -> bool {
        video.iter().any(|video| {
            let sized = gst::Caps::builder(video.name().as_str());
            self.template(&sized.field("width", width).field("height", height).build()).is_some()
        })
    }

    /// Whether these caps are raw audio whose channel layout the container does not store, such as QuickTime.
    pub fn loses_layout(&self, caps: &gst::Caps) -> bool {
        let channels = field::<i32>(caps, "channels");
        let Some(channels) = channels.filter(|&channels| channels > 2 && is_raw(caps)) else {
            return false;
        };
        let some_layout = (1 << channels.min(63)) - 1;
        let caps = with_field(caps, "channel-mask", gst::Bitmask::new(some_layout));
        self.template(&caps).is_none()
    }

    /// Links `track`, through the parser of `how`, to a new pad of the muxer, which is in a pipeline. Returns that pad.
    pub fn link(&self, track: &gst::Pad, how: &MuxPad) -> Result<gst::Pad> {
        let mut track = track.clone();
        let parser = how.parser.as_ref().map(|parser| parser.name().to_string());
        let layout = how.loses_layout.then(|| WITHOUT_LAYOUT.to_owned());
        let carrier = |caps| format!("capssetter replace=true join=false caps=\"{caps}\"");
        let carrier = how.carrier.as_ref().map(carrier);
        if carrier.is_some() {
            // A demuxer has read the colours of DVD subtitles from the data of the codec. The muxer would write them there
            // again, with other values.
            drop_events(&track, |_, event| event.has_name("application/x-gst-dvd"));
        }
        if self.container.is_matroska() {
            // `matroskamux` reads the profile of ProRes from this field, which nothing sets, and otherwise writes `apcn`.
            on_caps(&track, |caps| {
                let is_prores = media_type(caps) == "video/x-prores";
                let profile = field::<&str>(caps, "variant").filter(|_| is_prores)?;
                Some(with_field(caps, "format", profile))
            });
        }
        // `qtmux` takes the number of samples in a buffer from its times, which Matroska rounds.
        let rate = (how.is_raw_audio && self.container.is_isobmff()).then(|| AUDIO_RATE.to_owned());
        let parts: Vec<_> = [parser, layout, rate, carrier].into_iter().flatten().collect();
        if !parts.is_empty() {
            let pipeline = self.element.parent().and_downcast::<gst::Pipeline>();
            let pipeline = pipeline.context("the muxer is not in a pipeline")?;
            let bin = gst::parse::bin_from_description(&parts.join(" ! "), true)?;
            let bin = bin.upcast_ref();
            add(&pipeline, bin)?;
            track.link(&pad(bin, "sink")?)?;
            track = pad(bin, "src")?;
        }
        let sink = self.element.request_pad(&how.template, None, None);
        let sink = sink.with_context(|| format!("{} has no pad left", self.element.name()))?;
        track.link(&sink).with_context(|| {
            format!("{} refuses the track {}", self.element.name(), track.query_caps(None))
        })?;
        Ok(sink)
    }

    /// Links encoded video as [`Muxer::link`] does; in MP4 and QuickTime its times have a unit of 1/90,000 s.
    pub fn link_video(&self, track: &gst::Pad, how: &MuxPad) -> Result<gst::Pad> {
        let sink = self.link(track, how)?;
        if sink.has_property("trak-timescale") {
            sink.set_property("trak-timescale", 90_000u32);
        }
        Ok(sink)
    }
}
