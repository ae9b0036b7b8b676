// SPDX-License-Identifier: MIT OR Apache-2.0

//! MPEG-1 and MPEG-2 video whose frames share timestamps, as in program streams: a packet has one, for the first frame that
//! starts in it. `mpegvideoparse` of GStreamer 1.22 gives the others only the time of decoding, and decoders guess when they
//! are shown.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::{
    lock::lock,
    worker::{
        elements::{caps::field, pad},
        pads::probes::{on_buffers, on_segments},
    },
};

/// The start codes of a picture and of a group of pictures (ISO/IEC 13818-2, table 6-1).
const PICTURE: [u8; 4] = [0, 0, 1, 0];
const GROUP: [u8; 4] = [0, 0, 1, 0xB8];
/// The start code of an extension, and the identifier of that of a picture (ISO/IEC 13818-2, table 6-2).
const EXTENSION: [u8; 4] = [0, 0, 1, 0xB5];
const PICTURE_CODING: u8 = 8;
/// The type of a frame that is predicted from later ones, too (ISO/IEC 13818-2, table 6-12).
const B_FRAME: u8 = 3;

/// Gives every frame that `parser` outputs its time.
pub fn complete(parser: &gst::Element) {
    let Ok(src) = pad(parser, "src") else { return };
    let group = Arc::new(Mutex::new(Group::default()));
    let begun = group.clone();
    on_segments(&src, move |_| {
        *lock(&begun) = Group::default();
        None
    });
    on_buffers(&src, move |pad, frame| {
        let picture = frame.map_readable().ok().and_then(|bytes| Picture::read(&bytes));
        // The parser does not count the repeated field of the first picture.
        let least = picture.filter(|picture| picture.repeats_field).and_then(|_| three_fields(pad));
        if let Some((picture, duration)) = picture.zip(frame.duration().max(least)) {
            let shown = lock(&group).shown(picture, frame.pts(), frame.dts(), duration);
            frame.make_mut().set_pts(shown);
        }
        true
    });
}

/// How long three fields last at the frame rate of the caps at `pad`.
fn three_fields(pad: &gst::Pad) -> Option<gst::ClockTime> {
    let caps = pad.current_caps()?;
    let rate = field::<gst::Fraction>(&caps, "framerate")?;
    let (fields, seconds) = (u64::try_from(2 * rate.numer()).ok()?, 3 * rate.denom() as u64);
    gst::ClockTime::SECOND.mul_div_floor(seconds, fields)
}

/// The header of a picture (ISO/IEC 13818-2, section 6.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its position in the order of display in its group of pictures.
    temporal_reference: usize,
    /// Whether it is predicted from a later picture, too, and so decoded after it.
    pub is_b_frame: bool,
    /// Whether a group begins with it.
    begins_group: bool,
    /// Whether it is shown for three fields instead of two.
    repeats_field: bool,
}

impl Picture {
    /// Reads the header of the first picture in `frame`.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let at = frame.windows(4).position(|code| code == PICTURE)?;
        let (before, header) = frame.split_at(at);
        let &[first, second] = header.get(4..6)?.first_chunk()?;
        let extension = header
            .windows(8)
            .find(|bytes| bytes.starts_with(&EXTENSION) && bytes[4] >> 4 == PICTURE_CODING);
        Some(Self {
            temporal_reference: usize::from(first) << 2 | usize::from(second >> 6),
            is_b_frame: second >> 3 & 7 == B_FRAME,
            begins_group: before.windows(4).any(|code| code == GROUP),
            repeats_field: extension.is_some_and(|bytes| bytes[7] & 2 != 0),
        })
    }
}

/// A group of pictures.
#[derive(Debug, Default)]
struct Group {
    /// The time at which its first picture is shown.
    start: Option<gst::ClockTime>,
    /// How long its pictures are shown, in the order of display, as far as they are known.
    durations: Vec<Option<gst::ClockTime>>,
    /// The number of pictures before it.
    before: usize,
    /// The last known durations at even and odd positions. Film in NTSC repeats a field of every other picture.
    cadence: [Option<gst::ClockTime>; 2],
    /// Whether pictures are shown later than they are decoded. Without this, as in AVI, decoders order the times.
    has_delay: bool,
}

impl Group {
    /// When `picture` is shown, by the stated time or the other pictures of its group.
    fn shown(
        &mut self,
        picture: Picture,
        stated: Option<gst::ClockTime>,
        decoded: Option<gst::ClockTime>,
        duration: gst::ClockTime,
    ) -> Option<gst::ClockTime> {
        self.has_delay |= stated.zip(decoded).is_some_and(|(stated, decoded)| stated > decoded);
        if !self.has_delay {
            return stated;
        }
        if picture.begins_group {
            let length = self.durations.len();
            self.start = self.start.map(|start| start + self.offset(length, duration));
            self.before += length;
            self.durations.clear();
        }
        let position = picture.temporal_reference;
        self.durations.resize(self.durations.len().max(position + 1), None);
        self.durations[position] = Some(duration);
        self.cadence[(self.before + position) % 2] = Some(duration);
        let offset = self.offset(position, duration);
        let of_group = self.start.map(|start| start + offset);
        // The parser counts the durations in the order of decoding, so this is right only if they are equal.
        let is_even = self.cadence.iter().flatten().all(|other| *other == duration);
        let decoded = decoded.filter(|_| picture.is_b_frame);
        let shown = stated.or(decoded.filter(|_| is_even)).or(of_group).or(decoded);
        self.start = shown.and_then(|shown| shown.checked_sub(offset)).or(self.start);
        shown
    }

    /// How long after the start of the group the picture at this position is shown. A duration that is not known yet is
    /// that at the other even or odd positions, or else `duration`.
    fn offset(&self, position: usize, duration: gst::ClockTime) -> gst::ClockTime {
        let known = self.durations.iter().take(position).zip(self.before..);
        known.map(|(own, at)| own.or(self.cadence[at % 2]).unwrap_or(duration)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_picture_is_read() {
        let (sequence, group) = ([0, 0, 1, 0xB3, 9, 9], [0, 0, 1, 0xB8, 0, 8]);
        let header = [0, 0, 1, 0, 0x01, 0x5F, 0xFF];
        let extension = [0, 0, 1, 0xB5, 0x8F, 0xFF, 0xFB, 0x42, 0x80];
        let frame = [&sequence[..], &group, &header, &extension].concat();
        let read = Picture {
            temporal_reference: 5,
            is_b_frame: true,
            begins_group: true,
            repeats_field: true,
        };
        assert_eq!(Picture::read(&frame), Some(read));
        let of_mpeg_1 = Picture { begins_group: false, repeats_field: false, ..read };
        assert_eq!(Picture::read(&header), Some(of_mpeg_1));
        assert_eq!(Picture::read(&sequence), None);
    }
}
