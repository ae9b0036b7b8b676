// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion of tracks that the container does not accept: audio is re-encoded, subtitles become plain
//! text.

use std::sync::Mutex;

use anyhow::Result;
use gst::prelude::*;

use super::{encoder::Encoder, subtitles};
use crate::{
    container::Container,
    lock::lock,
    worker::{
        elements::{
            caps::{WEBVTT, field, is_text, with_field},
            chain::Chain,
        },
        muxer::{AUDIO_RATE, Muxer, WITHOUT_LAYOUT},
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
pub fn audio(encoder: &Encoder, muxer: &Muxer, track: &Track) -> Result<Chain> {
    let Encoder { elements, is_raw, .. } = encoder;
    let loses_layout = *is_raw && muxer.loses_layout(&track.caps);
    let layout = if loses_layout { format!("{WITHOUT_LAYOUT} !") } else { String::new() };
    let exact = match encoder.channels(track) {
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
             ! {correct} {layout} {AUDIO_RATE} \
             ! audioconvert ! audioresample ! audio/x-raw{exact} ! {elements} ! identity name=end"
    ))?;
    if track.kind() == "audio/x-adpcm" {
        count_samples(&chain.sink()?);
    }
    complete_layout(&chain.pad("begin", "src")?);
    if !is_raw {
        give_layout(&chain.pad("interleaved", "src")?, elements.contains("aac"));
    }
    Ok(chain)
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
