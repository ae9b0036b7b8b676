// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion of tracks that the container does not accept: audio is re-encoded, subtitles become plain
//! text.

use std::sync::Mutex;

use anyhow::Result;
use gst::prelude::*;

use super::subtitles;
use crate::{
    container::Container,
    lock::lock,
    options::Recipe,
    protocol::Setup,
    worker::{
        elements::{
            accepted_caps,
            caps::{WEBVTT, codec_name, field, is_raw, is_text, with_field},
            chain::Chain,
            output_caps,
        },
        muxer::{Muxer, WITHOUT_LAYOUT},
        pads::probes::{on_buffers, on_caps},
        probe::Track,
    },
};

/// The speakers at the sides and at the back, in the bits of GStreamer's channel mask.
const SIDES: u64 = 0xC00;
const BACK: u64 = 0x030;
/// The usual layouts of three and more channels: 3.0, quadraphonic, 5.0, 5.1, 6.1 and 7.1.
const USUAL: [u64; 6] = [0x007, 0x033, 0x037, 0x03F, 0x13F, 0xC3F];

/// Encodes decoded audio with the same number of channels, or as many as the encoder takes, for any layout.
pub fn audio(setup: &Setup, muxer: &Muxer, track: &Track) -> Result<Chain> {
    let channels = track.channels();
    let own = own_encoder(&setup.recipe, muxer);
    // Raw audio stays raw if the container accepts any raw format.
    let raw = muxer.raw_audio().filter(|_| own.is_none() && is_raw(&track.caps));
    let is_still_raw = raw.is_some();
    let loses_layout = is_still_raw && muxer.loses_layout(&track.caps);
    let layout = if loses_layout { format!("{WITHOUT_LAYOUT} !") } else { String::new() };
    let encoder = match raw {
        Some(caps) => format!("capsfilter caps=\"{caps}\""),
        None => {
            own.map_or_else(|| muxer.container.audio_encoder(channels).0, |(encoder, _)| encoder)
        }
    };
    let accepted = accepted_caps(&encoder);
    let exact = match accepted.and_then(|accepted| nearest(&accepted, "channels", channels)) {
        Some(channels) => format!(",channels={channels}"),
        None => String::new(),
    };
    let correct = match track.true_format() {
        Some(format) => format!("capssetter caps=audio/x-raw,format={format} !"),
        None => String::new(),
    };
    // Buffers of planar samples state their layout, which must be that of the caps.
    let chain = Chain::new(&format!(
        "queue name=begin ! audioconvert ! capsfilter name=interleaved caps=audio/x-raw,layout=interleaved \
             ! {correct} {layout} audiorate skip-to-first=true tolerance=40000000 \
             ! audioconvert ! audioresample ! audio/x-raw{exact} ! {encoder} ! identity name=end"
    ))?;
    if track.kind() == "audio/x-adpcm" {
        count_samples(&chain.sink()?);
    }
    complete_layout(&chain.pad("begin", "src")?);
    if !is_still_raw {
        give_layout(&chain.pad("interleaved", "src")?, encoder.contains("aac"));
    }
    Ok(chain)
}

/// The encoder of --audio-encoder and its codec, if the container accepts what it outputs.
pub fn own_encoder(recipe: &Recipe, muxer: &Muxer) -> Option<(String, String)> {
    let encoder = recipe.audio_encoder.clone()?;
    let mut caps = output_caps(&encoder)?;
    muxer.pad_for(&caps)?;
    caps.fixate();
    let codec = codec_name(&caps);
    Some((encoder, codec))
}

/// The value of `field` in `accepted` that is nearest to `wanted`; `None` if there is none, or `wanted` is 0.
fn nearest(accepted: &gst::Caps, field: &str, wanted: i32) -> Option<i32> {
    let taken = accepted.iter().filter(|_| wanted > 0).filter_map(|structure| {
        let mut structure = structure.to_owned();
        structure.fixate_field_nearest_int(field, wanted);
        structure.get::<i32>(field).ok()
    });
    taken.min_by_key(|taken| taken.abs_diff(wanted))
}

/// What `encoder` does not keep of a track, such as `mixed down to 6 channels`.
pub fn reductions(encoder: &str, track: &Track) -> Vec<String> {
    let Some(accepted) = accepted_caps(encoder) else { return Vec::new() };
    let reduced =
        |field: &str, own: i32| nearest(&accepted, field, own).filter(|&taken| taken < own);
    let channels = reduced("channels", track.channels());
    let rate = reduced("rate", track.sample_rate());
    let channels = channels.map(|channels| format!("mixed down to {channels} channels"));
    let rate = rate.map(|rate| format!("resampled to {rate} Hz"));
    channels.into_iter().chain(rate).collect()
}

/// Says that the layout is unknown where caps do not say it: `qtdemux` of GStreamer 1.24 leaves it out of those of PCM,
/// which `audioconvert` does not accept.
fn complete_layout(pad: &gst::Pad) {
    on_caps(pad, |caps| {
        let is_missing = field::<gst::Bitmask>(caps, "channel-mask").is_none()
            && field::<i32>(caps, "channels").is_some_and(|channels| channels > 2);
        is_missing.then(|| with_field(caps, "channel-mask", gst::Bitmask(0)))
    });
}

/// Gives audio of unknown layout, as MXF has it, the usual one of that many channels, since encoders need one. With
/// `moves_sides`, treats speakers at the sides as ones at the back: AAC has numbers only for layouts with the latter, and
/// decoders do not know others.
fn give_layout(pad: &gst::Pad, moves_sides: bool) {
    on_caps(pad, move |caps| {
        let channels = usize::try_from(field::<i32>(caps, "channels")?).ok()?;
        let mask = field::<gst::Bitmask>(caps, "channel-mask").map_or(0, |mask| mask.0);
        let mask = match mask {
            0 => *USUAL.get(channels.checked_sub(3)?)?,
            mask if moves_sides && mask & (SIDES | BACK) == SIDES => mask & !SIDES | BACK,
            _ => return None,
        };
        Some(with_field(caps, "channel-mask", gst::Bitmask(mask)))
    });
}

/// Converts the subtitles of `track` to plain text.
pub fn plain_text(track: &Track, container: Container) -> Result<Chain> {
    let parse = match track.kind() {
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
    let has_cue_head = track.entry.as_ref().is_some_and(|entry| entry.codec.has_cue_head());
    subtitles::make_plain(&chain.pad("plain", "src")?, keeps_tags, has_cue_head);
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
