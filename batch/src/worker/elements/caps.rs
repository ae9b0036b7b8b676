// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading caps.

use gst::prelude::*;
use gst_video::VideoColorimetry;

pub const VORBIS: &str = "audio/x-vorbis";
/// The caps that `matroskademux` of GStreamer 1.22 gives WebVTT.
pub const WEBVTT: &str = "application/x-subtitle-unknown";
/// The caps that `tsdemux` gives TrueHD outside of Blu-ray. The PCM decoder fails on it.
pub const TRUE_HD_OR_PCM: &str = "audio/x-private2-lpcm";

/// A field of the first structure of caps.
pub fn field<'a, T: gst::glib::value::FromValue<'a>>(caps: &'a gst::Caps, name: &str) -> Option<T> {
    caps.structure(0)?.get(name).ok()
}

/// The caps with this value of a field.
pub fn with_field(caps: &gst::Caps, name: &str, value: impl ToSendValue + Sync) -> gst::Caps {
    let mut caps = caps.clone();
    caps.make_mut().set(name, value);
    caps
}

/// The field of caps with the shape of pixels.
pub const PIXEL_ASPECT: &str = "pixel-aspect-ratio";

/// The caps with the pixel aspect ratio `aspect`, if theirs is square or unknown and it is not square.
pub fn with_aspect(caps: &gst::Caps, aspect: gst::Fraction) -> Option<gst::Caps> {
    let square = gst::Fraction::new(1, 1);
    let is_square = field::<gst::Fraction>(caps, PIXEL_ASPECT).is_none_or(|own| own == square);
    (is_square && aspect != square).then(|| with_field(caps, PIXEL_ASPECT, aspect))
}

/// The media type of caps, such as `video/x-h264`.
pub fn media_type(caps: &gst::Caps) -> &str {
    caps.structure(0).map(|s| s.name().as_str()).unwrap_or_default()
}

/// The width and height of video in pixels, if they are known.
pub fn frame_size(caps: &gst::Caps) -> Option<(i32, i32)> {
    field(caps, "width").zip(field(caps, "height"))
}

/// Whether the demuxers give this media type to encrypted tracks.
pub fn is_encrypted(kind: &str) -> bool {
    ["application/x-cenc", "application/x-webm-enc"].contains(&kind) || kind.contains("encrypted")
}

/// The class of a media type, such as `video`.
pub fn class(caps: &gst::Caps) -> &str {
    media_type(caps).split('/').next().unwrap_or_default()
}

/// The name in the container of a codec that the demuxer does not know.
fn fourcc(caps: &gst::StructureRef) -> Option<String> {
    if let Some((_, fourcc)) = caps.name().split_once("/x-gst-fourcc-") {
        return Some(fourcc.to_owned());
    }
    if let Ok(fourcc) = caps.get::<i32>("fourcc")
        && fourcc != 0
    {
        return Some(fourcc.to_le_bytes().map(char::from).iter().collect());
    }
    ["fourcc", "codec-id"].iter().find_map(|field| caps.get(*field).ok())
}

/// The name of audio in an AVI that the demuxer does not know (WAVE format tags, as in RFC 2361 and ffmpeg).
fn avi_audio(caps: &gst::StructureRef) -> Option<String> {
    let tag = caps.get::<i32>("codec_id").ok()?;
    let name = match tag {
        0x566F | 0x674F..=0x6751 | 0x676F..=0x6771 => "Vorbis",
        0x704F => "Opus",
        0xA109 => "Speex",
        0xF1AC => "FLAC",
        _ => return Some(format!("audio of the unknown codec 0x{tag:04X}")),
    };
    Some(name.to_owned())
}

