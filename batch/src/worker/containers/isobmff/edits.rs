// SPDX-License-Identifier: MIT OR Apache-2.0

//! Edit lists of the MP4 and QuickTime files that `qtmux` of GStreamer 1.22 writes (ISO/IEC 14496-12, section 8.6.6).
//!
//! Sound often begins before 0: its first packet only prepares the decoder and is not heard. The muxer accepts no time
//! before 0, so all tracks begin later in its file. With these edit lists they begin where they did, and players hide
//! what lies before 0. If all tracks begin after 0, the muxer lets the first one begin at 0, and edit lists delay them.

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use super::{
    boxes::{Change, boxed, boxes, change, find},
    trak::{Header, Trak, tracks},
};
use crate::worker::containers::bytes::{big_endian, place};

/// The media time of an empty edit.
const EMPTY: i64 = -1;

/// The most bytes by which a track grows if it is delayed: `edts` and `elst` with two long entries.
pub const ROOM: usize = 8 + 16 + 2 * 20;

/// An entry of an edit list: its duration in units of the presentation, and its start in those of the track.
type Edit = (u64, i64);

/// The changes of the index `moov` that make the presentation begin `lead` later, so that what lies before is hidden; fails
/// if that cannot be done in place.
pub fn hide_lead(moov: &[u8], lead: gst::ClockTime) -> Result<Vec<Change>> {
    let movie = Header::of_movie(moov).context("no header")?;
    ensure!(movie.number > 0, "no time scale");
    let mut changes = vec![shortened(moov, movie, units(lead, movie.number))];
    for track in tracks(moov) {
        let headers = track.header().zip(track.media());
        let (header, media) = headers.context("a track without a header")?;
        // A track without edits, such as time codes, begins with the presentation.
        let Some(edits) = track.find(&[b"edts"]) else { continue };
        ensure!(media.number > 0, "no time scale");
        let list = find(edits, &[b"elst"]).context("no edit list")?;
        let old = read(list).context("no edits")?;
        let new = after(&old, lead, movie.number, media.number);
        changes.push(change(moov, edits, &written(&new, list[0], edits.len())?));
        changes.push(shortened(moov, header, units(lead, movie.number)));
    }
    Ok(changes)
}

/// The index `moov` with all tracks `delay` later; `None` if its numbers are too small for that, as for half a day.
pub fn delayed(moov: &[u8], delay: gst::ClockTime) -> Option<Vec<u8>> {
    let movie = Header::of_movie(moov)?;
    let delay = units(delay, movie.number);
    let mut longer = moov.to_vec();
    for header in tracks(moov).filter_map(Trak::header).chain([movie]) {
        let duration = big_endian(header.duration).checked_add(delay)?.to_be_bytes();
        let (above, duration) = duration.split_at(8 - header.duration.len());
        above.iter().all(|byte| *byte == 0).then_some(())?;
        longer[place(moov, header.duration)].copy_from_slice(duration);
    }
    let mut new = Vec::new();
    for (kind, content) in boxes(&longer) {
        match kind {
            b"trak" => new.extend(boxed(kind, &delayed_track(Trak(content), delay)?)),
            _ => new.extend(boxed(kind, content)),
        }
    }
    Some(new)
}

/// The content of a track that begins `delay` later, in units of the presentation; its header has its new duration.
fn delayed_track(track: Trak<'_>, delay: u64) -> Option<Vec<u8>> {
    let old = track.find(&[b"edts", b"elst"]);
    let whole = || Some(vec![(big_endian(track.header()?.duration).checked_sub(delay)?, 0)]);
    let mut edits = old.and_then(read).or_else(whole)?;
    match edits.first_mut() {
        Some((duration, EMPTY)) => *duration += delay,
        _ => edits.insert(0, (delay, EMPTY)),
    }
    let version = old.and_then(|list| list.first()).copied().unwrap_or(0);
    let mut new = Vec::new();
    for (kind, content) in boxes(track.0).filter(|(kind, _)| *kind != b"edts") {
        new.extend(boxed(kind, content));
        if kind == b"tkhd" {
            new.extend(boxed(b"edts", &list(&edits, version)));
        }
    }
    Some(new)
}

/// A time in units of which a second has `scale`.
fn units(time: gst::ClockTime, scale: u32) -> u64 {
    let units = time.mul_div_round(scale.into(), *gst::ClockTime::SECOND);
    units.map_or(u64::MAX, gst::ClockTime::nseconds)
}

/// The duration in a `header` of `moov`, less `units`.
fn shortened(moov: &[u8], header: Header<'_>, units: u64) -> Change {
    let duration = big_endian(header.duration).saturating_sub(units).to_be_bytes();
    change(moov, header.duration, &duration[8 - header.duration.len()..])
}

