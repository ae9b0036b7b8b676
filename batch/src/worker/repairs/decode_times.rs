// SPDX-License-Identifier: MIT OR Apache-2.0

//! The times of frames in AVI, in MXF, and in Matroska files that describe the codec as AVI does (`V_MS/VFW/FOURCC`): one for
//! each frame, in the order of decoding.
//!
//! If no frame is decoded before one that is shown earlier, decoders ignore these times and count frames, so the time of
//! frames that a camera dropped would be lost. `avidemux` and `mxfdemux` also give these times as those at which frames are
//! shown, which is wrong where B-frames are shown before them.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::{
    packed_mpeg4::{START_CODE, Unpacker},
    shared_times::Picture,
};
use crate::{
    lock::lock,
    worker::{
        elements::caps::{field, media_type},
        pads::probes::{on_buffers, on_segments},
    },
};

/// Corrects the times of the frames at the pad `pad` of the demuxer of AVI.
pub fn of_avi(pad: &gst::Pad) {
    if let Some(codec) = Codec::at(pad) {
        // `h264parse` derives times from those of key frames.
        watch(pad, codec, move |buffer| buffer.pts().is_some() && codec == Codec::H264);
    }
}

/// The same for Matroska.
pub fn of_matroska(pad: &gst::Pad) {
    if let Some(codec) = Codec::at(pad) {
        watch(pad, codec, |buffer| buffer.pts().is_some());
    }
}

/// The same for MXF, whose demuxer gives MPEG-2 both times.
pub fn of_mxf(pad: &gst::Pad) {
    if let Some(codec) = Codec::at(pad).filter(|&codec| codec == Codec::H264) {
        watch(pad, codec, |_| false);
    }
}

/// What is known about the order of the frames of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    /// Frames are decoded in the order in which they are shown.
    InOrder,
    /// MPEG-1, MPEG-2 and MPEG-4.
    Mpeg,
    H264,
    /// Another codec with B-frames.
    Other,
}

impl Codec {
    /// The codec of the track at `pad`; `None` if it is not video.
    fn at(pad: &gst::Pad) -> Option<Self> {
        let caps = &pad.current_caps()?;
        match media_type(caps) {
            "video/mpeg" | "video/x-divx" | "video/x-xvid" => Some(Self::Mpeg),
            "video/x-h264" => Some(Self::H264),
            "video/x-h265" | "video/x-dirac" | "video/x-pn-realvideo" => Some(Self::Other),
            // Windows Media Video 9 and VC-1.
            "video/x-wmv" if field::<i32>(caps, "wmvversion") == Some(3) => Some(Self::Other),
            kind => kind.starts_with("video/").then_some(Self::InOrder),
        }
    }

    /// Whether a frame is known to be shown before the one that is decoded before it.
    fn is_b_frame(self, frame: &gst::BufferRef) -> bool {
        let Ok(map) = frame.map_readable() else { return false };
        let mut codes = map.windows(4).enumerate().filter(|(_, code)| code.starts_with(&[0, 0, 1]));
        let found = match self {
            // `vop_coding_type` of MPEG-4, which has no pictures of MPEG-2.
            Self::Mpeg => match codes.find(|(_, code)| *code == START_CODE) {
                Some((at, _)) => map.get(at + 4).map(|first| first >> 6 == 2),
                None => Picture::read(&map).map(|picture| picture.is_b_frame),
            },
            // The first slice begins with `first_mb_in_slice`, 0, and `slice_type`, 1 or 6 (Rec. ITU-T H.264, section 7.3.3).
            Self::H264 => codes.find_map(|(at, code)| match (code[3] & 0x1F, map.get(at + 4)?) {
                (1, first) => Some(first & 0xF0 == 0xA0 || first & 0xFC == 0x9C),
                _ => None,
            }),
            Self::InOrder | Self::Other => None,
        };
        found.unwrap_or(false)
    }
}

