// SPDX-License-Identifier: MIT OR Apache-2.0

//! Subtitles as plain text.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::worker::pads::{probes::on_buffers, tally::FILLER};

/// Sends an empty text from `start` to the first one. Otherwise `qtmux` delays the track by an edit list, and ffmpeg
/// omits the last text.
pub fn begin_at(pad: &gst::Pad, start: gst::ClockTime) {
    let has_begun = AtomicBool::new(false);
    on_buffers(pad, move |pad, buffer| {
        let wait = buffer.pts().and_then(|begin| begin.checked_sub(start));
        if !has_begun.swap(true, Ordering::Relaxed)
            && let Some(wait) = wait.filter(|wait| !wait.is_zero())
        {
            let mut empty = gst::Buffer::new();
            let fields = empty.make_mut();
            fields.set_pts(start);
            fields.set_duration(wait);
            fields.set_flags(FILLER);
            // If this fails, so does the next text.
            let _ = pad.chain(empty);
        }
        true
    });
}

/// Converts text in Pango markup at `pad` to plain text. With `keeps_tags`, only escapes are replaced and tags such as
/// `<i>` stay, as in SubRip in Matroska. With `has_cue_head`, the text follows a line with the name of the cue and one with
/// its settings.
pub fn make_plain(pad: &gst::Pad, keeps_tags: bool, has_cue_head: bool) {
    on_buffers(pad, move |_, buffer| {
        let text = buffer.map_readable().ok().map(|map| {
            let text = String::from_utf8_lossy(map.as_slice());
            let cue = if has_cue_head { text.splitn(3, '\n').last() } else { None };
            plain(cue.unwrap_or(&text), keeps_tags)
        });
        if let Some(text) = text {
            let mut new = gst::Buffer::from_slice(text.into_bytes());
            let flags = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
            // The timestamps can always be copied.
            let _ = buffer.copy_into(new.make_mut(), flags, ..);
            *buffer = new;
        }
        true
    });
}

fn plain(markup: &str, keeps_tags: bool) -> String {
    let mut text = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(start) = rest.find('<').filter(|_| !keeps_tags) {
        text.push_str(&rest[..start]);
        rest = match rest[start..].find('>') {
            Some(end) => &rest[start + end + 1..],
            None => "",
        };
    }
    text.push_str(rest);
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&apos;", "'").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_escapes_are_undone() {
        let markup = "a <i>b</i> &amp;lt; &lt;c&gt; &#39;d&apos;";
        assert_eq!(plain(markup, false), "a b &lt; <c> 'd'");
        assert_eq!(plain(markup, true), "a <i>b</i> &lt; <c> 'd'");
    }
}
