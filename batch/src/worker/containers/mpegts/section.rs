// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sections of program-specific information (ISO/IEC 13818-1, section 2.4.4).

use std::collections::HashMap;

use super::packet::Packet;
use crate::worker::containers::bytes::{Reader, big_endian};

/// Tables: the programs, and the streams of a program.
pub const ASSOCIATION: u8 = 0;
pub const MAP: u8 = 2;
/// Fills packets after a section.
const STUFFING: u8 = 0xFF;
/// Lengths of the table and the length, of all fields before the content, and of the checksum.
const START: usize = 3;
const HEAD: usize = 8;
const CHECKSUM: usize = 4;

pub struct Section {
    /// The identifier of its packets.
    pub id: u16,
    /// The number of packets up to its end.
    pub end: usize,
    bytes: Vec<u8>,
}

impl Section {
    pub fn table(&self) -> u8 {
        self.bytes[0]
    }

    /// The number of the program in a map.
    pub fn program(&self) -> u64 {
        self.bytes.get(START..START + 2).map_or(0, big_endian)
    }

    pub fn content(&self) -> &[u8] {
        self.bytes.get(HEAD..self.bytes.len().saturating_sub(CHECKSUM)).unwrap_or_default()
    }
}

/// The sections in the packets with these identifiers, in the order of their ends.
pub fn sections(packets: &[Packet<'_>], ids: &[u16]) -> Vec<Section> {
    let mut sections = Vec::new();
    // What follows the start of a section, by identifier.
    let mut begun: HashMap<u16, Vec<u8>> = HashMap::new();
    for (end, packet) in (1..).zip(packets).filter(|(_, packet)| ids.contains(&packet.id())) {
        let id = packet.id();
        let bytes = begun.entry(id).or_default();
        let mut payload = Reader(packet.payload());
        // If a section starts in the packet, a pointer to it comes first, and then the end of the previous section.
        let rest = match packet.is_start() {
            true => payload.big(1).and_then(|pointer| payload.take(pointer)).unwrap_or_default(),
            false => payload.0,
        };
        if !bytes.is_empty() {
            bytes.extend_from_slice(rest);
        }
        let mut take = |bytes: &mut Vec<u8>| {
            while let Some(bytes) = take(bytes) {
                sections.push(Section { id, end, bytes });
            }
        };
        take(bytes);
        if packet.is_start() {
            *bytes = payload.0.to_vec();
            take(bytes);
        }
    }
    sections
}

/// Takes the bytes of a section from the start of `bytes`, if it is complete.
fn take(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    if bytes.first() == Some(&STUFFING) {
        bytes.clear();
    }
    let end = START + (big_endian(bytes.get(1..START)?) & 0xFFF) as usize;
    (end <= bytes.len()).then(|| bytes.drain(..end).collect())
}
