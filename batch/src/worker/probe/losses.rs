// SPDX-License-Identifier: MIT OR Apache-2.0

//! Notices about what the output loses, other than tracks.

use clap::ValueEnum;
use gst_video::{VideoFormatInfo, VideoInfo};

use super::{Media, Track, builtin::Builtin};
use crate::{
    container::Container,
    encoding::{Encoding, RAW},
    options::Recipe,
    text::counted,
    worker::{
        containers::{isobmff::MOST_CHAPTERS, matroska::tags::name_of, timecode},
        elements::caps::{PIXEL_ASPECT, depth, field, is_deep},
        hdr,
    },
};

pub const INTERLACED: &str = "is interlaced and becomes progressive";
const TRANSPARENT: &str = "its transparency, if it has any, is left out";

/// The losses that are known before anything is written.
pub fn foreseen(media: &Media, container: Container, recipe: &Recipe) -> Vec<String> {
    let mut losses = of_file(media, container);
    losses.extend(of_names(media, container));
    if let Ok(video) = media.main_track() {
        losses.extend(of_video(video, container, recipe));
    }
    losses
}

/// The losses of the file: chapters, attachments, time code and more.
fn of_file(media: &Media, container: Container) -> Vec<String> {
    let mut losses = Vec::new();
    let holder = container.name();
    let chapters = media.chapters();
    if chapters > 0 && container == Container::Ts {
        let chapters = are(chapters, "chapter");
        losses.push(format!("its {chapters} left out: {holder} cannot hold chapters"));
    }
    if media.extras.is_ordered {
        losses.push("its ordered chapters are ignored: it plays from start to end".to_owned());
    }
    if media.extras.is_linked {
        losses.push("the files that it links to (linked segments) are not included".to_owned());
    }
    if container.is_isobmff() && chapters > MOST_CHAPTERS {
        losses.push(format!("its chapters after the first {MOST_CHAPTERS} are left out"));
    }
    if !media.extras.attached.is_empty() && container != Container::Mkv {
        let names = media.extras.attached.join(", ");
        losses.push(format!("its attachments are left out: {holder} cannot hold {names}"));
    }
    let lost = media.lost_tags(container);
    if !lost.is_empty() {
        losses.push(format!("tags are left out: {}", lost.join(", ")));
    }
    if media.has_xml {
        losses.push("its metadata in XML is left out".to_owned());
    }
    for what in media.builtin.iter().flat_map(Builtin::losses) {
        losses.push(format!("its {what} is left out"));
    }
    losses.extend(of_truncation(media));
    losses.extend(of_unknown(&media.unknown));
    if media.programs.count > 1 {
        losses.push(format!("its {} left out", are(media.programs.count - 1, "other program")));
    }
    let has_timecode = media.global_tags().iter().any(|(name, _)| name.contains("timecode"))
        || media.tag_lists().any(timecode::is_in_mxf);
    // `mp4mux` does not write time codes.
    let keeps_timecode = container == Container::Mov;
    if has_timecode || (media.timecode.is_some() && !keeps_timecode) {
        losses.push("its time code is left out".to_owned());
    }
    losses
}

/// The loss of tracks that the demuxer does not support; equal ones are counted.
fn of_unknown(unknown: &[String]) -> impl Iterator<Item = String> {
    let first = unknown.iter().enumerate().filter(|(i, what)| !unknown[..*i].contains(what));
    first.map(|(_, what)| match unknown.iter().filter(|other| *other == what).count() {
        1 => format!("a track that GStreamer does not support is left out: {what}"),
        count => format!("{count} tracks that GStreamer does not support are left out: {what}"),
    })
}

/// A count with its noun and verb.
fn are(count: usize, noun: &str) -> String {
    counted(count as u64, noun) + if count == 1 { " is" } else { " are" }
}

/// Says that the file is truncated, if it is.
pub fn of_truncation(media: &Media) -> Option<String> {
    let missing = media.missing_bytes;
    (missing > 0).then(|| format!("is truncated: its last {missing} bytes are missing"))
}

/// The names of tracks that are lost.
fn of_names(media: &Media, container: Container) -> impl Iterator<Item = String> {
    let names =
        media.tracks.iter().enumerate().filter_map(|(i, track)| Some((i, media.name(track)?)));
    let lost = names.filter(move |_| !container.is_matroska() && !container.is_isobmff());
    lost.map(|(i, name)| format!("track {}: its name '{name}' is left out", i + 1))
}

/// The losses of the translated video.
pub fn of_video(video: &Track, container: Container, recipe: &Recipe) -> Vec<String> {
    let mut losses = Vec::new();
    let Some(caps) = video.caps.structure(0) else { return losses };
    let encoding = video.encoding(recipe, container, 1);
    if video.has_alpha() && !hdr::takes(&encoding, |info| info.has_alpha()) {
        losses.push(TRANSPARENT.to_owned());
    }
    losses.extend(video.stated.ignored.iter().map(|what| format!("its {what} is left out")));
    let mode = caps.get::<String>("interlace-mode").unwrap_or_default();
    // Of `mixed`, the frames tell: film on DVD has repeated fields, but no interlaced frame.
    if ["interleaved", "fields"].contains(&mode.as_str()) {
        losses.push(INTERLACED.to_owned());
    }
    let is_mapped = hdr::tone_map(&video.caps, &encoding).is_some();
    if is_mapped {
        losses.push("is HDR and becomes SDR (BT.709) by tone mapping".to_owned());
    }
    let bits = caps.get::<u32>("bit-depth-luma").unwrap_or(8);
    if bits > 8 && !hdr::takes(&encoding, is_deep) {
        losses.push(of_depth(bits, 8, recipe, &encoding));
    }
    let has_metadata = hdr::FIELDS.iter().any(|field| caps.has_field(*field));
    if has_metadata && (is_mapped || !hdr::keeps_metadata(encoding.encoder_name(), container)) {
        losses.push("its mastering display and light level (HDR10) are left out".to_owned());
    }
    losses
}