/// Corrects the times of the frames of `codec` that leave `pad`, except those that `is_right` accepts.
fn watch(
    pad: &gst::Pad,
    codec: Codec,
    is_right: impl Fn(&gst::BufferRef) -> bool + Send + Sync + 'static,
) {
    let state = Arc::new(Mutex::new(State::default()));
    let begun = state.clone();
    on_segments(pad, move |_| {
        *lock(&begun) = State::default();
        None
    });
    on_buffers(pad, move |_, buffer| {
        let state = &mut *lock(&state);
        let is_right = is_right(buffer);
        if codec == Codec::Mpeg && !is_right {
            let Some(frame) = state.unpacker.frame(buffer.clone()) else { return false };
            *buffer = frame;
        }
        // Only searched until one is found, and not in files with right times.
        if !is_right && !state.has_b_frames {
            state.has_b_frames = state.unpacker.is_waiting() || codec.is_b_frame(buffer);
        }
        let shown = state.shown(codec == Codec::InOrder, buffer.dts(), buffer.duration());
        if !is_right {
            buffer.make_mut().set_pts(shown);
        }
        true
    });
}

#[derive(Default)]
struct State {
    unpacker: Unpacker,
    /// The time of decoding of the last frame.
    last: Option<gst::ClockTime>,
    /// The duration of a frame.
    step: Option<gst::ClockTime>,
    has_b_frames: bool,
}

impl State {
    /// The presentation time to give the next frame, if any: always if the frames are in order, else only for the first frame
    /// and for the first one after a gap. With B-frames, the decoder derives the times from those of decoding.
    fn shown(
        &mut self,
        is_in_order: bool,
        time: Option<gst::ClockTime>,
        duration: Option<gst::ClockTime>,
    ) -> Option<gst::ClockTime> {
        let since = time.zip(self.last).map(|(time, last)| time.saturating_sub(last));
        let is_gap = since.zip(self.step).is_some_and(|(since, step)| since > step + step / 2);
        let is_needed = is_in_order || self.last.is_none() || (is_gap && !self.has_b_frames);
        if !is_gap {
            self.step = duration.or(since).or(self.step);
        }
        self.last = time.or(self.last);
        time.filter(|_| is_needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_after_a_gap_has_its_time() {
        let shown = |is_in_order, has_b_frames| {
            let mut state = State { has_b_frames, ..State::default() };
            [0, 40, 80, 480, 520].map(|time| {
                let [time, duration] = [time, 40].map(gst::ClockTime::from_mseconds);
                let shown = state.shown(is_in_order, Some(time), Some(duration));
                shown.map(gst::ClockTime::mseconds)
            })
        };
        assert_eq!(shown(true, false), [0, 40, 80, 480, 520].map(Some));
        assert_eq!(shown(false, false), [Some(0), None, None, Some(480), None]);
        assert_eq!(shown(false, true), [Some(0), None, None, None, None]);
    }

    #[test]
    fn b_frames_are_found() {
        gst::init().unwrap();
        let is_b_frame =
            |codec: Codec, bytes: &[u8]| codec.is_b_frame(&gst::Buffer::from_slice(bytes.to_vec()));
        for (bytes, is_b) in [
            (&[0, 0, 1, 0xB6, 0x96, 0][..], true),
            (&[0, 0, 1, 0xB6, 0x50, 0], false),
            (&[0, 0, 1, 0xB3, 9, 9, 0, 0, 1, 0, 0x01, 0x1F], true),
            (&[0, 0, 1, 0, 0x01, 0x17, 0], false),
            (&[0, 0, 1], false),
        ] {
            assert_eq!(is_b_frame(Codec::Mpeg, bytes), is_b, "{bytes:?}");
        }
        for (bytes, is_b) in [
            (&[0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1, 1, 0x9E, 0x30][..], true),
            (&[0, 0, 1, 0x41, 0xA8], true),
            (&[0, 0, 1, 0x41, 0x9A], false),
            (&[0, 0, 1, 0x65, 0x88], false),
        ] {
            assert_eq!(is_b_frame(Codec::H264, bytes), is_b, "{bytes:?}");
        }
    }
}
