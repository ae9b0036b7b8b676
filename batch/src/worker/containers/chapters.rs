// SPDX-License-Identifier: MIT OR Apache-2.0

//! Chapters and GStreamer's table of contents.

use std::{collections::BTreeMap, ops::Range};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    pub start: gst::ClockTime,
    pub title: String,
}

/// The name of a comment of Ogg with the start of a chapter, before three digits (Chapter Extension of Vorbis comments).
const COMMENT: &str = "CHAPTER";

/// The chapters in the comments of Ogg: `CHAPTER000=00:00:00.000` and `CHAPTER000NAME=Title`. Each track has all tags.
pub fn of_comments<'a>(tags: impl Iterator<Item = &'a gst::TagList>) -> Vec<Chapter> {
    let mut comments = BTreeMap::new();
    for tag in tags.flat_map(|tags| tags.iter_tag::<gst::tags::ExtendedComment>()) {
        if let Some((name, value)) = tag.get().split_once('=')
            && is_comment(&name.to_uppercase())
        {
            comments.insert(name.to_uppercase(), value.to_owned());
        }
    }
    let chapter = |(name, start): (&String, &String)| {
        let title = comments.get(&format!("{name}NAME")).cloned().unwrap_or_default();
        Some(Chapter { start: time(start)?, title })
    };
    comments.iter().filter_map(chapter).collect()
}

/// Whether a comment of this name, in capitals, is about a chapter.
pub fn is_comment(name: &str) -> bool {
    let digits = name.strip_prefix(COMMENT).and_then(|rest| rest.get(..3));
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// A time such as `01:02:03.456`.
fn time(text: &str) -> Option<gst::ClockTime> {
    let mut parts = text.splitn(3, ':');
    let mut number = || parts.next()?.trim().parse::<u32>().ok().map(f64::from);
    let (hours, minutes) = (number()?, number()?);
    let seconds: f64 = parts.next()?.trim().parse().ok()?;
    let seconds = hours * 3600.0 + minutes * 60.0 + seconds;
    gst::ClockTime::try_from_seconds_f64(seconds).ok()
}

/// The chapters of a table of contents in `range`, relative to the start of the range.
pub fn within(toc: &gst::Toc, range: Range<gst::ClockTime>) -> Vec<Chapter> {
    let chapter = |entry: gst::TocEntry| {
        let (start, stop) = entry.start_stop_times()?;
        let time = |time: i64| u64::try_from(time).map(gst::ClockTime::from_nseconds);
        let (start, stop) = (time(start).ok()?, time(stop).unwrap_or_default());
        // A chapter that starts before the range continues in it.
        let is_inside = start < range.end && (stop <= start || stop > range.start);
        let title =
            entry.tags().and_then(|tags| Some(tags.get::<gst::tags::Title>()?.get().to_owned()));
        let start = start.saturating_sub(range.start);
        is_inside.then(|| Chapter { start, title: title.unwrap_or_default() })
    };
    all(toc).into_iter().filter_map(chapter).collect()
}

/// The table of contents with its chapters `shift` later, without their ends.
pub fn later(toc: &gst::Toc, shift: gst::ClockTime) -> Option<gst::Toc> {
    let mut chapters = within(toc, gst::ClockTime::ZERO..gst::ClockTime::MAX);
    chapters.iter_mut().for_each(|chapter| chapter.start += shift);
    table(&chapters, gst::ClockTime::ZERO)
}

/// The chapters among the entries of a table of contents.
pub fn all(toc: &gst::Toc) -> Vec<gst::TocEntry> {
    let chapters = |entry: gst::TocEntry| match entry.entry_type() {
        gst::TocEntryType::Chapter => vec![entry],
        _ => entry.sub_entries(),
    };
    toc.entries().into_iter().flat_map(chapters).collect()
}

/// A table of contents with these chapters; the last one ends at `end`.
pub fn table(chapters: &[Chapter], end: gst::ClockTime) -> Option<gst::Toc> {
    let mut edition = gst::TocEntry::new(gst::TocEntryType::Edition, "edition");
    let ends = chapters.iter().skip(1).map(|next| next.start).chain([end]);
    for (i, (Chapter { start, title }, stop)) in chapters.iter().zip(ends).enumerate() {
        let mut chapter = gst::TocEntry::new(gst::TocEntryType::Chapter, &format!("chapter-{i}"));
        let mut tags = gst::TagList::new();
        tags.make_mut().add::<gst::tags::Title>(&title.as_str(), gst::TagMergeMode::Replace);
        let chapter_mut = chapter.make_mut();
        let [start, stop] = [*start, stop.max(*start)].map(|time| time.nseconds() as i64);
        chapter_mut.set_start_stop_times(start, stop);
        chapter_mut.set_tags(tags);
        edition.make_mut().append_sub_entry(chapter);
    }
    edition.make_mut().set_start_stop_times(0, end.nseconds() as i64);
    let mut toc = gst::Toc::new(gst::TocScope::Global);
    toc.make_mut().append_entry(edition);
    (!chapters.is_empty()).then_some(toc)
}
