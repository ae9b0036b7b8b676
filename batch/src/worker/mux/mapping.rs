// SPDX-License-Identifier: MIT OR Apache-2.0

//! Decides what to do with each track of a file.

use std::iter;

use super::encoder::{Encoder, encoders};
use crate::{
    container::Container,
    options::Recipe,
    tracks::Tracks,
    worker::{
        containers::matroska::Codec,
        elements::caps::{
            WEBVTT, codec_name, has_decoder, has_element, is_raw, is_subtitles, is_text,
        },
        muxer::{MuxPad, Muxer},
        pipeline::fault::NO_DATA,
        probe::{Media, Track},
    },
};

/// The layout says which channel is front left, rear right and so on.
const LOSES_LAYOUT: &str = "loses its channel layout";

/// What to do with a track.
#[derive(Clone, Debug)]
pub enum Action {
    /// Translate it: the main video.
    Translate,
    /// Copy it unchanged.
    Copy(MuxPad),
    /// Re-encode it: audio.
    Encode(Encoder),
    /// Convert it to plain text: subtitles.
    PlainText(MuxPad),
    Drop,
}

impl Action {
    /// How long what it adds before the sound of `track` lasts.
    pub fn priming(&self, track: &Track) -> gst::ClockTime {
        match self {
            Self::Encode(encoder) => encoder.priming(track),
            _ => gst::ClockTime::ZERO,
        }
    }
}

#[derive(Debug)]
pub struct Mapping {
    pub actions: Vec<Action>,
    pub notices: Vec<String>,
}

impl Mapping {
    /// Maps `media` to the container of `muxer`. The tracks in `refused` cannot be copied; those that occur twice
    /// cannot be re-encoded either.
    pub fn new(media: &Media, muxer: &Muxer, recipe: &Recipe, refused: &[(usize, String)]) -> Self {
        let mut wanted = Wanted::new(recipe);
        let main = media.main_video();
        let mut notices = Vec::new();
        let actions = media.tracks.iter().enumerate().map(|(i, track)| {
            if Some(i) == main {
                return Action::Translate;
            }
            if !wanted.next(track) {
                return Action::Drop;
            }
            let refusals: Vec<_> = refused.iter().filter(|(other, _)| *other == i).collect();
            let cause = refusals.last().map(|(_, cause)| cause.as_str());
            let (action, notice) = action(track, muxer, recipe, refusals.len(), cause);
            let codec = codec_name(&track.caps);
            notices.extend(notice.map(|what| format!("track {}, {codec}, {what}", i + 1)));
            action
        });
        let actions = actions.collect();
        notices.extend(wanted.notices());
        Self { actions, notices }
    }
}

/// The tracks that --audio and --subtitles keep.
struct Wanted<'a> {
    audio: Kind<'a>,
    subtitles: Kind<'a>,
}

/// The tracks of a kind so far.
struct Kind<'a> {
    name: &'static str,
    choice: &'a Tracks,
    seen: usize,
    kept: usize,
}

impl<'a> Wanted<'a> {
    fn new(recipe: &'a Recipe) -> Self {
        let kind = |name, choice| Kind { name, choice, seen: 0, kept: 0 };
        Self {
            audio: kind("audio", &recipe.audio),
            subtitles: kind("subtitles", &recipe.subtitles),
        }
    }

    /// Whether the next `track` is kept.
    fn next(&mut self, track: &Track) -> bool {
        let kind = match track.is_audio() {
            true => &mut self.audio,
            false if is_subtitles(track.kind()) => &mut self.subtitles,
            false => return true,
        };
        let is_kept = kind.choice.keep(kind.seen, &track.language());
        kind.seen += 1;
        kind.kept += usize::from(is_kept);
        is_kept
    }

    /// What is not there in the languages that were asked for.
    fn notices(&self) -> impl Iterator<Item = String> {
        let kinds = [&self.audio, &self.subtitles].into_iter();
        let missing = kinds.filter(|kind| {
            matches!(kind.choice, Tracks::Languages(_)) && kind.seen > 0 && kind.kept == 0
        });
        missing.map(|kind| {
            format!("has no {} in {}; that in other languages is left out", kind.name, kind.choice)
        })
    }
}