fn of_depth(before: u32, after: u32, recipe: &Recipe, encoding: &Encoding) -> String {
    format!("its {before} bits per component become {after} with {}", encoder(recipe, encoding))
}

/// The loss of captions that the encoder does not write.
pub fn of_captions(recipe: &Recipe, encoding: &Encoding) -> String {
    format!("its closed captions are left out with {}", encoder(recipe, encoding))
}

/// The preset or encoder that the user has chosen.
fn encoder(recipe: &Recipe, encoding: &Encoding) -> String {
    match &recipe.video_encoder {
        None => {
            let preset = recipe.preset.to_possible_value();
            format!("--preset {}", preset.as_ref().map_or("", |preset| preset.get_name()))
        }
        Some(_) if encoding.encoder_name() == RAW => "y4m".to_owned(),
        Some(_) => encoding.encoder_name().to_owned(),
    }
}

/// The losses of decoded frames in the format `before` if the encoder gets `after`.
pub fn of_frames(
    before: &VideoInfo,
    after: &VideoInfo,
    recipe: &Recipe,
    encoding: &Encoding,
) -> Vec<String> {
    let mut losses = Vec::new();
    let (before, after) = (before.format_info(), after.format_info());
    if before.has_alpha() && !after.has_alpha() {
        losses.push(TRANSPARENT.to_owned());
    }
    if depth(&before) > depth(&after) {
        losses.push(of_depth(depth(&before), depth(&after), recipe, encoding));
    }
    let chroma = |info: &VideoFormatInfo| match info.n_components() {
        0..=2 => None,
        _ => Some((info.w_sub()[1], info.h_sub()[1])),
    };
    if let (Some((w, h)), Some((x, y))) = (chroma(&before), chroma(&after))
        && (x > w || y > h)
    {
        let before = if before.is_rgb() { "RGB" } else { subsampling(w, h) };
        let (after, how) = (subsampling(x, y), encoder(recipe, encoding));
        losses.push(format!("its {before} becomes {after} with {how}"));
    }
    losses
}

/// The loss of frames that are cropped from `before` to `after`.
pub fn of_crop(before: &VideoInfo, after: &VideoInfo) -> Option<String> {
    let size = |info: &VideoInfo| (info.width(), info.height());
    let ((width, height), (w, h)) = (size(before), size(after));
    ((width, height) != (w, h)).then(|| format!("its {width}×{height} pixels become {w}×{h}"))
}

/// The name of a chroma subsampling, from the binary logarithms of its factors.
fn subsampling(width: u32, height: u32) -> &'static str {
    match (width, height) {
        (0, 0) => "4:4:4",
        (1, 0) => "4:2:2",
        (0, 1) => "4:4:0",
        (2, 0) => "4:1:1",
        (2, 2) => "4:1:0",
        _ => "4:2:0",
    }
}

/// The loss of a pixel aspect ratio: some encoders write none, and MP4 and transport streams then have none.
pub fn of_aspect(input: &Media, output: &Media) -> Option<String> {
    /// Matroska rounds to whole pixels, and a column or row may be cropped.
    const TOLERANCE: f64 = 0.04;
    let square = gst::Fraction::new(1, 1);
    let pixel = |media: &Media| {
        // That of an AVI without one is negative.
        let pixel = field::<gst::Fraction>(&media.main_track().ok()?.caps, PIXEL_ASPECT);
        pixel.filter(|pixel| pixel.numer() > 0)
    };
    let ratio = |media: &Media, pixel: gst::Fraction| {
        let (width, height) = media.main_track().ok()?.size()?;
        let pixel = f64::from(pixel.numer()) / f64::from(pixel.denom());
        Some(f64::from(width) / f64::from(height) * pixel)
    };
    let before = pixel(input).filter(|before| *before != square)?;
    pixel(output).is_none_or(|after| after == square).then_some(())?;
    let [own, after] = [ratio(input, before)?, ratio(output, square)?];
    // A video that was turned upright has the inverse.
    let is_lost = |own: f64| (after / own - 1.0).abs() > TOLERANCE;
    let (numerator, denominator) = (before.numer(), before.denom());
    (is_lost(own) && is_lost(1.0 / own))
        .then(|| format!("its pixel aspect ratio {numerator}:{denominator} is left out"))
}

/// The losses of tags that GStreamer reads.
pub fn of_tags(input: &Media, output: &Media) -> Vec<String> {
    let (before, after) = (input.global_tags(), output.global_tags());
    let has_location = |media: &Media| media.location.is_some();
    let is_lost = has_location(input) && !has_location(output);
    let location = is_lost.then(|| "its location is left out".to_owned());
    let has = |name: &str| after.iter().any(|(other, _)| other == name);
    // GStreamer does not read all of them back.
    let written = input.matroska_tags().filter(|_| output.is_matroska());
    let is_written =
        |name: &str| written.as_ref().is_some_and(|tags| tags.value(&name_of(name)).is_some());
    let is_noted_elsewhere = |name: &str| match name {
        "image" => !input.extras.attached.is_empty(),
        name => name.contains("timecode") || (name.starts_with("geo-") && has_location(input)),
    };
    let names = before.iter().map(|(name, _)| name);
    let lost = names.filter(|name| !has(name) && !is_written(name) && !is_noted_elsewhere(name));
    lost.map(|name| format!("its {} is left out", gst::tags::tag_get_nick(name)))
        .chain(location)
        .collect()
}
