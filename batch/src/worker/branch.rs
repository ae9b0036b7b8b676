// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion of tracks that the container does not accept: audio is re-encoded, subtitles become plain
//! text.

use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;

use super::{
    demux::is_text,
    fault::track_name,
    muxer::{Muxer, is_raw, pad},
    probe::Track,
    protocol::Setup,
    subtitles,
};
use crate::{container::Container, lock::lock};

/// A chain of elements with one pad at each end.
pub struct Branch {
    /// The elements.
    pub bin: gst::Element,
    /// Caps of the output.
    pub caps: gst::Caps,
}

impl Branch {
    /// From a description whose first and last elements are named `begin` and `end`.
    fn new(track: usize, description: &str) -> Result<Self> {
        let bin = gst::parse::bin_from_description(description, false)
            .map_err(|error| anyhow!("`{description}`: {}", error.message()))?;
        bin.set_property("name", track_name(track) + "branch");
        let mut caps = gst::Caps::new_any();
        for (name, pad_name) in [("begin", "sink"), ("end", "src")] {
            let element = bin.by_name(name).with_context(|| format!("no element '{name}'"))?;
            let pad = pad(&element, pad_name)?;
            caps = pad.query_caps(None);
            bin.add_pad(&gst::GhostPad::with_target(&pad)?)?;
        }
        Ok(Self { bin: bin.upcast(), caps })
    }

    /// Encodes decoded audio with the same number of channels, for any layout.
    pub fn audio(setup: &Setup, muxer: &Muxer, number: usize, track: &Track) -> Result<Self> {
        let channels = track.channels();
        let own = setup.recipe.audio_encoder.clone();
        // Raw audio stays raw if the container accepts any form of it.
        let raw = muxer.raw_audio().filter(|_| own.is_none() && is_raw(&track.caps));
        let encoder = match raw {
            Some(caps) => format!("capsfilter caps=\"{caps}\""),
            None => own.unwrap_or_else(|| muxer.container.audio_encoder(channels).0),
        };
        let exact = format!(",channels={channels}");
        let takes = gst::parse::bin_from_description(&encoder, true).ok().is_some_and(|bin| {
            let caps = format!("audio/x-raw{exact}").parse::<gst::Caps>();
            bin.static_pad("sink")
                .zip(caps.ok())
                .is_some_and(|(sink, caps)| sink.query_caps(None).can_intersect(&caps))
        });
        let exact = if takes && channels > 0 { &exact } else { "" };
        let correct = match track.true_format {
            Some(format) => format!("capssetter caps=audio/x-raw,format={format} !"),
            None => String::new(),
        };
        let branch = Self::new(
            number,
            &format!(
                "queue name=begin ! {correct} audiorate skip-to-first=true tolerance=40000000 \
                 ! audioconvert ! audioresample ! audio/x-raw{exact} ! {encoder} ! identity name=end"
            ),
        )?;
        if track.kind() == "audio/x-adpcm" {
            count_samples(&pad(&branch.bin, "sink")?);
        }
        Ok(branch)
    }

    /// Converts subtitles to plain text.
    pub fn plain_text(track: usize, kind: &str, container: Container) -> Result<Self> {
        let parse = match kind {
            "application/x-ass" | "application/x-ssa" => "ssaparse",
            kind if kind == "text/x-raw" || !is_text(kind) => "identity",
            WEBVTT => "identity",
            _ => "subparse",
        };
        let branch = Self::new(
            track,
            &format!(
                "{parse} name=begin ! capssetter name=plain replace=true join=false caps=text/x-raw,format=utf8 \
                 ! identity name=end"
            ),
        )?;
        let keeps_tags = container == Container::Mkv;
        let bin = branch.bin.downcast_ref::<gst::Bin>().context("no bin")?;
        let plain = pad(&bin.by_name("plain").context("no capssetter")?, "src")?;
        subtitles::make_plain(&plain, keeps_tags, kind == WEBVTT);
        Ok(branch)
    }
}

/// The caps that `matroskademux` of GStreamer 1.22 gives WebVTT.
pub const WEBVTT: &str = "application/x-subtitle-unknown";

/// Gives decoded audio the times that its samples have one after another from the first: the blocks of ADPCM
/// in an AVI come with others, which fall behind.
fn count_samples(pad: &gst::Pad) {
    let state = Mutex::new((None::<gst::ClockTime>, 0u64));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps();
        let audio = caps.and_then(|caps| {
            let caps = caps.structure(0)?.to_owned();
            let format = caps.get::<String>("format").ok()?;
            // S16LE, F32LE: the number of bits in the name.
            let bits: u64 =
                format.trim_start_matches(char::is_alphabetic).get(..2)?.parse().ok()?;
            let channels = caps.get::<i32>("channels").ok()?;
            Some((bits / 8 * channels as u64, caps.get::<i32>("rate").ok()? as u64))
        });
        if let (Some((frame, rate)), Some(gst::PadProbeData::Buffer(buffer))) =
            (audio, &mut info.data)
            && frame > 0
        {
            let mut state = lock(&state);
            let (start, samples) = &mut *state;
            let start = *start.get_or_insert(buffer.pts().unwrap_or_default());
            let time = |samples: u64| gst::ClockTime::SECOND.mul_div_floor(samples, rate);
            let buffer = buffer.make_mut();
            let (from, to) = (*samples, *samples + buffer.size() as u64 / frame);
            buffer.set_pts(time(from).map(|time| start + time));
            buffer.set_duration(time(to).zip(time(from)).map(|(to, from)| to - from));
            *samples = to;
        }
        gst::PadProbeReturn::Ok
    });
}