/// A readable name of the codec of a track, or of the first that an encoder can output.
pub fn codec_name(caps: &gst::Caps) -> String {
    let Some(first) = caps.structure(0) else { return "unknown data".to_owned() };
    if let Some(fourcc) = fourcc(first) {
        let is_audio = first.name().starts_with("audio/x-gst-fourcc-");
        let what = if is_audio { "audio of the unknown codec" } else { "the codec" };
        return format!("{what} {fourcc}");
    }
    let known = match first.name().as_str() {
        WEBVTT => "WebVTT subtitles",
        TRUE_HD_OR_PCM => "TrueHD or PCM, which GStreamer cannot tell apart",
        "audio/x-unknown" => "audio of an unknown codec",
        "audio/x-private-ts-lpcm" => "Blu-ray PCM",
        "audio/x-ac4" => "AC-4",
        "audio/x-smpte-302m" => "SMPTE 302M PCM",
        "application/ttml+xml" => "TTML subtitles",
        "application/x-unknown-subtitles" => "subtitles in an unknown format",
        // Its code is 0.
        "video/x-avi-unknown" => "raw video in its format",
        "audio/x-avi-unknown" => return avi_audio(first).unwrap_or("unknown audio".to_owned()),
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let mut first = gst::Caps::builder_full().structure(first.to_owned()).build();
    first.fixate();
    gst_pbutils::pb_utils_get_codec_description(&first).to_string()
}

/// A stream id without the part for the file.
pub fn short_id(id: &str) -> &str {
    id.split_once('/').map_or(id, |(_, track)| track)
}

/// Whether the caps are of raw audio or video.
pub fn is_raw(caps: &gst::Caps) -> bool {
    media_type(caps).ends_with("/x-raw")
}

/// Whether subtitles of this kind are text.
pub fn is_text(kind: &str) -> bool {
    ["text/", "application/x-ass", "application/x-ssa", "application/x-subtitle"]
        .iter()
        .any(|text| kind.starts_with(text))
}

/// Whether tracks of this kind are subtitles, text or bitmaps.
pub fn is_subtitles(kind: &str) -> bool {
    is_text(kind) || kind.starts_with("subpicture/")
}

/// Whether a stream with these caps can be decoded.
pub fn has_decoder(caps: &gst::Caps) -> bool {
    media_type(caps) != TRUE_HD_OR_PCM && has_element(gst::ElementFactoryType::DECODER, caps)
}

/// Whether there is an element of this kind for these caps.
pub fn has_element(kind: gst::ElementFactoryType, caps: &gst::Caps) -> bool {
    let factories = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL);
    factories.iter().any(|factory| factory.can_sink_any_caps(caps))
}

/// The colorimetry in caps of video.
pub fn colorimetry(caps: &gst::StructureRef) -> Option<VideoColorimetry> {
    caps.get::<&str>("colorimetry").ok()?.parse().ok()
}

/// The formats of raw video in caps.
pub fn formats(caps: &gst::Caps) -> impl Iterator<Item = gst_video::VideoFormatInfo> + '_ {
    let names = caps.iter().filter_map(|s| s.value("format").ok()).flat_map(|value| match value
        .get::<gst::List>(
    ) {
        Ok(list) => list.iter().filter_map(|name| name.get::<String>().ok()).collect(),
        Err(_) => value.get::<String>().into_iter().collect::<Vec<_>>(),
    });
    let formats = names.map(|name| gst_video::VideoFormat::from_string(&name));
    let known = formats.filter(|format| *format != gst_video::VideoFormat::Unknown);
    known.map(gst_video::VideoFormatInfo::from_format)
}

/// The most bits of a component of a format.
pub fn depth(format: &gst_video::VideoFormatInfo) -> u32 {
    format.depth().iter().copied().max().unwrap_or(8)
}

/// Whether a format has more than 8 bits per component.
pub fn is_deep(format: &gst_video::VideoFormatInfo) -> bool {
    depth(format) > 8
}

/// Whether a track with caps `a` may be one with caps `b`.
pub fn is_same_kind(a: &gst::Caps, b: &gst::Caps) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.name() == b.name() && is_same_mpeg(a, b)))
}

/// `audio/mpeg` is MP3 or AAC, and `video/mpeg` is MPEG-2 or MPEG-4: no parser converts between them.
fn is_same_mpeg(a: &gst::StructureRef, b: &gst::StructureRef) -> bool {
    ["mpegversion", "layer"].iter().all(|field| match (a.value(*field), b.value(*field)) {
        (Ok(a), Ok(b)) => a.intersect(b).is_some(),
        _ => true,
    })
}
