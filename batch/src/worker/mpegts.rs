// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `tsdemux` does not tell of MPEG transport streams (ISO/IEC 13818-1).

use std::{fs::File, io::Read, path::Path};

use anyhow::Result;

/// Size of a packet.
const PACKET: usize = 188;

/// The number of programmes by the first program association table in the first megabyte; 0 if there is
/// none. A packet of M2TS is longer, but M2TS has only one programme.
pub fn programmes(file: &Path) -> Result<usize> {
    let mut head = Vec::new();
    File::open(file)?.take(1 << 20).read_to_end(&mut head)?;
    let packets = head.as_chunks::<PACKET>().0.iter();
    let packets = packets.take_while(|packet| packet[0] == 0x47);
    Ok(packets.into_iter().find_map(table).map_or(0, |table| {
        // Each number has two bytes, and two of the stream that describes it; 0 is the network.
        table.as_chunks::<4>().0.iter().filter(|entry| entry[..2] != [0, 0]).count()
    }))
}

/// The entries of the program association table that begins in a packet.
fn table(packet: &[u8; PACKET]) -> Option<&[u8]> {
    let is_start = packet[1] & 0x40 != 0;
    let id = u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF;
    let payload = match packet[3] & 0x30 {
        0x10 => &packet[4..],
        0x30 => packet.get(5 + usize::from(packet[4])..)?,
        _ => return None,
    };
    if !is_start || id != 0 {
        return None;
    }
    let section = payload.get(1 + usize::from(*payload.first()?)..)?;
    let length = usize::from(u16::from_be_bytes([*section.get(1)?, *section.get(2)?]) & 0xFFF);
    // Five bytes in front, and a checksum behind.
    section.get(8..(3 + length).checked_sub(4)?)
}