/// The edits in a list.
pub fn read(list: &[u8]) -> Option<Vec<Edit>> {
    let (is_long, entries) = (list.first() == Some(&1), list.get(8..)?);
    let edit = |entry: &[u8]| match is_long {
        true => (big_endian(&entry[..8]), big_endian(&entry[8..16]) as i64),
        false => (big_endian(&entry[..4]), i64::from(big_endian(&entry[4..8]) as u32 as i32)),
    };
    Some(entries.chunks_exact(if is_long { 20 } else { 12 }).map(edit).collect())
}

/// The edits without what lies before `lead`.
fn after(edits: &[Edit], lead: gst::ClockTime, movie: u32, media: u32) -> Vec<Edit> {
    let mut left = lead;
    let mut new = Vec::new();
    for &(duration, start) in edits {
        let cut = units(left, movie).min(duration);
        let of_media = if start == EMPTY { 0 } else { units(left, media) as i64 };
        let time = gst::ClockTime::SECOND.mul_div_floor(cut, movie.into());
        left = left.saturating_sub(time.unwrap_or(gst::ClockTime::MAX));
        if cut < duration {
            new.push((duration - cut, start + of_media));
            // What is left is shorter than a unit.
            left = gst::ClockTime::ZERO;
        }
    }
    new
}

/// An `elst` of this version with these edits.
fn list(edits: &[Edit], version: u8) -> Vec<u8> {
    let mut content = vec![version, 0, 0, 0];
    content.extend((edits.len() as u32).to_be_bytes());
    for &(duration, start) in edits {
        match version {
            1 => content.extend([duration.to_be_bytes(), start.to_be_bytes()].concat()),
            _ => {
                content.extend(
                    [(duration as u32).to_be_bytes(), (start as i32).to_be_bytes()].concat(),
                );
            }
        }
        // At normal speed.
        content.extend([0, 1, 0, 0]);
    }
    boxed(b"elst", &content)
}

/// The same in `size` bytes.
fn written(edits: &[Edit], version: u8, size: usize) -> Result<Vec<u8>> {
    let mut bytes = list(edits, version);
    let rest = size.checked_sub(bytes.len()).context("no room for the edit list")?;
    if rest > 0 {
        let rest = rest.checked_sub(8).context("no room after the edit list")?;
        bytes.extend(boxed(b"free", &vec![0; rest]));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_before_the_start_is_hidden() {
        // 1024 samples of sound at 48 kHz come before the video.
        let lead = gst::ClockTime::from_nseconds(21_333_333);
        let after = |edits: &[Edit], media| after(edits, lead, 90_000, media);
        assert_eq!(after(&[(1920, EMPTY), (270_000, 0)], 90_000), [(270_000, 0)]);
        assert_eq!(after(&[(271_920, 0)], 48_000), [(270_000, 1024)]);
        assert_eq!(after(&[(91_920, EMPTY), (270_000, 0)], 1000), [(90_000, EMPTY), (270_000, 0)]);
        // Sound that begins 10 ms later than the first.
        assert_eq!(after(&[(900, EMPTY), (271_020, 0)], 48_000), [(270_000, 544)]);
    }

    #[test]
    fn tracks_are_delayed_by_an_empty_edit() {
        let header = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
        };
        let index = |duration: u32, edits: &[Edit]| {
            let list = if edits.is_empty() { Vec::new() } else { boxed(b"edts", &list(edits, 0)) };
            let track = [boxed(b"tkhd", &header(&[0, 0, 0, 1, 0, duration])), list].concat();
            let movie = boxed(b"mvhd", &header(&[0, 0, 0, 90_000, duration]));
            [movie, boxed(b"trak", &track)].concat()
        };
        let delayed = |duration, edits: &[Edit]| {
            let moov = delayed(&index(duration, edits), gst::ClockTime::SECOND * 2)?;
            let track = tracks(&moov).next().unwrap();
            let durations = [Header::of_movie(&moov).unwrap(), track.header().unwrap()];
            assert!(durations.iter().all(|header| big_endian(header.duration) == 270_000));
            assert!(moov.len() <= index(duration, edits).len() + ROOM);
            read(track.find(&[b"edts", b"elst"]).unwrap())
        };
        let two = [(180_000, EMPTY), (90_000, 0)];
        assert_eq!(delayed(90_000, &[]).unwrap(), two);
        assert_eq!(delayed(90_000, &[(90_000, 0)]).unwrap(), two);
        let later = delayed(90_000, &[(100, EMPTY), (89_900, 7)]).unwrap();
        assert_eq!(later, [(180_100, EMPTY), (89_900, 7)]);
        assert_eq!(delayed(u32::MAX - 10, &[]), None);
    }

    #[test]
    fn a_shorter_list_fills_its_place() {
        let list = written(&[(270_000, 1024)], 0, 40).unwrap();
        assert_eq!(list.len(), 40);
        assert_eq!(read(find(&list, &[b"elst"]).unwrap()).unwrap(), [(270_000, 1024)]);
        assert!(find(&list, &[b"free"]).is_some());
    }
}
