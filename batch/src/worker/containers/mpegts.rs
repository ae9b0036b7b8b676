// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `tsdemux` does not report about MPEG transport streams (ISO/IEC 13818-1): the number of programs, the streams
//! of the first program that it does not support, and how often the clock of that program comes.

const PACKET: usize = 188;
/// Size of an M2TS packet, which starts with a clock.
const LONG_PACKET: usize = 192;
/// The type of private streams such as KLV, which only their descriptors distinguish.
pub const PRIVATE_DATA: u8 = 0x06;
/// The unit of the clock.
const TICKS_PER_SECOND: u64 = 90_000;
/// The longest time between two values of the clock that `tsdemux` of GStreamer 1.22 does not take for a jump. The
/// standard allows 0.1 s.
const LONGEST_STEP: u64 = TICKS_PER_SECOND / 2;
/// Longer steps are jumps.
const JUMP: u64 = 20 * TICKS_PER_SECOND;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Programs {
    pub count: usize,
    /// The packet identifiers and types of the streams of the first program, if they have packets.
    pub streams: Vec<(u16, u8)>,
    /// Whether `tsdemux` takes most values of the first program's clock for jumps, because they are rare.
    pub has_rare_clock: bool,
}

/// A readable name of a stream type.
pub fn name(stream_type: u8) -> String {
    let name = match stream_type {
        0x33 => "H.266",
        0x80 => "LPCM",
        0x82 => "DTS",
        0x83 => "TrueHD",
        0x84 | 0x87 | 0xA1 => "E-AC-3",
        0x85 | 0x86 | 0xA2 => "DTS-HD",
        0x90 => "PGS subtitles",
        0x91 => "menus",
        0x92 => "text subtitles",
        _ => return format!("data of the type 0x{stream_type:02x}"),
    };
    name.to_owned()
}

fn packets(head: &[u8]) -> Vec<&[u8]> {
    let is_long = head.get(4) == Some(&0x47) && head.get(4 + LONG_PACKET) == Some(&0x47);
    let (size, skip) = if is_long { (LONG_PACKET, 4) } else { (PACKET, 0) };
    let packets = head.chunks_exact(size).map(|packet| &packet[skip..]);
    packets.take_while(|packet| packet[0] == 0x47).collect()
}

/// The programs in the first tables of a file that starts with `head`.
pub fn programs(head: &[u8]) -> Programs {
    let packets = &packets(head)[..];
    let Some(table) = packets.iter().find_map(|packet| section(packet, 0)) else {
        return Programs::default();
    };
    // After five bytes, each entry has the number of a program and the identifier of its map, two bytes each.
    let entries = table.get(5..).unwrap_or_default().as_chunks::<4>().0.iter();
    // 0 is the network information.
    let entries: Vec<_> = entries.filter(|entry| entry[..2] != [0, 0]).collect();
    let map = entries.first().map(|entry| thirteen_bits(&entry[2..]));
    let map = map.and_then(|id| packets.iter().find_map(|packet| section(packet, id)));
    let clock_id = map.and_then(|map| map.get(5..7)).map(thirteen_bits);
    // Streams of tables do not count.
    let mut streams = map.and_then(streams).unwrap_or_default();
    let begins_data = |packet: &[u8]| {
        is_start(packet) && payload(packet).is_some_and(|data| data.starts_with(&[0, 0, 1]))
    };
    streams.retain(|(of, _)| packets.iter().any(|p| id(p) == *of && begins_data(p)));
    let times =
        packets.iter().filter(|packet| Some(id(packet)) == clock_id).filter_map(|p| clock(p));
    Programs { count: entries.len(), streams, has_rare_clock: is_rare(&times.collect::<Vec<_>>()) }
}

/// Whether most of these values of a clock come too late for `tsdemux`.
fn is_rare(times: &[u64]) -> bool {
    let steps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let late = steps.filter(|step| (LONGEST_STEP + 1..JUMP).contains(step)).count();
    late > 1 && 2 * late > times.len()
}

/// The program clock reference in a packet, without its extension, in units of 1/90,000 s.
fn clock(packet: &[u8]) -> Option<u64> {
    let has_fields = packet[3] & 0x20 != 0;
    let fields = packet.get(5..5 + usize::from(packet[4])).filter(|_| has_fields)?;
    let bytes: &[u8; 5] = fields.get(1..6).filter(|_| fields[0] & 0x10 != 0)?.try_into().ok()?;
    let [first, rest @ ..] = bytes;
    Some(u64::from(*first) << 25 | u64::from(u32::from_be_bytes(*rest)) >> 7)
}

fn thirteen_bits(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]]) & 0x1FFF
}

fn id(packet: &[u8]) -> u16 {
    thirteen_bits(&packet[1..])
}

fn is_start(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

fn payload(packet: &[u8]) -> Option<&[u8]> {
    match packet[3] & 0x30 {
        0x10 => packet.get(4..),
        0x30 => packet.get(5 + usize::from(packet[4])..),
        _ => None,
    }
}

/// The table that starts in a packet, if that has the identifier `of`; without its first three bytes and its checksum.
fn section(packet: &[u8], of: u16) -> Option<&[u8]> {
    if !is_start(packet) || id(packet) != of {
        return None;
    }
    let payload = payload(packet)?;
    let section = payload.get(1 + usize::from(*payload.first()?)..)?;
    let length = usize::from(u16::from_be_bytes([*section.get(1)?, *section.get(2)?]) & 0xFFF);
    section.get(3..(3 + length).checked_sub(4)?)
}

/// The packet identifiers and stream types in a program map table.
fn streams(map: &[u8]) -> Option<Vec<(u16, u8)>> {
    let length = |bytes: &[u8]| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]) & 0xFFF);
    let mut rest = map.get(9 + length(map.get(7..9)?)..)?;
    let mut streams = Vec::new();
    while let Some(stream) = rest.get(..5) {
        streams.push((thirteen_bits(&stream[1..]), stream[0]));
        rest = rest.get(5 + length(&stream[3..])..).unwrap_or_default();
    }
    Some(streams)
}
