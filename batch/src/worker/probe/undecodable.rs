// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why the video of a file cannot be decoded.

use anyhow::{Result, anyhow, bail, ensure};
use gst_pbutils::{DiscovererInfo, DiscovererResult};

use super::{Media, discover::PATIENCE};
use crate::worker::{
    containers::{mpegts::Programs, track_info::DOLBY_VISION_5, unread},
    elements::caps::{codec_name, field, is_encrypted},
    pipeline::fault,
};

impl Media {
    /// Fails unless there is video that can be decoded. `head` is the start of the file, and `info` what the discoverer
    /// has found in it.
    pub(super) fn check_video(&self, head: &[u8], info: &DiscovererInfo) -> Result<()> {
        let missing = info.missing_elements_installer_details();
        let Ok(main) = self.main_track() else {
            return Err(self.fault(head, info.result(), &missing));
        };
        let of_video = ["image/jpeg", "image/png"];
        let is_image = main.kind().starts_with("image/") && !of_video.contains(&main.kind());
        // Its decoder would make a video of one frame of it.
        ensure!(!is_image || self.container.is_some(), unread::image(&main.caps));
        ensure!(field(&main.caps, "format") != Some("RGB8P"), unread::palette());
        if let Some(cause) = unread::miscoloured(head, &main.caps) {
            bail!(cause);
        }
        let is_dolby = main.stated.ignored.iter().any(|what| what == DOLBY_VISION_5);
        ensure!(!is_dolby, "is {DOLBY_VISION_5}, whose colours GStreamer cannot decode");
        let is_known = !main.kind().ends_with("-unknown");
        ensure!(is_known, fault::no_decoder(&[codec_name(&main.caps)]));
        if let Some(details) = missing.iter().find(|details| details.contains(main.kind())) {
            bail!(missing_decoder(&[details]));
        }
        Ok(())
    }

    /// The error for a file that starts with `head` and has no video that can be decoded; `missing` is what is not
    /// installed.
    fn fault(
        &self,
        head: &[u8],
        result: DiscovererResult,
        missing: &[impl AsRef<str>],
    ) -> anyhow::Error {
        if result == DiscovererResult::Timeout {
            return anyhow!("cannot be opened: no progress for {} s", PATIENCE.seconds());
        }
        if self.tracks.iter().any(|track| is_encrypted(track.kind())) {
            return anyhow!(fault::ENCRYPTED);
        }
        if !missing.is_empty() {
            return anyhow!(missing_decoder(missing));
        }
        if self.tracks.is_empty() {
            // `tsdemux` removes the first tracks when others begin, which may be before they are known.
            let programs = Programs::of(head);
            return anyhow!(match programs.count {
                _ if programs.is_scrambled => fault::ENCRYPTED,
                0 => fault::NO_INDEX,
                _ => fault::CHANGED_TRACKS,
            });
        }
        if self.tracks.iter().any(|track| track.kind().starts_with("video/")) {
            return anyhow!(fault::NOTHING_DECODED);
        }
        let names: Vec<_> = self.tracks.iter().map(|track| codec_name(&track.caps)).collect();
        anyhow!("has no video track, only {}", names.join(", "))
    }
}

/// The error for missing decoders, from the details for an installer: `gstreamer|1.0|program|description|decoder-…`.
fn missing_decoder(details: &[impl AsRef<str>]) -> String {
    let description = |details: &str| details.split('|').nth(3).unwrap_or(details).to_owned();
    let missing: Vec<_> = details.iter().map(|details| description(details.as_ref())).collect();
    // The demuxer does not know the codec, so no plugin has a decoder for it.
    let code = |text: &String| {
        let code = text.split_once("/x-gst-fourcc-")?.1.split_whitespace().next()?;
        Some(format!("the codec {code}"))
    };
    let unknown: Vec<_> = missing.iter().filter_map(code).collect();
    match unknown.is_empty() {
        true => fault::not_installed(&missing),
        false => fault::no_decoder(&unknown),
    }
}
