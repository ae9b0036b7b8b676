// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVI files: their length, since `avidemux` does not report a truncated file, and the times of MPEG-2 and MPEG-4
//! Visual frames, as DivX and Xvid write them.
//!
//! An AVI has one time for each chunk, in the order of decoding. `avidemux` also gives it to key frames as the time
//! at which they are shown, which is wrong where B-frames are shown before them. And a *packed* bitstream of MPEG-4
//! has two frames in one chunk, and later a chunk without a coded frame, whose time is that of the second.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

use crate::{
    lock::lock,
    worker::{
        elements::caps::media_type,
        pads::probes::{on_buffers, on_segments},
    },
};

/// The start code of an MPEG-4 frame (VOP; ISO/IEC 14496-2, section 6.2.1); MPEG-2 has no such code.
const START_CODE: [u8; 4] = [0, 0, 1, 0xB6];

/// Maximum size of a frame that is not coded (section 6.2.5, `vop_coded`) and repeats the previous one. A coded frame
/// of more than five macroblocks is larger.
const NOT_CODED: usize = 7;

/// The minimum length of a RIFF file by its header; `None` if it is not RIFF, or was written as a stream.
pub fn whole_length(file: &Path) -> Option<u64> {
    let mut head = [0; 8];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    (head.starts_with(b"RIFF") && size < u32::MAX - 8).then_some(u64::from(size) + 8)
}

/// The minimum number of frames by the header of an AVI.
pub fn frames(file: &Path) -> Option<u64> {
    let mut head = [0; 52];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    // The lists `AVI ` and `hdrl`, and `avih` with eleven numbers, of which this is the fifth.
    let is_avi = &head[8..12] == b"AVI " && &head[24..28] == b"avih";
    is_avi.then(|| u64::from(u32::from_le_bytes([head[48], head[49], head[50], head[51]])))
}

/// Corrects the times of the MPEG-2 and MPEG-4 frames that `avidemux` outputs.
pub fn give_times(avidemux: &gst::Element) {
    avidemux.connect_pad_added(|_, pad| {
        let caps = pad.current_caps();
        if caps.is_some_and(|caps| ["video/mpeg", "video/x-divx"].contains(&media_type(&caps))) {
            watch(pad);
        }
    });
}

fn watch(pad: &gst::Pad) {
    let state = Arc::new(Mutex::new((Unpacker::default(), true)));
    let begun = state.clone();
    on_segments(pad, move |_| {
        *lock(&begun) = (Unpacker::default(), true);
        None
    });
    on_buffers(pad, move |_, buffer| {
        let (unpacker, is_first) = &mut *lock(&state);
        let Some(frame) = unpacker.frame(buffer.clone()) else { return false };
        *buffer = frame;
        // The decoder outputs the first frame at its time, and derives the times of the others from their order.
        if !std::mem::take(is_first) {
            buffer.make_mut().set_pts(None);
        }
        true
    });
}

/// Splits packed chunks, so that each has one frame.
#[derive(Default)]
struct Unpacker {
    /// The second frame of a chunk, without its time.
    waiting: Option<gst::Buffer>,
}

impl Unpacker {
    /// The frame to decode at the time of `chunk`; `None` if it only repeats the previous one.
    fn frame(&mut self, chunk: gst::Buffer) -> Option<gst::Buffer> {
        let size = chunk.size();
        let (first, second) = {
            let map = chunk.map_readable().ok()?;
            let windows = map.windows(START_CODE.len()).enumerate();
            let mut frames = windows.filter(|(_, bytes)| *bytes == START_CODE).map(|(at, _)| at);
            (frames.next(), frames.next())
        };
        let is_coded = first.is_none_or(|first| size - first > NOT_CODED);
        if let Some(second) = second {
            self.waiting = chunk.copy_region(gst::BufferCopyFlags::MEMORY, second..).ok();
            let mut frame = chunk;
            frame.make_mut().set_size(second);
            return Some(frame);
        }
        let Some(mut frame) = self.waiting.take() else { return is_coded.then_some(chunk) };
        let times = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
        chunk.copy_into(frame.make_mut(), times, ..).ok()?;
        if is_coded {
            self.waiting = Some(chunk);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(content: &[u8]) -> Vec<u8> {
        [&START_CODE, content].concat()
    }

    fn time(milliseconds: u64) -> Option<gst::ClockTime> {
        Some(gst::ClockTime::from_mseconds(milliseconds))
    }

    #[test]
    fn a_packed_frame_takes_the_time_of_the_chunk_that_is_not_coded() {
        gst::init().unwrap();
        let [i, p, b, c] = [b"II......", b"PP......", b"B1......", b"B2......"].map(|f| frame(f));
        let none = frame(&[0x50, 0x18]);
        let chunks = [&i, &[p.clone(), b.clone()].concat(), &c, &none, &p, &none];
        let mut unpacker = Unpacker::default();
        let unpacked: Vec<_> = chunks
            .into_iter()
            .zip(0..)
            .filter_map(|(data, number)| {
                let mut chunk = gst::Buffer::from_slice(data.clone());
                chunk.make_mut().set_dts(time(40 * number));
                let frame = unpacker.frame(chunk)?;
                let data = frame.map_readable().unwrap().to_vec();
                Some((data, frame.dts()))
            })
            .collect();
        let expected = [(i, 0), (p.clone(), 40), (b, 80), (c, 120), (p, 160)];
        assert_eq!(unpacked, expected.map(|(data, at)| (data, time(at))));
    }
}
