// SPDX-License-Identifier: MIT OR Apache-2.0

//! The age of files: `--newer`.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use gst::glib::{DateTime, TimeZone};

/// The time of the file `text`, or `text` as a date, which is local time unless it has a time zone.
pub fn time(text: &str) -> Result<SystemTime> {
    if let Ok(file) = fs::metadata(text) {
        return file.modified().with_context(|| format!("--newer {text}: the file has no time"));
    }
    date(text).with_context(|| {
        format!("--newer {text}: neither a file nor a date, such as 2026-11-01 or 2026-11-01T18:30")
    })
}

fn date(text: &str) -> Option<SystemTime> {
    let text = text.trim().replacen(' ', "T", 1);
    // GLib needs hours, minutes and seconds.
    let text = match text.matches(':').count() {
        0 if !text.contains('T') => format!("{text}T00:00:00"),
        1 if text.find(':') == Some(text.len() - 3) => format!("{text}:00"),
        _ => text,
    };
    let date = DateTime::from_iso8601(&text, Some(&TimeZone::local())).ok()?;
    let seconds = u64::try_from(date.to_unix()).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Whether a file was modified after `than`. Files without a time count as newer.
pub fn is_newer(path: &Path, than: SystemTime) -> bool {
    let modified = fs::metadata(path).and_then(|file| file.modified());
    modified.map_or(true, |modified| modified > than)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        Some(date(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn dates_are_read_with_and_without_a_time() {
        assert_eq!(seconds("2026-11-01T00:00:00Z"), Some(1_793_491_200));
        assert_eq!(seconds("2026-11-01T01:30:00+01:30"), Some(1_793_491_200));
        let day = seconds("2026-11-01").unwrap();
        assert_eq!(seconds("2026-11-01T18:30"), Some(day + 18 * 3600 + 1800));
        assert_eq!(seconds("2026-11-01 18:30:05"), Some(day + 18 * 3600 + 1805));
        for text in ["", "yesterday", "2026-13-01", "2026-11", "18:30"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
