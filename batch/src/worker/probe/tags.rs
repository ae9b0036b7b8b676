// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tags of a file, and which of them an output gets.

use super::{Media, Track};
use crate::{
    container::Container,
    worker::containers::{
        isobmff::UserData,
        matroska::tags::{FileTags, comments, named},
    },
};

/// The name of the date in Matroska.
const DATE: &str = "DATE";
/// The tag of GStreamer for boxes of MP4 and QuickTime that `qtdemux` does not read.
const UNREAD_BOX: &gst::glib::GStr = gst::glib::gstr!("private-qt-tag");

impl Media {
    /// The tags of the output: those of the file and of the video, except those about the codec.
    pub fn global_tags(&self) -> gst::TagList {
        let own = [
            "application-name",
            "attachment",
            "container-specific-track-id",
            "extended-comment",
            "image-orientation",
            "language-code",
            "language-name",
            "mxf-structure",
            UNREAD_BOX.as_str(),
        ];
        let mut tags = self.all_tags();
        // Other flags are those of properties of the data, such as codec and bitrate.
        let is_own = |name: &gst::glib::GStr| {
            own.contains(&name.as_str()) || gst::tags::tag_get_flag(name) != gst::TagFlag::Meta
        };
        for (name, _) in self.all_tags().iter().filter(|(name, _)| is_own(name)) {
            tags.make_mut().remove_generic(name);
        }
        tags
    }

    /// The boxes of tags that `qtdemux` has not read.
    pub(super) fn unread_boxes(&self) -> Vec<u8> {
        let copy = |value: &gst::glib::SendValue| {
            let sample = value.get::<gst::Sample>().ok()?;
            Some(sample.buffer()?.map_readable().ok()?.to_vec())
        };
        self.tags.iter_tag_generic(UNREAD_BOX).filter_map(copy).flatten().collect()
    }

    /// The tags of the tracks and of the container.
    pub fn tag_lists(&self) -> impl Iterator<Item = &gst::TagList> {
        self.tracks.iter().map(|track| &track.tags).chain([&self.tags])
    }

    /// The tags of the file and of the video.
    fn all_tags(&self) -> gst::TagList {
        let mut tags = self.tags.clone();
        if let Some(main) = self.main_video() {
            let mut of_track = self.tracks[main].tags.clone();
            if self.is_matroska() {
                // It is the name of the track.
                of_track.make_mut().remove::<gst::tags::Title>();
            }
            tags.make_mut().insert(&of_track, gst::TagMergeMode::Keep);
        }
        tags
    }

    /// The tags of the output if it is Matroska.
    pub fn matroska_tags(&self) -> Option<FileTags> {
        let all = || [named(&self.global_tags()), self.other_tags()].concat();
        self.extras.file_tags.clone().or_else(|| FileTags::of(&all()))
    }

    /// Its user data, if it is copied into a file in `container`.
    pub fn user_data(&self, container: Container) -> Option<&UserData> {
        self.user_data.as_ref().filter(|data| data.fits(container))
    }

    /// The tags that GStreamer has no names for.
    fn other_tags(&self) -> Vec<(String, String)> {
        let known = named(&self.global_tags());
        let mut others = [comments(&self.all_tags()), self.foreign_tags.clone()].concat();
        others.retain(|(name, _)| !known.iter().any(|(known, _)| known == name));
        others
    }

    /// The names of its tags that a file in `container` will not have.
    pub fn lost_tags(&self, container: Container) -> Vec<String> {
        let of_file = match (&self.extras.file_tags, &self.user_data) {
            _ if self.user_data(container).is_some() => Vec::new(),
            (_, Some(data)) => {
                let is_lost = |value: &Option<String>| !container.is_matroska() || value.is_none();
                let lost = data.unread.iter().filter(|(_, value)| is_lost(value));
                lost.map(|(name, _)| name.clone()).collect()
            }
            _ if container.is_matroska() => Vec::new(),
            (Some(tags), _) => tags.unread.clone(),
            _ => self.other_tags().into_iter().map(|(name, _)| name).collect(),
        };
        of_file.into_iter().chain(self.extras.tags_of_parts.iter().cloned()).collect()
    }

    /// Its title.
    pub fn title(&self) -> Option<String> {
        title_in(&self.global_tags())
    }

    /// The name of a track.
    pub fn name(&self, track: &Track) -> Option<String> {
        let of_file = self.title();
        // Not the generic names that `matroskamux` writes, nor the title of the file, which tracks in Ogg have.
        let is_name = |title: &String| {
            of_file.as_ref() != Some(title) && !["Video", "Audio", "Subtitle"].contains(&&**title)
        };
        title_in(&track.tags).filter(is_name).or(track.stated.name.clone())
    }

    /// Its date as the file has it, unless it has a time: `2021` or `2021-03-05`.
    pub fn day(&self) -> Option<String> {
        let of_matroska = self.extras.file_tags.as_ref().and_then(|tags| tags.value(DATE));
        let foreign = || self.foreign_tags.iter().find(|(name, _)| name == DATE);
        let of_gstreamer = || named(&self.global_tags()).into_iter().find(|(name, _)| name == DATE);
        let other = || foreign().cloned().or_else(of_gstreamer).map(|(_, day)| day);
        of_matroska.or_else(other).filter(|day| !day.contains(':'))
    }

    /// Its date, seconds since 1970 in UTC: when it was recorded, or else when the file was made.
    pub fn date(&self) -> Option<i64> {
        let recorded = self.user_data.as_ref().and_then(UserData::recorded);
        let made = || Some(self.global_tags().get::<gst::tags::DateTime>()?.get());
        Some(recorded.or_else(made)?.to_g_date_time().ok()?.to_unix())
    }
}

fn title_in(tags: &gst::TagList) -> Option<String> {
    tags.get::<gst::tags::Title>().map(|title| title.get().to_owned())
}
