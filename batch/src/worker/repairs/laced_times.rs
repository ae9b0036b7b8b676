// SPDX-License-Identifier: MIT OR Apache-2.0

//! Times of packets that share a block of Matroska (lacing), as mkvmerge writes them. If the file does not state how long
//! packets last, `matroskademux` gives only the first one of a block a time, and muxers drop the others.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

use crate::{
    lock::lock,
    worker::pads::{
        probes::on_buffers,
        window::{nanoseconds, time_at},
    },
};

/// The next block comes later than this after a gap, nanoseconds.
const GAP: i128 = 100_000_000;

/// Gives the packets of sound that arrive at `pad` times: those of a block share the time until the next block. The demuxer
/// has subtracted `delay` from the times, unless this would be before 0; the file ends at `end`.
pub fn complete(pad: &gst::Pad, delay: gst::ClockTime, end: Option<gst::ClockTime>) {
    let block = Block { delay: nanoseconds(delay), ..Block::default() };
    let state = Arc::new(Mutex::new(block));
    let last = state.clone();
    on_buffers(pad, move |pad, buffer| {
        let Some(time) = buffer.pts() else { return !lock(&state).hold(buffer) };
        let packets = lock(&state).next(nanoseconds(time));
        send(pad, packets, &state);
        true
    });
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let kind = info.event().map(|event| event.type_());
        if matches!(kind, Some(gst::EventType::Eos | gst::EventType::Segment)) {
            let packets = lock(&last).end(end.map(nanoseconds));
            send(pad, packets, &last);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Sends `packets` through `pad`, whose probes see them again.
fn send(pad: &gst::Pad, packets: Vec<gst::Buffer>, state: &Mutex<Block>) {
    if packets.is_empty() {
        return;
    }
    lock(state).is_sending = true;
    for packet in packets {
        // If this fails, so does the next packet.
        let _ = pad.chain(packet);
    }
    lock(state).is_sending = false;
}

/// The packets of a block.
#[derive(Default)]
struct Block {
    delay: i128,
    /// The time of the first packet, nanoseconds; `None` before the first block.
    start: Option<i128>,
    /// The packets after it.
    rest: Vec<gst::Buffer>,
    /// How long the packets of the block before last.
    step: Option<i128>,
    is_sending: bool,
}

impl Block {
    /// Holds a packet without a time; returns whether it does, and not if it is a header before the first block.
    fn hold(&mut self, packet: &gst::Buffer) -> bool {
        if self.start.is_some() {
            self.rest.push(packet.clone());
        }
        self.start.is_some()
    }

    /// Begins the next block at `time`; returns the held packets, with their times.
    fn next(&mut self, time: i128) -> Vec<gst::Buffer> {
        if self.is_sending {
            return Vec::new();
        }
        let is_first = self.start.is_none();
        let packets = self.packets(|count, start, step| {
            let share = (time - start) / count;
            let is_gap = |step: &i128| time - start - step * count > GAP;
            step.filter(is_gap).unwrap_or(share)
        });
        self.start = Some(if is_first && time == 0 { -self.delay } else { time });
        packets
    }

    /// Ends the last block; returns the held packets, with their times, which are before `end` if nothing else is known.
    fn end(&mut self, end: Option<i128>) -> Vec<gst::Buffer> {
        self.packets(|count, start, step| {
            step.unwrap_or_else(|| (end.unwrap_or(start) - start) / count)
        })
    }

    /// The held packets; `step` returns how long each lasts, from their number with the first one, the start, and how long those
    /// before last.
    fn packets(&mut self, step: impl Fn(i128, i128, Option<i128>) -> i128) -> Vec<gst::Buffer> {
        let Some(start) = self.start else { return Vec::new() };
        let mut packets = mem::take(&mut self.rest);
        let step = step(packets.len() as i128 + 1, start, self.step).max(0);
        self.step = Some(step);
        for (packet, i) in packets.iter_mut().zip(1..) {
            packet.make_mut().set_pts(time_at(start + i * step).unwrap_or_default());
        }
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_share_the_time_until_the_next_block() {
        gst::init().unwrap();
        let mut block = Block { delay: 6_500_000, ..Block::default() };
        // A header.
        assert!(!block.hold(&gst::Buffer::new()));
        let mut times = |next: Option<i128>| {
            let packets = match next {
                Some(time) => block.next(time * 1_000_000),
                None => block.end(None),
            };
            (0..3).for_each(|_| assert!(block.hold(&gst::Buffer::new())));
            packets.iter().map(|packet| packet.pts().unwrap().useconds()).collect::<Vec<_>>()
        };
        assert_eq!(times(Some(0)), [0; 0]);
        // The first time should be -6.5 ms.
        assert_eq!(times(Some(80)), [15_125, 36_750, 58_375]);
        assert_eq!(times(Some(160)), [100_000, 120_000, 140_000]);
        // After a gap.
        assert_eq!(times(Some(500)), [180_000, 200_000, 220_000]);
        assert_eq!(times(None), [520_000, 540_000, 560_000]);
    }
}
