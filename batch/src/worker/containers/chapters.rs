// SPDX-License-Identifier: MIT OR Apache-2.0

//! Chapters and GStreamer's table of contents.

use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// Start, nanoseconds.
    pub start: u64,
    pub title: String,
}

/// The chapters of a table of contents in `range`, nanoseconds, relative to the start of the range.
pub fn within(toc: &gst::Toc, range: Range<u64>) -> Vec<Chapter> {
    let chapter = |entry: gst::TocEntry| {
        let (start, stop) = entry.start_stop_times()?;
        let (start, stop) = (u64::try_from(start).ok()?, u64::try_from(stop).unwrap_or(0));
        // A chapter that starts before the range continues in it.
        let is_inside = start < range.end && (stop <= start || stop > range.start);
        let title =
            entry.tags().and_then(|tags| Some(tags.get::<gst::tags::Title>()?.get().to_owned()));
        let start = start.saturating_sub(range.start);
        is_inside.then(|| Chapter { start, title: title.unwrap_or_default() })
    };
    all(toc).into_iter().filter_map(chapter).collect()
}

/// The table of contents with its chapters shifted by `shift` nanoseconds, without their ends.
pub fn later(toc: &gst::Toc, shift: i64) -> Option<gst::Toc> {
    let mut chapters = within(toc, 0..u64::MAX);
    chapters.iter_mut().for_each(|chapter| chapter.start += shift as u64);
    table(&chapters, 0)
}

/// The chapters among the entries of a table of contents.
pub fn all(toc: &gst::Toc) -> Vec<gst::TocEntry> {
    let chapters = |entry: gst::TocEntry| match entry.entry_type() {
        gst::TocEntryType::Chapter => vec![entry],
        _ => entry.sub_entries(),
    };
    toc.entries().into_iter().flat_map(chapters).collect()
}

/// A table of contents with these chapters; the last one ends at `end`, nanoseconds.
pub fn table(chapters: &[Chapter], end: u64) -> Option<gst::Toc> {
    let mut edition = gst::TocEntry::new(gst::TocEntryType::Edition, "edition");
    let ends = chapters.iter().skip(1).map(|next| next.start).chain([end]);
    for (i, (Chapter { start, title }, stop)) in chapters.iter().zip(ends).enumerate() {
        let mut chapter = gst::TocEntry::new(gst::TocEntryType::Chapter, &format!("chapter-{i}"));
        let mut tags = gst::TagList::new();
        tags.make_mut().add::<gst::tags::Title>(&title.as_str(), gst::TagMergeMode::Replace);
        let chapter_mut = chapter.make_mut();
        chapter_mut.set_start_stop_times(*start as i64, stop.max(*start) as i64);
        chapter_mut.set_tags(tags);
        edition.make_mut().append_sub_entry(chapter);
    }
    edition.make_mut().set_start_stop_times(0, end as i64);
    let mut toc = gst::Toc::new(gst::TocScope::Global);
    toc.make_mut().append_entry(edition);
    (!chapters.is_empty()).then_some(toc)
}
