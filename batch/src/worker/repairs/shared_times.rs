// SPDX-License-Identifier: MIT OR Apache-2.0

//! MPEG-1 and MPEG-2 video whose frames share timestamps, as in program streams: a packet has one, for the first frame that
//! starts in it. `mpegvideoparse` of GStreamer 1.22 gives the others only the time of decoding, and decoders guess when they
//! are shown.

use std::sync::{Arc, Mutex};

use crate::{
    lock::lock,
    worker::{
        elements::pad,
        pads::probes::{on_buffers, on_segments},
    },
};

/// The start codes of a picture and of a group of pictures (ISO/IEC 13818-2, table 6-1).
const PICTURE: [u8; 4] = [0, 0, 1, 0];
const GROUP: [u8; 4] = [0, 0, 1, 0xB8];
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
    on_buffers(&src, move |_, frame| {
        let picture = frame.map_readable().ok().and_then(|bytes| Picture::read(&bytes));
        if let Some((picture, duration)) = picture.zip(frame.duration()) {
            let shown = lock(&group).shown(picture, frame.pts(), frame.dts(), duration);
            frame.make_mut().set_pts(shown);
        }
        true
    });
}

/// The header of a picture (ISO/IEC 13818-2, section 6.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its position in the order of display in its group of pictures.
    temporal_reference: u64,
    /// Whether it is predicted from a later picture, too, and so decoded after it.
    pub is_b_frame: bool,
    /// Whether a group begins with it.
    begins_group: bool,
}

impl Picture {
    /// Reads the header of the first picture in `frame`.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let at = frame.windows(4).position(|code| code == PICTURE)?;
        let (before, header) = frame.split_at(at);
        let &[first, second] = header.get(4..6)?.first_chunk()?;
        Some(Self {
            temporal_reference: u64::from(first) << 2 | u64::from(second >> 6),
            is_b_frame: second >> 3 & 7 == B_FRAME,
            begins_group: before.windows(4).any(|code| code == GROUP),
        })
    }
}

/// A group of pictures.
#[derive(Debug, Default)]
struct Group {
    /// The time at which its first picture is shown.
    start: Option<gst::ClockTime>,
    /// The number of its pictures, as far as they are known.
    length: u64,
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
            self.start = self.start.map(|start| start + duration * self.length);
            self.length = 0;
        }
        let offset = duration * picture.temporal_reference;
        let of_group = self.start.map(|start| start + offset);
        let shown = stated.or(decoded.filter(|_| picture.is_b_frame)).or(of_group);
        self.start = shown.and_then(|shown| shown.checked_sub(offset)).or(self.start);
        self.length = self.length.max(picture.temporal_reference + 1);
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(temporal_reference: u64, kind: char) -> Picture {
        Picture { temporal_reference, is_b_frame: kind == 'B', begins_group: kind == 'I' }
    }

    #[test]
    fn pictures_without_a_time_are_shown_in_their_order() {
        let mut group = Group::default();
        // In the order of decoding, with the times that are stated; the second group begins with frames of the first.
        let pictures = [
            (picture(0, 'I'), Some(40)),
            (picture(3, 'P'), None),
            (picture(1, 'B'), None),
            (picture(2, 'B'), Some(120)),
            (picture(2, 'I'), None),
            (picture(0, 'B'), None),
            (picture(1, 'B'), None),
            (picture(3, 'P'), Some(320)),
        ];
        let shown = (0..).zip(pictures).map(|(i, (picture, stated))| {
            let time = gst::ClockTime::from_mseconds;
            let shown = group.shown(picture, stated.map(time), Some(time(40 * i)), time(40));
            shown.unwrap().mseconds()
        });
        assert_eq!(shown.collect::<Vec<_>>(), [40, 160, 80, 120, 280, 200, 240, 320]);
    }

    #[test]
    fn times_of_decoding_alone_are_left_to_the_decoder() {
        let mut group = Group::default();
        let time = gst::ClockTime::from_mseconds;
        let mut shown = |picture, stated: Option<u64>, decoded| {
            group.shown(picture, stated.map(time), Some(time(decoded)), time(40))
        };
        assert_eq!(shown(picture(0, 'I'), Some(0), 0), Some(time(0)));
        assert_eq!(shown(picture(2, 'P'), None, 40), None);
        assert_eq!(shown(picture(1, 'B'), None, 80), None);
    }

    #[test]
    fn the_header_of_a_picture_is_read() {
        let (sequence, group) = ([0, 0, 1, 0xB3, 9, 9], [0, 0, 1, 0xB8, 0, 8]);
        let header = [0, 0, 1, 0, 0x01, 0x5F, 0xFF];
        let frame = [&sequence[..], &group, &header].concat();
        let read = Picture { temporal_reference: 5, is_b_frame: true, begins_group: true };
        assert_eq!(Picture::read(&frame), Some(read));
        assert_eq!(Picture::read(&header), Some(Picture { begins_group: false, ..read }));
        assert_eq!(Picture::read(&sequence), None);
    }
}
