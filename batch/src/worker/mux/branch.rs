// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion of tracks that the container does not accept: audio is re-encoded, subtitles become plain
//! text.

use std::sync::Mutex;

use anyhow::Result;
use gst::prelude::*;

use super::{
    muxer::{Muxer, WITHOUT_LAYOUT},
    subtitles,
};
use crate::{
    container::Container,
    lock::lock,
    protocol::Setup,
    worker::{
        elements::{
            accepted_caps,
            caps::{WEBVTT, is_raw, is_text},
            chain::Chain,
        },
        pads::probes::on_buffers,
        probe::Track,
    },
};

/// Encodes decoded audio with the same number of channels, for any layout.
pub fn audio(setup: &Setup, muxer: &Muxer, track: &Track) -> Result<Chain> {
    let channels = track.channels();
    let own = setup.recipe.audio_encoder.clone();
    // Raw audio stays raw if the container accepts any raw format.
    let raw = muxer.raw_audio().filter(|_| own.is_none() && is_raw(&track.caps));
    let loses_layout = raw.is_some() && muxer.loses_layout(&track.caps);
    let layout = if loses_layout { format!("{WITHOUT_LAYOUT} !") } else { String::new() };
    let encoder = match raw {
        Some(caps) => format!("capsfilter caps=\"{caps}\""),
        None => own.unwrap_or_else(|| muxer.container.audio_encoder(channels).0),
    };
    let exact = format!(",channels={channels}");
    let caps = gst::Caps::builder("audio/x-raw").field("channels", channels).build();
    let is_accepted = accepted_caps(&encoder).is_some_and(|accepted| accepted.can_intersect(&caps));
    let exact = if is_accepted && channels > 0 { &exact } else { "" };
    let correct = match track.true_format {
        Some(format) => format!("capssetter caps=audio/x-raw,format={format} !"),
        None => String::new(),
    };
    let chain = Chain::new(&format!(
        "queue name=begin ! {correct} {layout} audiorate skip-to-first=true tolerance=40000000 \
             ! audioconvert ! audioresample ! audio/x-raw{exact} ! {encoder} ! identity name=end"
    ))?;
    if track.kind() == "audio/x-adpcm" {
        count_samples(&chain.sink()?);
    }
    Ok(chain)
}

/// Converts subtitles to plain text.
pub fn plain_text(kind: &str, container: Container) -> Result<Chain> {
    let parse = match kind {
        "application/x-ass" | "application/x-ssa" => "ssaparse",
        kind if kind == "text/x-raw" || !is_text(kind) => "identity",
        WEBVTT => "identity",
        _ => "subparse",
    };
    let chain = Chain::new(&format!(
        "{parse} name=begin ! capssetter name=plain replace=true join=false caps=text/x-raw,format=utf8 \
             ! identity name=end"
    ))?;
    let keeps_tags = container == Container::Mkv;
    subtitles::make_plain(&chain.pad("plain", "src")?, keeps_tags, kind == WEBVTT);
    Ok(chain)
}

/// Derives the times of decoded audio from its number of samples: the times of ADPCM blocks in an AVI fall behind.
fn count_samples(pad: &gst::Pad) {
    let state = Mutex::new((None::<gst::ClockTime>, 0u64));
    on_buffers(pad, move |pad, buffer| {
        let caps = pad.current_caps();
        let audio = caps.and_then(|caps| {
            let caps = caps.structure(0)?.to_owned();
            let format = caps.get::<String>("format").ok()?;
            // The name has the number of bits: S16LE, F32LE.
            let bits: u64 =
                format.trim_start_matches(char::is_alphabetic).get(..2)?.parse().ok()?;
            let channels = caps.get::<i32>("channels").ok()?;
            Some((bits / 8 * channels as u64, caps.get::<i32>("rate").ok()? as u64))
        });
        let Some((frame, rate)) = audio.filter(|(frame, _)| *frame > 0) else { return true };
        let (start, samples) = &mut *lock(&state);
        let start = *start.get_or_insert(buffer.pts().unwrap_or_default());
        let time = |samples: u64| gst::ClockTime::SECOND.mul_div_floor(samples, rate);
        let buffer = buffer.make_mut();
        let (from, to) = (*samples, *samples + buffer.size() as u64 / frame);
        buffer.set_pts(time(from).map(|time| start + time));
        buffer.set_duration(time(to).zip(time(from)).map(|(to, from)| to - from));
        *samples = to;
        true
    });
}