/// What is done with a track that is not the translated video and was refused `refusals` times, the last time for
/// `cause`; and a notice, if something is lost.
fn action(
    track: &Track,
    muxer: &Muxer,
    recipe: &Recipe,
    refusals: usize,
    cause: Option<&str>,
) -> (Action, Option<String>) {
    let holder = muxer.container.name();
    let kind = track.kind();
    // The decoder finds no frame in it, but packets can be copied if no parser looks for frames.
    let is_opaque = muxer.container == Container::Mkv
        && track.entry.is_some()
        && !has_element(gst::ElementFactoryType::PARSER, &track.caps);
    if let Some(what) = left_out(track, is_opaque, cause) {
        return (Action::Drop, Some(format!("is left out: {what}")));
    }
    let copied = copied(track, muxer);
    let tried = refusals.saturating_sub(usize::from(copied.is_some()));
    if refusals == 0
        && let Some((pad, notice)) = copied
    {
        return (Action::Copy(pad), notice);
    }
    let because = match cause {
        None => format!("{holder} cannot hold it"),
        Some(cause) => format!("{holder} does not accept it ({cause})"),
    };
    if is_encoded_audio(track) && !has_decoder(&track.caps) {
        let what = format!("is left out: {because}, and GStreamer has no decoder for it");
        return (Action::Drop, Some(what));
    }
    if track.is_audio()
        && let Some(encoder) = encoders(track, muxer, recipe).into_iter().nth(tried)
    {
        let what = encoded(track, muxer, &encoder, recipe.audio_encoder.is_some());
        return (Action::Encode(encoder), Some(format!("is re-encoded as {what}: {because}")));
    }
    let plain = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
    if refusals == 0
        && is_text(kind)
        && let Some(pad) = muxer.pad_for(&plain)
    {
        // Plain text in Matroska keeps its tags, so nothing is lost.
        let is_loss = kind != "text/x-raw" || muxer.container != Container::Mkv;
        let notice = is_loss.then(|| format!("becomes plain text: {because}"));
        return (Action::PlainText(pad), notice);
    }
    (Action::Drop, Some(format!("is left out: {because}")))
}

/// How a track is copied, if the container accepts it, and a notice, if something is lost.
fn copied(track: &Track, muxer: &Muxer) -> Option<(MuxPad, Option<String>)> {
    let is_refused = || is_encoded_audio(track) && muxer.pad_for(&track.caps).is_none();
    let is_carried = |codec: &Codec| codec.is_rewritten() || codec.keeps_packets() && is_refused();
    if track.entry.as_ref().is_some_and(|entry| is_carried(&entry.codec))
        && let Some(pad) = muxer.pad_for_codec(&track.caps)
    {
        return Some((pad, None));
    }
    if track.kind() == WEBVTT || track.true_format().is_some() {
        return None;
    }
    let pad = muxer.pad_for(&track.caps)?;
    let layout = || format!("{LOSES_LAYOUT}: {} cannot hold it", muxer.container.name());
    let styles = || "becomes plain text: GStreamer does not read its styles".to_owned();
    let notice = pad.loses_layout.then(layout).or_else(|| track.stated.has_styles.then(styles));
    let is_laced = track.entry.as_ref().is_some_and(|entry| entry.is_laced);
    Some((pad.corrected(&track.caps, is_laced), notice))
}

fn is_encoded_audio(track: &Track) -> bool {
    track.is_audio() && !is_raw(&track.caps)
}

/// Why a track is left out of any container, if it is.
fn left_out(track: &Track, is_opaque: bool, cause: Option<&str>) -> Option<String> {
    if track.is_frameless && !is_opaque || cause == Some(NO_DATA) {
        return Some(format!("it {NO_DATA}"));
    }
    match track.kind() {
        kind if kind.starts_with("video/") => Some("only the first video is translated".to_owned()),
        kind if kind.starts_with("image/") => Some("cover art or a still image".to_owned()),
        _ => None,
    }
}

/// What `encoder` makes of a track, and what that loses; `has_choice` if there is an --audio-encoder.
fn encoded(track: &Track, muxer: &Muxer, encoder: &Encoder, has_choice: bool) -> String {
    let holder = muxer.container.name();
    let refused = || format!("{holder} cannot hold that of --audio-encoder");
    let refused = (has_choice && !encoder.is_chosen).then(refused);
    let layout = match encoder.is_raw && muxer.loses_layout(&track.caps) {
        true => format!(" and {LOSES_LAYOUT}"),
        false => String::new(),
    };
    let reductions = encoder.reductions(track).into_iter();
    let all = iter::once(encoder.codec.clone() + &layout).chain(refused).chain(reductions);
    all.collect::<Vec<_>>().join(", ")
}
