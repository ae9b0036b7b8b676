// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the demuxer does not report about a file.

use std::path::Path;

use super::{Media, Track, file_head::FileHead};
use crate::worker::{
    containers::{
        asf, avi,
        chapters::{self, Chapter},
        foreign_tags,
        isobmff::{Details, UserData, index},
        matroska::Extras,
        mpegts::{self, Programs, Stream},
    },
    elements::caps::{WEBVTT, codec_name},
};

impl Media {
    /// Adds what the demuxer of `file` does not report.
    pub(super) fn add_details(&mut self, file: &mut FileHead<'_>) {
        self.missing_bytes = file.missing_bytes();
        self.foreign_tags = foreign_tags::read(&file.head);
        match self.kind() {
            "video/quicktime" => self.add_isobmff(file),
            "video/x-matroska" | "video/webm" => {
                self.add_matroska(file.extras.take().unwrap_or_default())
            }
            "video/x-msvideo" => self.add_avi(&file.head),
            "video/x-ms-asf" => {
                self.late_start = asf::start(&file.head);
                self.add_chapters(&asf::chapters(&file.head).unwrap_or_default());
            }
            "application/ogg" | "video/ogg" => {
                self.add_chapters(&chapters::of_comments(self.tag_lists()));
            }
            "video/mpegts" => self.add_mpegts(file.path),
            _ => {}
        }
    }

    /// Adds chapters if the demuxer reports none.
    fn add_chapters(&mut self, chapters: &[Chapter]) {
        let end = self.duration.unwrap_or_default();
        self.toc = self.toc.take().or_else(|| chapters::table(chapters, end));
    }

    fn add_isobmff(&mut self, file: &FileHead<'_>) {
        let Some(index) = &file.index else { return };
        self.has_xml = file.beside.has_xml;
        let is_quicktime = index::is_quicktime(&file.head);
        self.user_data = UserData::of(is_quicktime, &index.moov, &self.unread_boxes());
        if let Some(data) = &self.user_data {
            self.foreign_tags = data.named();
        }
        let details = Details::of(file.path, index);
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

    fn add_avi(&mut self, head: &[u8]) {
        self.stated_frames = avi::frames(head).unwrap_or(0);
        let unknown = self.tracks.extract_if(.., |track| track.kind() == "audio/x-avi-unknown");
        self.unknown = unknown.map(|track| format!("{} in AVI", codec_name(&track.caps))).collect();
    }

    fn add_mpegts(&mut self, file: &Path) {
        let has_klv = self.tracks.iter().any(|track| track.kind() == "meta/x-klv");
        // A stream id ends with the packet identifier. A track without a decoder has no id.
        let is_known = |stream: &Stream| {
            let suffix = format!("{:08x}", stream.id);
            self.tracks.iter().any(|track| track.id.ends_with(&suffix))
                || (has_klv && stream.kind == mpegts::PRIVATE_DATA)
        };
        let programs = Programs::read(file, is_known).unwrap_or_default();
        let unknown = programs.streams.iter().filter(|own| own.has_data && !is_known(own));
        self.unknown = unknown.map(|stream| mpegts::name(stream.kind)).collect();
        self.programs = programs;
    }

    fn add_matroska(&mut self, mut extras: Extras) {
        for mut entry in extras.tracks.drain(..) {
            let own = self.tracks.iter().position(|track| track.id == entry.id);
            let is_like = |track: &Track| track.id.is_empty() && entry.may_be(track.kind());
            let own = own.or_else(|| self.tracks.iter().position(is_like));
            let Some(track) = own.and_then(|own| self.tracks.get_mut(own)) else { continue };
            if track.kind() == WEBVTT && entry.is_unknown() {
                track.caps = gst::Caps::new_empty_simple("application/x-unknown-subtitles");
            }
            track.id.clone_from(&entry.id);
            track.stated = std::mem::take(&mut entry.stated);
            track.entry = Some(entry);
        }
        self.extras = extras;
        // Seeking would go wrong: the demuxer expects unshifted times, and the list of ProRes times starts at the first
        // frame.
        self.is_seekable &= self.repairs.times.are_right();
        let shift = self.repairs.times.shift;
        if !shift.is_zero() {
            self.toc = self.toc.take().and_then(|toc| chapters::later(&toc, shift));
        }
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
