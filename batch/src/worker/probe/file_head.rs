// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is read of a file before GStreamer opens it.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Result, bail, ensure};

use super::repair::Repairs;
use crate::worker::{
    containers::{
        asf, avi,
        isobmff::{
            Durations, Index, SampleEntries, image,
            index::{self, OutsideIndex},
            pcm, sample_entries,
        },
        matroska::{Extras, Times},
        unread,
    },
    pipeline::fault,
};

/// How much is read of the start of a file, where most containers describe themselves, bytes.
const HEAD: u64 = 1 << 20;

pub struct FileHead<'a> {
    pub path: &'a Path,
    /// Its start.
    pub head: Vec<u8>,
    /// The index of MP4 and QuickTime, and what is beside it.
    pub index: Option<Index>,
    pub beside: OutsideIndex,
    /// What Matroska has besides packets.
    pub extras: Option<Extras>,
}

impl<'a> FileHead<'a> {
    /// Reads a file; fails if GStreamer must not open it.
    pub fn read(path: &'a Path) -> Result<Self> {
        let mut head = Vec::new();
        File::open(path)?.take(HEAD).read_to_end(&mut head)?;
        ensure!(!image::is_image(&head), "is an AVIF or HEIF image; name it .avif or .heic");
        let (index, beside) = Index::read_all(path).ok().unzip();
        let has_track = index.as_ref().is_some_and(Index::has_track);
        // The file was not finished or is truncated. GStreamer 1.22 sometimes waits forever for the index.
        ensure!(!index.as_ref().is_some_and(Index::is_reference), fault::REFERENCE);
        ensure!(has_track || !index::is_media_segment(&head), fault::MEDIA_SEGMENT);
        ensure!(has_track || !index::is_isobmff(&head), fault::NO_INDEX);
        let beside = beside.unwrap_or_default();
        let is_fragmented = index.as_ref().is_some_and(Index::is_fragmented);
        ensure!(beside.has_data || !is_fragmented, fault::INITIALIZATION);
        if let Some(cause) = unread::known(&head) {
            bail!(cause);
        }
        Ok(Self { path, head, index, beside, extras: Extras::read(path).ok() })
    }

    /// What to correct for the demuxer; see [`Times::of`] for `progress`.
    pub fn repairs(&self, progress: Option<&mut dyn FnMut()>) -> Repairs {
        let extras = self.extras.as_ref();
        let times = extras.and_then(|extras| Times::of(self.path, extras, progress));
        let mut repairs = Repairs { times: times.unwrap_or_default(), ..Repairs::default() };
        repairs.replacements.extend(asf::count(&self.head));
        repairs.starts = avi::starts(&self.head);
        if let Some(index) = &self.index {
            repairs.durations = Durations::of(index).unwrap_or_default();
            repairs.replacements.extend(sample_entries::codes(index));
            repairs.replacements.extend(pcm::replacements(index));
            repairs.sample_entries = SampleEntries::of(index);
        }
        repairs
    }

    /// Why it cannot be read if the discoverer fails because of `cause`.
    pub fn better_cause(&self, cause: String) -> String {
        let codes = self.index.as_ref().map(sample_entries::video_codes).unwrap_or_default();
        if cause == fault::NO_INDEX && !codes.is_empty() {
            let codes: Vec<_> = codes.iter().map(|code| format!("the codec {code}")).collect();
            return fault::no_decoder(&codes);
        }
        if !fault::is_of_damage(&cause) {
            return cause;
        }
        if self.index.as_ref().is_some_and(Index::is_elsewhere) {
            return fault::REFERENCE.to_owned();
        }
        if self.extras.as_ref().is_some_and(Extras::is_encrypted) {
            return fault::ENCRYPTED.to_owned();
        }
        match self.missing_bytes() {
            0 => unread::suspected(&self.head).unwrap_or(cause),
            missing => format!(
                "is truncated: its last {missing} bytes are missing, and nothing else in it can be decoded"
            ),
        }
    }

    /// How many bytes are missing at its end, by the length that the container states.
    pub fn missing_bytes(&self) -> u64 {
        let of_index = || self.index.as_ref().map(|_| self.beside.stated_length);
        let stated = avi::stated_length(&self.head)
            .or_else(|| asf::stated_length(&self.head))
            .or_else(|| self.extras.as_ref()?.stated_length)
            .or_else(of_index);
        let length = std::fs::metadata(self.path).map(|file| file.len()).ok();
        stated.zip(length).map_or(0, |(stated, length)| stated.saturating_sub(length))
    }
}
