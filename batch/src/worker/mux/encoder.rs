// SPDX-License-Identifier: MIT OR Apache-2.0

//! The encoders of audio that a container cannot hold as it is.

use gst::prelude::*;

use crate::{
    options::Recipe,
    worker::{
        elements::{
            accepted_caps,
            caps::{codec_name, is_raw},
            output_caps,
        },
        muxer::Muxer,
        probe::Track,
    },
};

/// How many samples an encoder outputs before the first one of its input. Its buffers do not tell, so they come too late by
/// as much. The encoders of Opus write it into their header, and others have no such samples.
const PRIMING: [(&str, u64); 7] = [
    ("avenc_aac", 1024),
    ("avenc_ac3", 256),
    ("avenc_eac3", 256),
    ("avenc_mp2", 481),
    ("lamemp3enc", 1105),
    ("twolamemp2enc", 481),
    ("voaacenc", 1600),
];

/// An encoder of audio.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Its elements, in the syntax of `gst-launch-1.0`.
    pub elements: String,
    /// What it outputs, such as `AAC`.
    pub codec: String,
    /// Whether that is still raw audio.
    pub is_raw: bool,
    /// Whether it is that of --audio-encoder.
    pub is_chosen: bool,
}

/// The encoders for `track`, in the order in which they are tried: that of --audio-encoder, none for raw audio, and that of
/// the container.
pub fn encoders(track: &Track, muxer: &Muxer, recipe: &Recipe) -> Vec<Encoder> {
    let raw = muxer.raw_audio().filter(|_| is_raw(&track.caps)).map(|caps| Encoder {
        elements: format!("capsfilter caps=\"{caps}\""),
        codec: "PCM in another format".to_owned(),
        is_raw: true,
        is_chosen: false,
    });
    let (elements, codec) = muxer.container.audio_encoder(track.channels());
    let usual = Encoder { elements, codec: codec.to_owned(), is_raw: false, is_chosen: false };
    chosen(muxer, recipe).into_iter().chain(raw).chain([usual]).collect()
}

/// The encoder of --audio-encoder, if the container accepts what it outputs.
fn chosen(muxer: &Muxer, recipe: &Recipe) -> Option<Encoder> {
    let elements = recipe.audio_encoder.clone()?;
    let mut caps = output_caps(&elements)?;
    muxer.pad_for(&caps)?;
    caps.fixate();
    Some(Encoder { elements, codec: codec_name(&caps), is_raw: false, is_chosen: true })
}

impl Encoder {
    /// What it does not keep of a track, such as `mixed down to 6 channels`.
    pub fn reductions(&self, track: &Track) -> Vec<String> {
        let reduced =
            |name: &str, own: i32| self.nearest(name, own).filter(|&nearest| nearest < own);
        let channels = reduced("channels", track.channels());
        let rate = reduced("rate", track.sample_rate());
        let channels = channels.map(|channels| format!("mixed down to {channels} channels"));
        let rate = rate.map(|rate| format!("resampled to {rate} Hz"));
        channels.into_iter().chain(rate).collect()
    }

    /// The number of channels nearest to those of `track` that it accepts, if they are known.
    pub fn channels(&self, track: &Track) -> Option<i32> {
        self.nearest("channels", track.channels())
    }

    /// How long what it outputs before the sound of `track` lasts.
    pub fn priming(&self, track: &Track) -> gst::ClockTime {
        let names = |name: &str| self.elements.split([' ', '!']).any(|word| word == name);
        let samples =
            PRIMING.iter().find(|(name, _)| names(name)).map_or(0, |(_, samples)| *samples);
        let rate =
            self.nearest("rate", track.sample_rate()).and_then(|rate| u64::try_from(rate).ok());
        rate.and_then(|rate| gst::ClockTime::SECOND.mul_div_round(samples, rate))
            .unwrap_or_default()
    }

    /// The value of a field that it accepts and that is nearest to `wanted`; `None` if there is none, or `wanted` is 0.
    fn nearest(&self, field: &str, wanted: i32) -> Option<i32> {
        let accepted = accepted_caps(&self.elements).filter(|_| wanted > 0)?;
        let taken = accepted.iter().filter_map(|structure| {
            let mut structure = structure.to_owned();
            structure.fixate_field_nearest_int(field, wanted);
            structure.get::<i32>(field).ok()
        });
        taken.min_by_key(|taken| taken.abs_diff(wanted))
    }
}
