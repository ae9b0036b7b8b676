// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tracks of a file.

use gst_video::{VideoFormat, VideoFormatInfo};

use crate::{
    container::Container,
    encoding::Encoding,
    options::Recipe,
    tracks::UNDETERMINED,
    worker::{
        containers::{matroska::Entry, track_info::TrackInfo},
        elements::caps::{field, frame_size, media_type},
    },
};

/// An encoded track of a file.
#[derive(Clone, Debug)]
pub struct Track {
    pub id: String,
    /// Its final caps, from the last parser.
    pub caps: gst::Caps,
    pub tags: gst::TagList,
    pub stated: TrackInfo,
    /// Whether no frame is found in it.
    pub is_frameless: bool,
    /// Its description in Matroska.
    pub entry: Option<Entry>,
}

impl Track {
    /// A track about which nothing else is known.
    pub fn new(id: String, caps: gst::Caps) -> Self {
        let (tags, stated) = (gst::TagList::new(), TrackInfo::default());
        Self { id, caps, tags, stated, is_frameless: false, entry: None }
    }

    /// Whether it is the track that a demuxer outputs with this stream id and these caps.
    pub fn is(&self, id: &str, caps: &gst::Caps) -> bool {
        if self.id.is_empty() { media_type(caps) == self.kind() } else { self.id == id }
    }

    /// By how much its times are later than when it is heard: encoders put packets before the sound.
    pub fn delay(&self) -> gst::ClockTime {
        self.entry.as_ref().map(|entry| entry.delays()[1]).unwrap_or_default()
    }

    /// Its language in ISO 639-1 or -2.
    pub fn language(&self) -> String {
        let tag = self.tags.get::<gst::tags::LanguageCode>().map(|tag| tag.get().to_owned());
        let of_entry = || self.entry.as_ref().map(|entry| entry.language.clone());
        tag.or_else(of_entry).unwrap_or_else(|| UNDETERMINED.to_owned())
    }

    /// The number of audio channels; 0 if it is unknown.
    pub fn channels(&self) -> i32 {
        field(&self.caps, "channels").unwrap_or(0)
    }

    /// The sample rate of audio; 0 if it is unknown.
    pub fn sample_rate(&self) -> i32 {
        field(&self.caps, "rate").unwrap_or(0)
    }

    /// The width and height of video in pixels, if they are known.
    pub fn size(&self) -> Option<(i32, i32)> {
        frame_size(&self.caps)
    }

    /// The direction in which `videoflip` turns it upright; `None` if it must not be used: it supports no format with
    /// both alpha and more than 8 bits. Elsewhere it is always used, because `deinterlace` of GStreamer 1.22 outputs
    /// wrong pictures from buffers with the padding of a decoder.
    pub fn direction(&self) -> Option<&'static str> {
        let tag = self.tags.get::<gst::tags::ImageOrientation>();
        let is_turned = tag.is_some_and(|tag| tag.get() != "rotate-0");
        self.stated.turn.or((is_turned || !self.has_alpha()).then_some("auto"))
    }

    /// The true format of raw audio that `qtdemux` of GStreamer 1.22 takes for another one.
    pub fn true_format(&self) -> Option<&'static str> {
        match field(&self.caps, "format").filter(|_| self.stated.is_little_endian) {
            Some("F32BE") => Some("F32LE"),
            Some("F64BE") => Some("F64LE"),
            _ => None,
        }
    }

    /// Whether video has alpha.
    pub fn has_alpha(&self) -> bool {
        field(&self.caps, "codec-alpha").unwrap_or(false)
            || field::<&str>(&self.caps, "variant").is_some_and(|name| name.starts_with("4444"))
            || self.raw_format().is_some_and(|format| format.has_alpha())
    }

    /// Whether the chroma of video has its full size.
    fn has_full_chroma(&self) -> bool {
        let is_full = |format: VideoFormatInfo| {
            format.n_components() > 2 && format.w_sub()[1] == 0 && format.h_sub()[1] == 0
        };
        field(&self.caps, "chroma-format") == Some("4:4:4")
            || self.raw_format().is_some_and(is_full)
    }

    /// The format of raw video.
    fn raw_format(&self) -> Option<VideoFormatInfo> {
        let format = VideoFormat::from_string(field(&self.caps, "format")?);
        (format != VideoFormat::Unknown).then(|| VideoFormatInfo::from_format(format))
    }

    pub fn encoding(&self, recipe: &Recipe, container: Container, threads: u32) -> Encoding {
        let encoding = Encoding::new(recipe, container, threads);
        match self.has_alpha() || self.has_full_chroma() {
            true => encoding.with_full_chroma(recipe),
            false => encoding,
        }
    }

    /// The media type, such as `video/x-h264`.
    pub fn kind(&self) -> &str {
        media_type(&self.caps)
    }

    pub fn is_audio(&self) -> bool {
        self.kind().starts_with("audio/")
    }

    /// The codec in the media type, such as `h264`.
    pub fn codec(&self) -> &str {
        self.kind().rsplit(['/', '-']).next().unwrap_or_default()
    }
}
