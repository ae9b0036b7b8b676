// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds to an output what its muxer leaves out.

use std::path::Path;

use anyhow::{Context, Result};
use gst::prelude::*;

use super::check::Promise;
use crate::{
    container::Container,
    worker::{
        containers::{
            chapters,
            isobmff::{Additions, TrackAdditions},
            matroska::head::{self, Head, Properties},
            stated::Flags,
        },
        elements::caps::class,
        pads::clip::Window,
        probe::{Media, Track, hdr},
    },
};

/// What to add to an output in `container` of the part `window` of `media`.
pub struct Completion<'a> {
    pub container: Container,
    pub media: &'a Media,
    pub window: Window,
}

impl Completion<'_> {
    /// Makes the muxer `mux` leave room for it.
    pub fn make_room(&self, mux: &gst::Element) {
        if self.container.is_isobmff()
            && let Some(tags) = mux.dynamic_cast_ref()
        {
            let track = |track: &Track| TrackAdditions {
                flags: track.stated.flags.unwrap_or(Flags::new(true)),
                name: self.media.name(track),
            };
            self.additions(self.media.tracks.iter().map(track).collect()).make_room(tags);
        }
        if self.container.is_matroska() {
            let lengths = self.media.tracks.iter().map(|track| {
                let entry = track.entry.as_ref();
                let entry = entry.map_or(0, |entry| entry.codec.elements.len() + entry.kept.len());
                entry + self.media.name(track).map_or(0, |name| name.len())
            });
            let title = self.media.title();
            head::make_room(mux, title.as_deref(), lengths);
        }
    }

    /// Adds it to `output`, which has the tracks `promises`.
    pub fn complete(&self, output: &Path, promises: &[Promise]) -> Result<()> {
        let incomplete = "the output cannot be completed";
        if self.container.is_isobmff() {
            let track = |(promise, flags): (&Promise, Flags)| TrackAdditions {
                flags,
                name: self.media.name(self.track(promise)),
            };
            let tracks = promises.iter().zip(self.one_default_each(promises)).map(track);
            let mut additions = self.additions(tracks.collect());
            additions.lead = self.lead(promises);
            additions.complete(output).context(incomplete)?;
        }
        if self.container.is_matroska() {
            self.head(promises)?.write(output).context(incomplete)?;
        }
        Ok(())
    }

    /// For MP4 and QuickTime.
    fn additions(&self, tracks: Vec<TrackAdditions>) -> Additions {
        let range = self.window.start..self.window.stop.unwrap_or(u64::MAX);
        let user_data = self.media.user_data(self.container);
        let chapters = self.media.toc.as_ref().map(|toc| chapters::within(toc, range));
        Additions {
            date: self.media.date(),
            day: self.media.day().filter(|_| user_data.is_none()),
            location: self.media.location.clone().filter(|_| user_data.is_none()),
            user_data: user_data.cloned(),
            chapters: chapters.unwrap_or_default(),
            lead: 0,
            tracks,
        }
    }

    /// For Matroska.
    fn head(&self, promises: &[Promise]) -> Result<Head> {
        let properties = |(promise, flags): (&Promise, Flags)| {
            let track = self.track(promise);
            let is_copied = !promise.is_encoded && track.kind().starts_with("audio/");
            let entry = track.entry.as_ref();
            let language = entry.map(|entry| entry.language.clone());
            // The muxer writes the language in the tags.
            let has_tag = track.tags.get::<gst::tags::LanguageCode>().is_some();
            Properties {
                flags,
                language: language.or((!has_tag).then(|| "und".to_owned())),
                name: self.media.name(track),
                codec: entry
                    .filter(|_| promise.is_carried || is_copied)
                    .map(|entry| entry.codec.clone()),
                kept: entry.map(|entry| entry.kept.clone()).unwrap_or_default(),
            }
        };
        Ok(Head {
            title: self.media.title(),
            tracks: promises.iter().zip(self.flags(promises)).map(properties).collect(),
            attachments: self.media.extras.attachments.clone(),
            file_tags: self.media.matroska_tags(),
            date: self.media.date(),
            luminance: hdr::luminance(&self.media.main_track()?.caps),
        })
    }

    fn track(&self, promise: &Promise) -> &Track {
        &self.media.tracks[promise.track]
    }

    fn class(&self, promise: &Promise) -> &str {
        class(&self.track(promise).caps)
    }

    /// The flags of the tracks. A player plays the first of each class if the input does not say more.
    fn flags(&self, promises: &[Promise]) -> Vec<Flags> {
        let flags = promises.iter().enumerate().map(|(i, promise)| {
            let is_same = |other: &Promise| self.class(other) == self.class(promise);
            let default = !promises[..i].iter().any(is_same);
            self.track(promise).stated.flags.unwrap_or(Flags::new(default))
        });
        flags.collect()
    }

    /// The same, with a track of each class that plays by default. Players of MP4 and QuickTime may ignore the others.
    fn one_default_each(&self, promises: &[Promise]) -> Vec<Flags> {
        let all = self.flags(promises);
        let has_default = |class: &str| {
            let mut flags = promises.iter().zip(&all);
            flags.any(|(promise, flags)| flags.default && self.class(promise) == class)
        };
        let flags = promises.iter().zip(&all).map(|(promise, flags)| Flags {
            default: flags.default || !has_default(self.class(promise)),
            ..*flags
        });
        flags.collect()
    }

    /// How much of an output in MP4 or QuickTime lies before the start of the input, nanoseconds. The muxer starts the
    /// presentation with its first track.
    fn lead(&self, promises: &[Promise]) -> u64 {
        // The times of a stream start at any time, and players hide nothing of it.
        let shift = u64::try_from(self.window.shift).ok().filter(|_| !self.media.is_stream());
        let first = promises.iter().filter_map(|promise| promise.passed.first).min();
        shift.unwrap_or(0).saturating_sub(first.unwrap_or(0))
    }
}
