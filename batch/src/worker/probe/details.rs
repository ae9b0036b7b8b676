// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the demuxer does not report about a file.

use std::path::Path;

use anyhow::Result;

use super::{Media, Track};
use crate::worker::{
    containers::{
        asf, avi,
        chapters::{self, Chapter},
        foreign_tags,
        isobmff::{
            details::Details,
            index::{self, Index},
            user_data::UserData,
        },
        matroska, mpegts,
    },
    elements::caps::{WEBVTT, codec_name},
};

impl Media {
    /// Adds what the demuxer does not report.
    pub(super) fn add_details(
        &mut self,
        input: &Path,
        head: &[u8],
        index: Option<Index>,
    ) -> Result<()> {
        let length = std::fs::metadata(input)?.len();
        self.foreign_tags = foreign_tags::read(head);
        let whole = match self.kind() {
            "video/quicktime" => {
                let is_quicktime = index::is_quicktime(head);
                self.user_data =
                    index.as_ref().and_then(|index| UserData::of(is_quicktime, &index.moov));
                if let Some(data) = &self.user_data {
                    self.foreign_tags = data.named();
                }
                let details = index.map(|index| Details::of(input, &index));
                self.add_isobmff(details.unwrap_or_default());
                index::whole_length(input)
            }
            "video/x-msvideo" => {
                self.stated_frames = avi::frames(head).unwrap_or(0);
                let unknown = |track: &mut Track| track.kind() == "audio/x-avi-unknown";
                let unknown = self.tracks.extract_if(.., unknown);
                self.unknown =
                    unknown.map(|track| format!("{} in AVI", codec_name(&track.caps))).collect();
                avi::whole_length(head)
            }
            "video/x-ms-asf" => {
                let details = asf::details(head);
                self.late_start = details.start;
                self.add_chapters(&details.chapters);
                details.whole_length
            }
            "application/ogg" | "video/ogg" => {
                let tags = self.tracks.iter().map(|track| &track.tags).chain([&self.tags]);
                self.add_chapters(&chapters::of_comments(tags));
                None
            }
            "video/mpegts" => {
                self.add_mpegts(&mpegts::programs(head));
                None
            }
            _ => None,
        };
        let extras = self.is_matroska().then(|| matroska::read(input).unwrap_or_default());
        let whole = whole.or(extras.as_ref().and_then(|extras| extras.whole_length));
        self.missing_bytes = whole.map_or(0, |whole| whole.saturating_sub(length));
        extras.into_iter().for_each(|extras| self.add_matroska(extras));
        if let Some(early) = &self.repairs.early {
            // A seek would need the timestamps before the shift.
            self.is_seekable = false;
            let toc = self.toc.take();
            self.toc = toc.and_then(|toc| chapters::later(&toc, early.shift));
        }
        // It counts the frames from the first on.
        self.is_seekable &= self.repairs.untimed.is_none();
        Ok(())
    }

    /// Adds chapters if the demuxer reports none.
    fn add_chapters(&mut self, chapters: &[Chapter]) {
        let end = self.duration.unwrap_or_default().nseconds();
        self.toc = self.toc.take().or_else(|| chapters::table(chapters, end));
    }

    fn add_isobmff(&mut self, details: Details) {
        let is = |track: &Track, id: u32| track.id.parse() == Ok(id);
        self.tracks.retain(|track| !details.chapter_tracks.iter().any(|id| is(track, *id)));
        self.add_chapters(&details.chapters);
        let mut end = Some(gst::ClockTime::ZERO);
        for own in details.tracks {
            let Some(track) = self.tracks.iter_mut().find(|track| is(track, own.id)) else {
                let is_chapters = details.chapter_tracks.contains(&own.id);
                // A track without a decoder has no id.
                let is_it = |track: &Track| {
                    track.id.is_empty() && codec_name(&track.caps).contains(&own.codec)
                };
                let is_listed = is_chapters || self.tracks.iter().any(is_it);
                if own.kind != "tmcd" && !is_listed && own.stated.end.is_some() {
                    self.unknown.push(format!("{} ({})", kind_of(&own.kind), own.codec));
                }
                continue;
            };
            end = end.zip(own.stated.end).map(|(end, own)| end.max(own));
            track.stated = own.stated;
        }
        // Other tracks may be longer.
        let end = end.filter(|end| !end.is_zero());
        self.duration = self.duration.map(|duration| end.map_or(duration, |end| end.min(duration)));
        (self.location, self.timecode) = (details.location, details.timecode);
    }

    fn add_mpegts(&mut self, programs: &mpegts::Programs) {
        (self.programs, self.has_rare_clock) = (programs.count, programs.has_rare_clock);
        // A stream id ends with the packet identifier.
        let is_known = |id: &u16| {
            let suffix = format!("{id:08x}");
            self.tracks.iter().any(|track| track.id.ends_with(&suffix))
        };
        // A track without a decoder has no id.
        let has_klv = self.tracks.iter().any(|track| track.kind() == "meta/x-klv");
        let is_klv = |kind: u8| has_klv && kind == mpegts::PRIVATE_DATA;
        let unknown = programs.streams.iter().filter(|(id, kind)| !is_known(id) && !is_klv(*kind));
        self.unknown = unknown.map(|(_, kind)| mpegts::name(*kind)).collect();
    }

    fn add_matroska(&mut self, extras: matroska::Extras) {
        for entry in extras.tracks {
            let own = self.tracks.iter().position(|track| track.id == entry.id);
            let is_like = |track: &Track| track.id.is_empty() && entry.may_be(track.kind());
            let own = own.or_else(|| self.tracks.iter().position(is_like));
            let Some(track) = own.and_then(|own| self.tracks.get_mut(own)) else { continue };
            if track.kind() == WEBVTT && entry.is_unknown() {
                track.caps = gst::Caps::new_empty_simple("application/x-unknown-subtitles");
            }
            track.id.clone_from(&entry.id);
            track.stated.clone_from(&entry.stated);
            track.entry = Some(entry);
        }
        (self.is_ordered, self.is_linked) = (extras.is_ordered, extras.is_linked);
        (self.attachments, self.attached) = (extras.attachments, extras.attached);
        self.file_tags = extras.file_tags;
    }
}

/// A readable name of a type of track in MP4 and QuickTime.
fn kind_of(handler: &str) -> &'static str {
    match handler {
        "vide" => "video",
        "soun" => "audio",
        "text" | "sbtl" | "subt" | "subp" | "clcp" => "subtitles",
        "meta" => "timed metadata",
        "hint" => "hints for streaming",
        _ => "data",
    }
}
