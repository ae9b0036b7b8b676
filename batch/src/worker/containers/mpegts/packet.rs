// SPDX-License-Identifier: MIT OR Apache-2.0

//! Packets (ISO/IEC 13818-1, section 2.4.3.2).

use crate::worker::containers::bytes::{Reader, big_endian};

/// Length of a packet, and its first byte.
const LENGTH: usize = 188;
const SYNC: u8 = 0x47;
/// The distance of packets, also in M2TS, where a clock comes before each.
const DISTANCES: [usize; 2] = [LENGTH, 192];

#[derive(Clone, Copy)]
pub struct Packet<'a>(&'a [u8; LENGTH]);

/// The packets in `bytes`, which may start and be damaged anywhere.
pub fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let distance_at = |at| DISTANCES.into_iter().find(|&distance| is_first(bytes, at, distance));
    let found = (0..bytes.len()).find_map(|at| Some((at, distance_at(at)?)));
    let (mut at, distance) = found.unwrap_or((bytes.len(), LENGTH));
    std::iter::from_fn(move || {
        if *bytes.get(at)? != SYNC {
            at = (at..bytes.len()).find(|&at| is_first(bytes, at, distance))?;
        }
        let packet = bytes[at..].first_chunk()?;
        at += distance;
        Some(Packet(packet))
    })
}

/// Whether the first of three packets at this distance starts at `at`.
fn is_first(bytes: &[u8], at: usize, distance: usize) -> bool {
    (0..3).all(|number| bytes.get(at + number * distance) == Some(&SYNC))
}

impl<'a> Packet<'a> {
    /// The identifier of its stream.
    pub fn id(self) -> u16 {
        (big_endian(&self.0[1..3]) & 0x1FFF) as u16
    }

    /// Whether a section or a PES packet starts in it.
    pub fn is_start(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// Whether its payload is encrypted.
    pub fn is_scrambled(self) -> bool {
        self.0[3] & 0xC0 != 0
    }

    /// The adaptation field after its length, and the payload.
    fn parts(self) -> Option<(&'a [u8], &'a [u8])> {
        let mut rest = Reader(&self.0[4..]);
        let flags = self.0[3];
        let length = if flags & 0x20 != 0 { rest.big(1)? } else { 0 };
        let fields = rest.take(length)?;
        Some((fields, if flags & 0x10 != 0 { rest.0 } else { &[] }))
    }

    pub fn payload(self) -> &'a [u8] {
        self.parts().map_or(&[], |(_, payload)| payload)
    }

    /// Whether a PES packet starts in it.
    pub fn starts_data(self) -> bool {
        self.is_start() && self.payload().starts_with(&[0, 0, 1])
    }

    /// The presentation time of the PES packet that starts in it, in units of 1/90,000 s (section 2.4.3.6).
    pub fn time(self) -> Option<u64> {
        if !self.starts_data() {
            return None;
        }
        let mut rest = Reader(self.payload());
        rest.take(6)?;
        let flags = rest.big(2)?;
        let has_time = flags & 0xC080 == 0x8080;
        rest.take(1)?;
        // Of 33 bits, the first three, then two times 15, with a marker after each.
        let (high, middle, low) = (rest.big(1)?, rest.big(2)?, rest.big(2)?);
        has_time.then_some((high >> 1 & 7) << 30 | middle >> 1 << 15 | low >> 1)
    }

    /// The program clock reference, without its extension, in units of 1/90,000 s.
    pub fn clock(self) -> Option<u64> {
        let mut fields = Reader(self.parts()?.0);
        let has_clock = fields.big(1)? & 0x10 != 0;
        // Of six bytes, the first 33 bits.
        fields.big(6).filter(|_| has_clock).map(|clock| clock >> 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with only a payload.
    fn packet(id: u8) -> Vec<u8> {
        [&[SYNC, 0, id, 0x10][..], &[id; LENGTH - 4]].concat()
    }

    fn ids(bytes: &[u8]) -> Vec<u16> {
        packets(bytes).map(Packet::id).collect()
    }

    #[test]
    fn packets_are_found_after_the_rest_of_another_and_after_damage() {
        let whole: Vec<_> = (1..=9).map(packet).collect();
        assert_eq!(ids(&whole.concat()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(ids(&whole.concat()[100..]), [2, 3, 4, 5, 6, 7, 8, 9]);
        let mut damaged = whole.concat();
        damaged[3 * LENGTH] = 0;
        assert_eq!(ids(&damaged), [1, 2, 3, 5, 6, 7, 8, 9]);
        damaged.drain(3 * LENGTH..3 * LENGTH + 50);
        assert_eq!(ids(&damaged), [1, 2, 3, 5, 6, 7, 8, 9]);
        let of_disc: Vec<_> = whole.iter().map(|packet| [&[0; 4][..], packet].concat()).collect();
        assert_eq!(ids(&of_disc.concat()[150..]), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(ids(&[0; 2000]).is_empty());
    }

    #[test]
    fn a_clock_is_read_and_a_damaged_length_is_not() {
        let clock = 0x1_2345_6789_u64 << 15;
        let fields = [&[7, 0x10][..], &clock.to_be_bytes()[2..]].concat();
        let mut bytes = [&[SYNC, 0, 1, 0x30][..], &fields, &[9; LENGTH - 12]].concat();
        let read = |bytes: &[u8]| Packet(bytes.first_chunk().unwrap()).clock();
        assert_eq!(read(&bytes), Some(0x1_2345_6789));
        assert_eq!(Packet(bytes.first_chunk().unwrap()).payload(), [9; LENGTH - 12]);
        bytes[4] = 200;
        assert_eq!(read(&bytes), None);
    }

    #[test]
    fn the_time_of_data_is_read() {
        let time = |flags: u8| {
            let header = [0, 0, 1, 0xC0, 0, 0, 0x80, flags, 5, 0x25, 0xFF, 0xFD, 0x00, 0x03];
            let bytes = [&[SYNC, 0x40, 1, 0x10][..], &header, &[9; LENGTH - 18]].concat();
            Packet(bytes.first_chunk().unwrap()).time()
        };
        assert_eq!(time(0x80), Some(2 << 30 | 0x7FFE << 15 | 1));
        assert_eq!(time(0), None);
    }
}
