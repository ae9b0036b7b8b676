// SPDX-License-Identifier: MIT OR Apache-2.0

//! Notes about data of a file, besides its tracks, that is not in the output.

use super::{hdr, isobmff::MOST_CHAPTERS, probe::Media, timecode};
use crate::{container::Container, options::Recipe};

/// Tags whose loss is reported, and their names in messages.
const TAGS: [(&str, &str); 8] = [
    ("title", "title"),
    ("artist", "artist"),
    ("comment", "comment"),
    ("description", "description"),
    ("datetime", "date"),
    ("geo-location-latitude", "location"),
    ("image", "cover art"),
    ("copyright", "copyright"),
];

/// Losses that are known before anything is written.
pub fn foreseen(media: &Media, container: Container, recipe: &Recipe) -> Vec<String> {
    let mut losses = Vec::new();
    let holder = container.name();
    let chapters = media.chapters();
    if chapters > 0 && container == Container::Ts {
        let s = if chapters == 1 { "chapter is" } else { "chapters are" };
        losses.push(format!("its {chapters} {s} left out: {holder} cannot hold chapters"));
    }
    if container.is_isobmff() && chapters > MOST_CHAPTERS {
        losses.push(format!("its chapters after the first {MOST_CHAPTERS} are left out"));
    }
    if !media.attached.is_empty() && container != Container::Mkv {
        let names = media.attached.join(", ");
        losses.push(format!("its attachments are left out: {holder} cannot hold {names}"));
    }
    for what in media.animation.iter().flat_map(|animation| &animation.losses) {
        losses.push(format!("its {what} is left out"));
    }
    if media.missing_bytes > 0 {
        losses.push(format!("is truncated: its last {} bytes are missing", media.missing_bytes));
    }
    if media.programmes > 1 {
        let others = media.programmes - 1;
        let s = if others == 1 { "programme is" } else { "programmes are" };
        losses.push(format!("its {others} other {s} left out"));
    }
    let tags = media.global_tags();
    let has_timecode = tags.iter().any(|(name, _)| name.contains("timecode"))
        || media
            .tracks
            .iter()
            .map(|track| &track.tags)
            .chain([&media.tags])
            .any(timecode::is_in_mxf);
    // `mp4mux` does not write it.
    let keeps_timecode = container == Container::Mov;
    if has_timecode || (media.timecode.is_some() && !keeps_timecode) {
        losses.push("its time code is left out".to_owned());
    }
    for (i, track) in
        media.tracks.iter().enumerate().filter(|(i, _)| Some(*i) != media.main_video())
    {
        // The names that `matroskamux` gives every track are not names.
        let title = track.tags.get::<gst::tags::Title>();
        let is_name = |title: &str| !["Video", "Audio", "Subtitle"].contains(&title);
        if let Some(title) = title.filter(|title| is_name(title.get())) {
            losses.push(format!("track {}: its name '{}' is left out", i + 1, title.get()));
        }
    }
    let Ok(video) = media.main_track() else { return losses };
    let Some(caps) = video.caps.structure(0) else { return losses };
    let text = |field: &str| caps.get::<String>(field).unwrap_or_default();
    let encoding = video.encoding(recipe, container, 1);
    if video.has_alpha() && !hdr::takes(&encoding, |info| info.has_alpha()) {
        losses.push("its transparency, if it has any, is left out".to_owned());
    }
    if ["interleaved", "mixed", "fields"].contains(&text("interlace-mode").as_str()) {
        losses.push("is interlaced and becomes progressive".to_owned());
    }
    let is_mapped = hdr::tone_map(&video.caps, &encoding).is_some();
    if is_mapped {
        losses.push("is HDR and becomes SDR (BT.709) by tone mapping".to_owned());
    }
    let depth = caps.get::<u32>("bit-depth-luma").unwrap_or(8);
    if depth > 8 && !hdr::takes(&encoding, hdr::is_deep) {
        let how = match &recipe.video_encoder {
            None => format!("--preset {}", recipe.preset.name()),
            Some(_) => encoding.encoder_name().to_owned(),
        };
        losses.push(format!("its {depth} bits per component become 8 with {how}"));
    }
    let has_metadata = hdr::FIELDS.iter().any(|field| caps.has_field(*field));
    if has_metadata && (is_mapped || !hdr::keeps_metadata(encoding.encoder_name(), container)) {
        losses.push("its mastering display and light level (HDR10) are left out".to_owned());
    }
    losses
}

/// Tags of the input that are not in the output.
pub fn of_tags(input: &Media, output: &Media) -> Vec<String> {
    let (before, after) = (input.global_tags(), output.global_tags());
    let has_location = |media: &Media| media.location.is_some();
    let is_lost = has_location(input) && !has_location(output);
    let location = is_lost.then(|| "its location is left out".to_owned());
    let has = |tags: &gst::TagList, name: &str| tags.iter().any(|(other, _)| other == name);
    let is_attached = |name: &str| name == "image" && input.attachments.is_some();
    TAGS.iter()
        .filter(|(name, _)| has(&before, name) && !has(&after, name) && !is_attached(name))
        .map(|(_, name)| format!("its {name} is left out"))
        .chain(location)
        .collect()
}
