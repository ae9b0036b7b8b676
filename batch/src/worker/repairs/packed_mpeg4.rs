// SPDX-License-Identifier: MIT OR Apache-2.0

//! *Packed* bitstreams of MPEG-4, as DivX and Xvid write them into AVI: two frames in one chunk, and later a chunk without a
//! coded frame, whose time is that of the second.

/// The start code of a frame (VOP; ISO/IEC 14496-2, section 6.2.1); MPEG-2 has no such code.
pub const START_CODE: [u8; 4] = [0, 0, 1, 0xB6];

/// Maximum size of a frame that is not coded (section 6.2.5, `vop_coded`) and repeats the previous one. A coded frame
/// of more than five macroblocks is larger.
const NOT_CODED: usize = 7;

/// Splits packed chunks, so that each has one frame.
#[derive(Default)]
pub struct Unpacker {
    /// The second frame of a chunk, without its time.
    waiting: Option<gst::Buffer>,
}

impl Unpacker {
    /// Whether a chunk had a second frame that was not output yet.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The frame to decode at the time of `chunk`; `None` if it only repeats the previous one.
    pub fn frame(&mut self, chunk: gst::Buffer) -> Option<gst::Buffer> {
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
