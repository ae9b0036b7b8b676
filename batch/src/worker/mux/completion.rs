// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds to an output what its muxer leaves out.

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{attempt::Attempt, mapping::Action, written::WrittenTrack};
use crate::worker::{
    containers::{
        chapters,
        isobmff::{Additions, TrackAdditions},
        matroska::{
            attachments,
            head::{self, Head, Properties},
        },
        track_info::Flags,
    },
    elements::caps::{class, is_subtitles, is_text, media_type},
    hdr,
    probe::Track,
};

impl Attempt<'_> {
    /// Makes the muxer `mux` leave room for what is added later.
    pub fn make_room(&self, mux: &gst::Element) {
        if self.mux.container.is_isobmff()
            && let Some(tags) = mux.dynamic_cast_ref()
        {
            let track = |track: &Track| TrackAdditions {
                flags: track.stated.flags.unwrap_or(Flags::new(true)),
                name: self.media.name(track),
            };
            self.additions(self.media.tracks.iter().map(track).collect()).make_room(tags);
        }
        if self.mux.container.is_matroska() {
            let lengths = self.media.tracks.iter().map(|track| {
                let entry = track.entry.as_ref();
                let entry = entry.map_or(0, |entry| entry.codec.elements.len() + entry.kept.len());
                entry + self.media.name(track).map_or(0, |name| name.len())
            });
            let title = self.media.title();
            head::make_room(mux, title.as_deref(), lengths);
        }
    }

    /// Adds it to the output, which has the tracks `written`.
    pub fn complete(&self, written: &[WrittenTrack]) -> Result<()> {
        let output = self.mux.output;
        let incomplete = "the output cannot be completed";
        if self.mux.container.is_isobmff() {
            let track = |(track, flags): (&WrittenTrack, Flags)| TrackAdditions {
                flags,
                name: self.media.name(self.input(track)),
            };
            let tracks = written.iter().zip(self.one_default_each(written)).map(track);
            let mut additions = self.additions(tracks.collect());
            let (start, first) = (self.window.lead, muxer_start(written, self.window.lead));
            additions.lead = start.saturating_sub(first);
            if !self.media.is_stream() {
                additions.delay = first.saturating_sub(start);
            }
            additions.complete(output).context(incomplete)?;
        }
        if self.mux.container.is_matroska() {
            self.head(written)?.write(output).context(incomplete)?;
        }
        Ok(())
    }

    /// For MP4 and QuickTime.
    fn additions(&self, tracks: Vec<TrackAdditions>) -> Additions {
        let range = self.window.start..self.window.stop.unwrap_or(gst::ClockTime::MAX);
        let user_data = self.media.user_data(self.mux.container);
        let chapters = self.media.toc.as_ref().map(|toc| chapters::within(toc, range));
        Additions {
            date: self.media.date(),
            day: self.media.day().filter(|_| user_data.is_none()),
            location: self.media.location.clone().filter(|_| user_data.is_none()),
            user_data: user_data.cloned(),
            chapters: chapters.unwrap_or_default(),
            lead: gst::ClockTime::ZERO,
            delay: gst::ClockTime::ZERO,
            tracks,
        }
    }

    /// For Matroska.
    fn head(&self, written: &[WrittenTrack]) -> Result<Head> {
        let properties = |(written, flags): (&WrittenTrack, Flags)| {
            let track = self.input(written);
            let keeps_codec = match &written.action {
                Action::Copy(pad) => pad.carrier.is_some() || track.is_audio(),
                _ => false,
            };
            let entry = track.entry.as_ref();
            let language = entry.map(|entry| entry.language.clone());
            // The muxer writes the language in the tags.
            let has_tag = track.tags.get::<gst::tags::LanguageCode>().is_some();
            Properties {
                flags,
                language: language.or((!has_tag).then(|| "und".to_owned())),
                name: self.media.name(track),
                codec: entry.filter(|_| keeps_codec).map(|entry| entry.codec.clone()),
                kept: entry.map(|entry| entry.kept.clone()).unwrap_or_default(),
            }
        };
        let passed = || written.iter().map(|track| track.passed);
        // A subtitle without a duration is shown as long as the player chooses.
        let lasting = written.iter().filter(|track| !is_subtitles(self.input(track).kind()));
        let is_end_known = { lasting }.all(|track| track.passed.states_end());
        let start = passed().filter_map(|passed| passed.first).min().unwrap_or_default();
        let has_attachments = !self.media.extras.attached.is_empty();
        let attachments = has_attachments.then(|| attachments(self.mux.input)).transpose()?;
        Ok(Head {
            title: self.media.title(),
            tracks: written.iter().zip(self.flags(written)).map(properties).collect(),
            attachments: attachments.flatten(),
            file_tags: self.media.matroska_tags(),
            date: self.media.date(),
            luminance: hdr::luminance(&self.media.main_track()?.caps),
            end: passed().map(|passed| passed.end).max().unwrap_or_default(),
            start: (!is_end_known).then_some(start),
        })
    }

    /// The track of the input from which `written` was made.
    fn input(&self, written: &WrittenTrack) -> &Track {
        &self.media.tracks[written.number]
    }

    fn class(&self, written: &WrittenTrack) -> &str {
        class(&self.input(written).caps)
    }

    /// The flags of the tracks. A player plays the first of each class if the input does not say more.
    fn flags(&self, written: &[WrittenTrack]) -> Vec<Flags> {
        let flags = written.iter().enumerate().map(|(i, track)| {
            let is_same = |other: &WrittenTrack| self.class(other) == self.class(track);
            let default = !written[..i].iter().any(is_same);
            self.input(track).stated.flags.unwrap_or(Flags::new(default))
        });
        flags.collect()
    }

    /// The same, with a track of each class that plays by default. Players of MP4 and QuickTime may ignore the others.
    fn one_default_each(&self, written: &[WrittenTrack]) -> Vec<Flags> {
        let all = self.flags(written);
        let defaults = written.iter().zip(&all).filter(|(_, flags)| flags.default);
        let defaults: Vec<&str> = defaults.map(|(track, _)| self.class(track)).collect();
        let flags = written.iter().zip(&all).map(|(track, flags)| Flags {
            default: flags.default || !defaults.contains(&self.class(track)),
            ..*flags
        });
        flags.collect()
    }
}

/// The time with which the muxer of MP4 and QuickTime starts the presentation: that of the first of the tracks `written`.
/// Subtitles begin at `begin`, if not before.
fn muxer_start(written: &[WrittenTrack], begin: gst::ClockTime) -> gst::ClockTime {
    let is_text =
        |track: &WrittenTrack| track.caps_of_data().is_some_and(|caps| is_text(media_type(caps)));
    let subtitles = written.iter().any(is_text).then_some(begin);
    let first = written.iter().filter_map(|track| track.passed.first).chain(subtitles).min();
    first.unwrap_or_default()
}
